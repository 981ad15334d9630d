"""Near misses as they are told: the facts of a candidate, and its sentences."""

from collections.abc import Collection

from runcache.insight.explain.advice import advice
from runcache.insight.explain.candidates import Asked, Candidate
from runcache.insight.explain.likeness import has_empty_part
from runcache.insight.explain.sentences import Known, besides, sentence
from runcache.insight.explain.values import Cause, NearMiss
from runcache.insight.explain.wording import quoted


def near_miss(candidate: Candidate, known: Known, asked: Asked) -> NearMiss:
    """Return a candidate as it is told."""
    main, *others = candidate.causes
    event = candidate.event
    entry = candidate.kept.entry if candidate.kept else None
    further = (f"Besides, {besides(candidate, each, known, asked)}" for each in others)
    return NearMiss(
        cause=main,
        also=tuple(others),
        kind=candidate.alike.kind,
        scope=candidate.scope,
        key=candidate.key,
        version=candidate.version,
        entry_id=entry.id if entry else event.entry_id if event else None,
        size_bytes=entry.size_bytes if entry else event.size_bytes if event else None,
        at=candidate.at,
        by=_who(candidate, known),
        reason=event.reason if event else None,
        limit=event.limit if event else None,
        differences=known.differences,
        sentence=" ".join([sentence(candidate, known, asked), *further]),
        advice=advice(candidate, known, asked),
    )


def about_the_key(key: str, known: Collection[str]) -> list[NearMiss]:
    """Return what is to be said of the key itself.

    `known` are the keys near it that are, were or shall be saved; none if nothing at all is.
    """
    if key in known:
        return []
    told = [_never_saved(key) if known else _nothing_saved(key)]
    return [_empty_part(key), *told] if has_empty_part(key) else told


def _empty_part(key: str) -> NearMiss:
    return NearMiss(
        cause=Cause.EMPTY_HASH,
        key=key,
        sentence=f"{quoted(key)} looks as if a part of it had no value.",
        advice="Look at the expressions in the key: `hashFiles` of patterns that match no file is"
        " empty, and so is a name that its context does not have.",
    )


def _nothing_saved(key: str) -> NearMiss:
    return NearMiss(
        cause=Cause.NOTHING_SAVED,
        key=key,
        sentence="Nothing at all is saved where this lookup may look.",
        advice="If jobs do save: is this their repository, and do they say that they saved?",
    )


def _never_saved(key: str) -> NearMiss:
    return NearMiss(
        cause=Cause.NEVER_SAVED,
        key=key,
        sentence=f"Nothing was ever saved under {quoted(key)}, as far as is known.",
        advice="A job that misses saves under its key when it succeeds. If one did: did its save"
        " step run, and say that it saved?",
    )


def _who(candidate: Candidate, known: Known) -> str | None:
    """Return who made it go. Another entry is told only if the question may hear of that."""
    event = candidate.event
    if event is None or event.by is None:
        return None
    return None if event.by.startswith("entry ") and known.saver is None else event.by
