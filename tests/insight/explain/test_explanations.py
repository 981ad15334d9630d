"""Explanations agree with lookups, are whole, and tell nobody what they may not know."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcache.access import Role, scopes_for
from runcache.errors import (
    InvalidInput,
    InvalidKey,
    InvalidRef,
    InvalidRepository,
    InvalidVersion,
    ReadDenied,
    TooManyKeys,
)
from runcache.insight.explain import Cause, Difference, Explanation, Input, Question
from runcache.insight.explain.explanations import Explanations
from runcache.matching import Outcome, answered_step, keys_of, walk
from runcache.model import Entry, Grant, MatchKind, Permission
from runcache.model import Inputs as SavedInputs
from runcache.retention import Limits
from runcache.versions import cache_version
from tests.in_process import MAIN, REPOSITORY, Cache, job, open_cache
from tests.insight.explain.situations import FEATURE, PULL, VERSION, forget_for_another, save

_names = (f"octo/{number}" for number in itertools.count())


@dataclass
class Running:
    """A cache in a loop that stands still between two calls."""

    runner: asyncio.Runner
    cache: Cache

    def save(self, repository: str, scope: str, version: str, key: str, age_ms: int) -> None:
        self.cache.clock.advance(timedelta(milliseconds=age_ms))
        grant = job(scope, repository=repository)
        self.runner.run(save(self.cache, key, grant, version))

    def find(self, grant: Grant, question: Question) -> tuple[Entry, MatchKind] | None:
        hit = self.runner.run(
            self.cache.service.find_blobs(
                grant, question.key, question.restore_keys, question.versions, peek=True
            )
        )
        return None if hit is None else (hit.entry, hit.kind)

    def explain(self, repository: str, question: Question) -> Explanation:
        return self.runner.run(explanations_of(self.cache).explain(repository, question))

    def explain_to(self, grant: Grant, question: Question) -> Explanation:
        return self.runner.run(explanations_of(self.cache).explain_to(grant, question))


def explanations_of(cache: Cache) -> Explanations:
    return Explanations(cache.service, cache.catalog, now=cache.clock)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        folder = tmp_path_factory.mktemp("explanations")
        yield Running(runner, runner.run(stack.enter_async_context(open_cache(folder))))
        runner.run(stack.aclose())


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    limits = Limits(min_free_bytes=0, repo_limit_bytes=6)
    async with open_cache(tmp_path, limits=limits) as cache:
        yield cache


keys = st.text(st.sampled_from("aAb- "), min_size=1, max_size=3)
refs = st.sampled_from([MAIN, FEATURE, PULL, "refs/tags/v1"])
versions = st.sampled_from(["v1", "v2"])
catalogs = st.lists(
    st.tuples(refs, versions, keys, st.integers(0, 2)), max_size=6, unique_by=lambda row: row[:3]
)
questions = st.builds(
    Question,
    key=keys,
    restore_keys=st.lists(keys, max_size=3).map(tuple),
    versions=st.lists(versions, min_size=1, unique=True).map(tuple),
    ref=refs,
    base_ref=st.none() | st.just("feature"),
)


@settings(max_examples=40)
@given(saved=catalogs, question=questions)
def test_explain_and_find_never_disagree(
    running: Running, saved: Sequence[tuple[str, str, str, int]], question: Question
) -> None:
    repository = next(_names)
    for row in saved:
        running.save(repository, *row)
    grant = Grant(repository, scopes_for(ref=question.ref, base_ref=question.base_ref), job="")
    steps = walk(grant.readable_scopes, keys_of(question.key, question.restore_keys))

    found = running.find(grant, question)
    for explained in (running.explain(repository, question), running.explain_to(grant, question)):
        told = None if explained.answer is None else (explained.answer, explained.kind)
        assert told == found
        assert [(step.scope, step.key, step.kind, step.is_exact) for step in explained.steps] == [
            (step.scope, step.key, step.kind, step.is_exact) for step in steps
        ]
        answered = [step for step in explained.steps if step.outcome is Outcome.ANSWERED]
        if found is None:
            assert not answered
            assert {step.outcome for step in explained.steps} == {Outcome.NOTHING}
            assert explained.nearest
        else:
            step = answered_step(steps, found[0])
            assert [(a.scope, a.key, a.is_exact) for a in answered] == [
                (step.scope, step.key, step.is_exact)
            ]


@settings(max_examples=25)
@given(saved=catalogs, question=questions)
def test_a_job_hears_of_no_scope_that_it_does_not_read(
    running: Running, saved: Sequence[tuple[str, str, str, int]], question: Question
) -> None:
    repository = next(_names)
    grant = Grant(repository, scopes_for(ref=question.ref, base_ref=question.base_ref), job="")
    for row in saved:
        running.save(repository, *row)

    explained = running.explain_to(grant, question)
    visible = next(_names)
    for row in saved:
        if row[0] in grant.readable_scopes:
            running.save(visible, *row)
    known = Grant(visible, grant.scopes, job="")

    # The same as if there were nothing else, but for ids and times.
    assert told_by(explained) == told_by(running.explain_to(known, question))


def told_by(explanation: Explanation) -> object:
    return (
        [rival.entry.key for rival in explanation.rivals],
        [(near.cause, near.also, near.scope, near.key) for near in explanation.nearest],
    )


async def test_a_hit_of_the_key_itself_needs_no_more(cache: Cache) -> None:
    await save_on(cache, MAIN, "npm-1")

    explained = await explained_on(cache, FEATURE, "npm-1", "npm-")

    assert explained.headline == "`npm-1` is restored from `refs/heads/main`: it is the key itself."
    assert (explained.rivals, explained.nearest) == ((), ())
    assert [scope.sentence for scope in explained.scopes] == [
        "`refs/heads/feature` is searched: it is the ref itself.",
        "`refs/heads/main` is searched: it is the default branch, which all refs read.",
    ]
    assert [step.sentence for step in explained.steps[3:6]] == [
        "No entry of the wanted version has a key that begins with `npm-`.",
        "`npm-1` is there, saved just now (2027-01-15 08:00 UTC).",
        "Not looked for, since a step before has found something.",
    ]


async def test_it_is_said_why_other_entries_that_match_were_not_restored(cache: Cache) -> None:
    for ref, key in ((FEATURE, "npm-0"), (FEATURE, "npm-00"), (FEATURE, "np-1"), (MAIN, "npm-1")):
        await save_on(cache, ref, key)
        cache.clock.advance(timedelta(minutes=1))

    explained = await explained_on(cache, FEATURE, "npm-1", "npm-", "np")

    assert explained.headline == (
        "`npm-00` is restored from `refs/heads/feature`: it is found by the restore key `npm-`."
    )
    older, later, itself = (rival.sentence for rival in explained.rivals)
    assert older == (
        "`npm-0` of `refs/heads/feature`: of the keys that begin with `npm-` the newest goes first."
    )
    assert later == "`np-1` of `refs/heads/feature`: `npm-` is looked for before `np`."
    assert itself == (
        "`npm-1` of `refs/heads/main`: it is the key itself, but `refs/heads/feature` is searched"
        " to its end before `refs/heads/main`."
    )
    assert explained.nearest == ()


async def test_the_key_itself_and_better_versions_go_first(cache: Cache) -> None:
    for version, key in (("v2", "npm-1"), ("v1", "npm-1"), ("v1", "npm-1-x")):
        await save(cache, key, job(), version)

    explained = await explanations_of(cache).explain(
        REPOSITORY, Question(key="npm-1", versions=("v1", "v2"))
    )

    assert [rival.sentence for rival in explained.rivals] == [
        "`npm-1` of `refs/heads/main`: version 1 of those asked for goes first.",
        "`npm-1-x` of `refs/heads/main`: `npm-1` itself goes before keys that begin with it.",
    ]


async def test_after_a_hit_of_a_restore_key_it_is_said_why_not_the_key_itself(cache: Cache) -> None:
    await save_on(cache, MAIN, "npm-0")
    await save(cache, "npm-1", job(), "other")

    explained = await explained_on(cache, MAIN, "npm-1", "npm-")

    assert explained.answer is not None
    assert [near.cause for near in explained.nearest] == [Cause.OTHER_VERSION]


async def test_what_a_pull_request_goes_to_is_read(cache: Cache) -> None:
    await save_on(cache, FEATURE, "npm-1")

    question = Question(key="npm-1", versions=(VERSION,), ref=PULL, base_ref="feature")
    explained = await explanations_of(cache).explain("Octo/Hello", question)

    assert [(scope.scope, scope.role) for scope in explained.scopes] == [
        (PULL, Role.OWN),
        (FEATURE, Role.BASE),
        (MAIN, Role.DEFAULT),
    ]
    assert explained.answer is not None


async def test_a_version_without_paths_is_known_by_others_that_have_it(cache: Cache) -> None:
    asked = SavedInputs(paths=("a", "b"), compression="gzip", system="Linux", cross_os=False)
    version = cache_version(["a", "b"], "gzip")
    await save(cache, "npm-0", job(), version, asked)
    await save(cache, "npm-1", job(), cache_version(["b", "a"], "gzip"))

    explained = await explanations_of(cache).explain(
        REPOSITORY, Question(key="npm-1", versions=(version,))
    )

    assert explained.nearest[0].differences == (Difference(Input.PATHS, "a\nb", "b\na"),)


async def test_keys_that_are_merely_alike_come_with_a_restore_key(cache: Cache) -> None:
    for key in ("linux-npm-node22", "linux-npm-0a1b2c3d4e5f6a7b"):
        await save_on(cache, MAIN, key)

    explained = await explained_on(cache, MAIN, "linux-npm-ffeeddccbbaa9988")

    assert [near.cause for near in explained.nearest] == [
        Cause.NEVER_SAVED,
        Cause.OTHER_HASH,
        Cause.SIMILAR_KEY,
    ]
    assert {near.advice for near in explained.nearest[1:]} == {
        "The restore key `linux-npm-` would restore it until the key itself is saved."
    }


async def test_the_same_is_not_told_over_and_over(cache: Cache) -> None:
    for number in range(6):
        await save_on(cache, f"refs/pull/{number}/merge", "npm-1")
        cache.clock.advance(timedelta(minutes=1))

    explained = await explained_on(cache, MAIN, "npm-1")

    newest = [f"refs/pull/{number}/merge" for number in (5, 4, 3)]
    assert [near.scope for near in explained.nearest] == newest


async def test_another_repository_is_never_told_of(cache: Cache) -> None:
    await save(cache, "npm-1", job(repository="octo/other"), VERSION)

    explained = await explained_on(cache, MAIN, "npm-1")

    assert [near.cause for near in explained.nearest] == [Cause.NOTHING_SAVED]


async def test_a_job_does_not_hear_of_a_hidden_entry_that_took_the_room(cache: Cache) -> None:
    await save_on(cache, FEATURE, "npm-1")
    await forget_for_another(cache)
    question = Question(key="npm-1", versions=(VERSION,), ref=FEATURE)

    told_all = await explanations_of(cache).explain(REPOSITORY, question)
    told = await explanations_of(cache).explain_to(job(FEATURE), question)

    assert "to make room for `yarn-1`" in told_all.nearest[0].sentence
    assert (told_all.nearest[0].by or "").startswith("entry ")
    assert told.nearest[0].cause is Cause.EVICTED
    assert "yarn" not in told.nearest[0].sentence
    assert told.nearest[0].by is None


async def test_whoever_lowered_the_limit_is_named(cache: Cache) -> None:
    await save_on(cache, MAIN, "npm-1", "npm-2")
    await cache.maintenance.forget(causes={REPOSITORY: "token 1f0c8a3b5d7e"})

    explained = await explained_on(cache, MAIN, "npm-1")

    assert explained.nearest[0].sentence.endswith(
        "within its limit of 6 B, which `token 1f0c8a3b5d7e` had changed."
    )


async def test_an_explanation_is_no_access(cache: Cache) -> None:
    await save_on(cache, MAIN, "npm-1")
    cache.clock.advance(timedelta(hours=1))

    explained = await explained_on(cache, MAIN, "npm-1")
    await cache.service.record_accesses(link_ms=1000)

    assert explained.answer is not None
    assert await cache.catalog.entries.get(explained.answer.id) == explained.answer
    assert explained.answer.last_accessed_at == explained.answer.created_at


@pytest.mark.parametrize(
    ("repository", "question", "refused"),
    [
        ("octo", Question(key="k", versions=("v",)), InvalidRepository),
        ("octo/hello", Question(key="a,b", versions=("v",)), InvalidKey),
        ("octo/hello", Question(key="k", versions=("v" * 513,)), InvalidVersion),
        ("octo/hello", Question(key="k", versions=("v",), ref="main"), InvalidRef),
        ("octo/hello", Question(key="k", versions=()), InvalidInput),
        (
            "octo/hello",
            Question(key="k", restore_keys=tuple("abcdefghij"), versions=("v",)),
            TooManyKeys,
        ),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(
    cache: Cache, repository: str, question: Question, refused: type[InvalidInput]
) -> None:
    with pytest.raises(refused):
        await explanations_of(cache).explain(repository, question)


async def test_a_job_that_reads_nothing_is_told_nothing(cache: Cache) -> None:
    grant = job(permission=Permission.WRITE)

    with pytest.raises(ReadDenied):
        await explanations_of(cache).explain_to(grant, Question(key="k", versions=("v",)))


async def save_on(cache: Cache, ref: str, *keys: str) -> None:
    for key in keys:
        await save(cache, key, job(ref), VERSION)


async def explained_on(cache: Cache, ref: str, key: str, *restore_keys: str) -> Explanation:
    question = Question(key=key, restore_keys=restore_keys, versions=(VERSION,), ref=ref)
    return await explanations_of(cache).explain(REPOSITORY, question)
