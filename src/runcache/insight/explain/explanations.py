"""Explains lookups: asks what a restore would ask, then looks around for what is near."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from runcache import matching
from runcache.access import Role, repository_name, roles_for, scopes_for
from runcache.catalog.catalog import Catalog
from runcache.catalog.near import Kept, Neighbourhood
from runcache.errors import InvalidInput
from runcache.insight.explain import inputs
from runcache.insight.explain.candidates import Asked, Candidate, candidates
from runcache.insight.explain.likeness import spellings
from runcache.insight.explain.near_misses import about_the_key, near_miss
from runcache.insight.explain.sentences import Known
from runcache.insight.explain.values import (
    Cause,
    Difference,
    Explanation,
    Inputs,
    NearMiss,
    Question,
)
from runcache.insight.explain.walkthrough import headline_of, outcomes_of, rivals_of, scopes_of
from runcache.model import Grant, MatchKind
from runcache.records import Event
from runcache.service import CacheService

_SOUGHT_ORIGINS: Final = 3


class Explanations:
    """Says why lookups find what they find. Nothing is touched: it is no access, nobody hears.

    All methods may raise `CatalogUnavailable`, and `InvalidKey`, `InvalidVersion`, `TooManyKeys`
    and `InvalidInput` for questions that cannot be asked.
    """

    def __init__(self, service: CacheService, catalog: Catalog, *, now: Callable[[], int]) -> None:
        self._service = service
        self._catalog = catalog
        self._now = now

    async def explain(self, repository: str, question: Question) -> Explanation:
        """Explain a lookup to somebody who may know of all scopes of the repository.

        Raises:
            InvalidRepository, InvalidRef: the repository or a ref is none.
        """
        ref, base_ref, default = question.ref, question.base_ref, question.default_branch
        scopes = scopes_for(ref=ref, base_ref=base_ref, default_branch=default)
        roles = roles_for(ref=ref, base_ref=base_ref, default_branch=default)
        grant = Grant(repository_name(repository), scopes, job="")
        return await self._explained(grant, roles, question, is_confined=False)

    async def explain_to(self, grant: Grant, question: Question) -> Explanation:
        """Explain a lookup to a job, which searches its own scopes and hears of no others.

        Raises:
            ReadDenied: it may read none.
        """
        first, *others = grant.readable_scopes
        own = Role.OWN if first == grant.own_ref else Role.GRANTED
        roles = {first: own, **dict.fromkeys(others, Role.GRANTED)}
        of_its_own = replace(question, ref=first, base_ref=None)
        return await self._explained(grant, roles, of_its_own, is_confined=True)

    async def _explained(
        self,
        grant: Grant,
        roles: Mapping[str, Role],
        question: Question,
        *,
        is_confined: bool,
    ) -> Explanation:
        keys = matching.keys_of(question.key, question.restore_keys)
        if not question.wanted_versions:
            raise InvalidInput("neither paths nor a version are given")
        steps = matching.walk(grant.readable_scopes, keys)
        asked = Asked(
            question=question,
            keys=tuple(key.text for key in keys),
            versions=question.wanted_versions,
            scopes=grant.readable_scopes,
            now_ms=self._now(),
        )
        hit = await self._service.find_blobs(
            grant, question.key, question.restore_keys, asked.versions, peek=True
        )
        answer = None if hit is None else hit.entry
        around = _Surroundings(self._catalog, grant.repository, asked, is_confined=is_confined)
        near = await around.near()
        return Explanation(
            repository=grant.repository,
            asked_at=asked.now_ms,
            question=question,
            versions=asked.versions,
            headline=headline_of(steps, answer, asked),
            scopes=scopes_of(roles),
            steps=outcomes_of(steps, answer, roles, asked.now_ms),
            answer=answer,
            kind=None if hit is None else hit.kind,
            rivals=() if answer is None else rivals_of(steps, answer, near.entries, asked),
            nearest=()
            if hit is not None and hit.kind is MatchKind.EXACT
            else await around.nearest(near, is_answered=hit is not None),
        )


class _Surroundings:
    """What is around one lookup. If it is confined, it knows of the scopes of the lookup only."""

    def __init__(
        self, catalog: Catalog, repository: str, asked: Asked, *, is_confined: bool
    ) -> None:
        self._catalog = catalog
        self._repository = repository
        self._asked = asked
        self._is_confined = is_confined

    async def near(self) -> Neighbourhood:
        """Return entries and uploads that are near."""
        asked = self._asked
        return await self._catalog.near.of(
            self._repository,
            asked.keys,
            spellings(asked.keys[0]),
            asked.scopes,
            only_scopes=self._is_confined,
        )

    async def nearest(self, near: Neighbourhood, *, is_answered: bool) -> tuple[NearMiss, ...]:
        """Return the nearest misses in words, those of the key itself where they belong."""
        asked, removals = self._asked, await self._removals()
        known_inputs = asked.question.inputs or await self._inputs_asked(near.entries)
        # Hundreds of keys are compared, and hundreds of versions made: not in the loop.
        chosen = await asyncio.to_thread(candidates, asked, near, removals, is_answered=is_answered)
        table = await asyncio.to_thread(inputs.difference_table, known_inputs)
        found = [
            near_miss(each, await self._known(each, known_inputs, table), asked) for each in chosen
        ]
        known = {
            *(kept.entry.key for kept in near.entries),
            *(reserved.key for reserved in near.reserved),
            *(event.key for event in removals),
        }
        of_key = about_the_key(asked.keys[0], known)
        surest = [each for each in of_key if each.cause is Cause.EMPTY_HASH]
        others = [each for each in of_key if each.cause is not Cause.EMPTY_HASH]
        matching_ones = [each for each in found if each.kind is not None]
        alike = [each for each in found if each.kind is None]
        return (*surest, *matching_ones, *others, *alike)

    async def _removals(self) -> Sequence[Event]:
        return await self._catalog.events.removals_alike(
            self._repository,
            self._asked.keys,
            refs=self._asked.scopes if self._is_confined else None,
        )

    async def _known(
        self,
        candidate: Candidate,
        asked: Inputs | None,
        table: Mapping[str, tuple[Difference, ...]],
    ) -> Known:
        differences: tuple[Difference, ...] = ()
        if Cause.OTHER_VERSION in candidate.causes:
            if candidate.kept is not None:
                origin = await self._catalog.origins.get(candidate.kept.entry.id)
                differences = () if origin is None else inputs.differences_from(asked, origin)
            differences = differences or table.get(candidate.version, ())
        return Known(differences, await self._saver(candidate.event), is_tried=asked is not None)

    async def _saver(self, event: Event | None) -> str | None:
        """Return the key of the entry whose save made another one go, if it may be told."""
        kind, _, number = (event.by or "").partition(" ") if event else ("", "", "")
        if kind != "entry" or not number.isdigit():
            return None
        entry = await self._catalog.entries.get(int(number))
        if entry is None or entry.repository != self._repository:
            return None
        is_hidden = self._is_confined and entry.scope not in self._asked.scopes
        return None if is_hidden else entry.key

    async def _inputs_asked(self, entries: Iterable[Kept]) -> Inputs | None:
        """Return the inputs of a version that was given, if somebody saved with them."""
        same = [kept.entry for kept in entries if kept.entry.version in self._asked.versions]
        for entry in same[:_SOUGHT_ORIGINS]:
            origin = await self._catalog.origins.get(entry.id)
            known = None if origin is None else inputs.inputs_of(origin)
            if known is not None:
                return known
        return None
