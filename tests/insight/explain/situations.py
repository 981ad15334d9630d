"""Situations in which a lookup misses, or finds something else than one would think."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from runcache.insight.explain import Cause, Inputs, Question
from runcache.model import Grant
from runcache.model import Inputs as SavedInputs
from runcache.records import entry_name
from runcache.retention import Limits
from runcache.service.management import Management
from runcache.versions import SNAPSHOT, cache_version
from tests.in_process import MAIN, REPOSITORY, Cache, body_of, job

FEATURE: Final = "refs/heads/feature"
PULL: Final = "refs/pull/7/merge"
PATHS: Final = ("~/.npm",)
NPM: Final = Inputs(paths=PATHS, compression="zstd-without-long")
VERSION: Final = cache_version(PATHS)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What happened, what is asked then, and what must be said first of all."""

    name: str
    happened: Callable[[Cache], Awaitable[object]]
    key: str = "npm-1"
    restore_keys: Sequence[str] = ()
    ref: str = MAIN
    base_ref: str | None = None
    inputs: Inputs | None = NPM
    cause: Cause
    also: tuple[Cause, ...] = ()
    sentence: str
    advice: str | None = None

    @property
    def question(self) -> Question:
        return Question(
            key=self.key,
            restore_keys=tuple(self.restore_keys),
            inputs=self.inputs,
            ref=self.ref,
            base_ref=self.base_ref,
        )


async def nothing(_cache: Cache) -> None:
    pass


def saved(
    key: str = "npm-1",
    *,
    ref: str = MAIN,
    paths: Sequence[str] = PATHS,
    compression: str | None = "zstd-without-long",
    system: str = "Linux",
    then: Callable[[Cache], Awaitable[object]] = nothing,
    is_told: bool = False,
) -> Callable[[Cache], Awaitable[object]]:
    """Save an entry two hours ago; `is_told`: its client says what made its version."""

    async def happened(cache: Cache) -> None:
        version = cache_version(paths, compression, system)
        inputs = SavedInputs(paths=tuple(paths), compression=compression, system=system)
        await save(cache, key, job(ref), version, inputs if is_told else None)
        cache.clock.advance(timedelta(hours=2))
        await then(cache)

    return happened


async def save(
    cache: Cache, key: str, grant: Grant, version: str, inputs: SavedInputs | None = None
) -> None:
    upload = await cache.service.reserve(grant, key, version, inputs)
    await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)
    await cache.service.commit(grant, key, version, 4)


def both(*happenings: Callable[[Cache], Awaitable[object]]) -> Callable[[Cache], Awaitable[object]]:
    async def happened(cache: Cache) -> None:
        for each in happenings:
            await each(cache)

    return happened


def reserved(*, silent_for: timedelta) -> Callable[[Cache], Awaitable[object]]:
    async def happened(cache: Cache) -> None:
        await cache.service.reserve(job(), "npm-1", VERSION)
        cache.clock.advance(silent_for)

    return happened


async def forget_for_another(cache: Cache) -> None:
    """Save what needs the room of all that is there, and keep the limit, which is 6 bytes."""
    grant = job()
    await save(cache, "yarn-1", grant, VERSION)
    entry = await cache.catalog.entries.saved_as(grant.repository, MAIN, "yarn-1", VERSION)
    assert entry is not None
    await cache.maintenance.forget(causes={grant.repository: entry_name(entry.id)})
    cache.clock.advance(timedelta(hours=3))


async def expire(cache: Cache) -> None:
    cache.clock.advance(timedelta(days=8))
    await cache.maintenance.forget()


async def delete(cache: Cache) -> None:
    management = Management(cache.catalog, Limits(), cache.maintenance, now=cache.clock)
    await management.delete_by_key(REPOSITORY, "npm-1", by="token 1f0c8a3b5d7e")


async def lose_bytes(cache: Cache) -> None:
    for part in (cache.folder / "blobs").glob("*/*/*"):
        part.unlink()


async def power_failure(cache: Cache) -> None:
    """Save a snapshot, which has a digest to be verified by, and stop before it is safe."""
    upload = await cache.reserve_snapshot("npm-1", version=cache_version(PATHS, SNAPSHOT))
    await cache.write_manifest(upload)
    await cache.service.snapshots.commit(cache.default, upload.id, [])
    await cache.catalog.entries.suspect_all_unproven(now_ms=cache.clock())


SITUATIONS: Final = (
    Situation(
        name="nothing is saved",
        happened=nothing,
        cause=Cause.NOTHING_SAVED,
        sentence="Nothing at all is saved where this lookup may look.",
    ),
    Situation(
        name="never saved",
        happened=saved("gradle-8"),
        cause=Cause.NEVER_SAVED,
        sentence="Nothing was ever saved under `npm-1`, as far as is known.",
    ),
    Situation(
        name="other paths",
        happened=saved(paths=["~/.npm", "dist"]),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: `49f997aa2cb0…`"
        " is not of these paths in another format, so it is of other paths.",
        advice="Save and restore with the same paths, letter by letter and in the same order.",
    ),
    Situation(
        name="other paths, which its client told",
        happened=saved(paths=["~/.npm", "dist"], is_told=True),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: it was saved with"
        " `~/.npm`, `dist` as its paths, not with `~/.npm`.",
    ),
    Situation(
        name="paths in another order",
        happened=saved(paths=["dist", "~/.npm"]),
        inputs=Inputs(paths=("~/.npm", "dist")),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: it was saved with"
        " `dist`, `~/.npm` in this order, not with `~/.npm`, `dist`.",
    ),
    Situation(
        name="the home folder by another name",
        happened=saved(paths=["/home/runner/.npm"]),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: it was saved with"
        " `/home/runner/.npm` as its paths, not with `~/.npm`.",
    ),
    Situation(
        name="another compression",
        happened=saved(compression="gzip"),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: it is an archive"
        " with gzip, not an archive with zstd.",
        advice="Save what is restored: `actions/cache` takes archives alone (`runcache save"
        " --format archive`), with zstd if the machine has it.",
    ),
    Situation(
        name="a snapshot for actions/cache",
        happened=saved(compression=SNAPSHOT),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: it is a snapshot"
        " of runcache, not an archive with zstd.",
    ),
    Situation(
        name="another system",
        happened=saved(system="Windows"),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: it is for"
        " Windows, not for Linux.",
        advice="Save and restore with `enableCrossOsArchive` (`--cross-os`) on Windows, too.",
    ),
    Situation(
        name="saved by a pull request",
        happened=saved(ref=PULL),
        cause=Cause.UNREADABLE_SCOPE,
        sentence="`npm-1` is saved in `refs/pull/7/merge`, which `refs/heads/main` does not read:"
        " what pull request 7 saves is restored by its own runs only.",
        advice="Save it on `refs/heads/main`, too: what the default branch saves is read by all"
        " refs.",
    ),
    Situation(
        name="saved by a branch that may be the base",
        happened=saved(ref=FEATURE),
        ref=PULL,
        cause=Cause.UNREADABLE_SCOPE,
        sentence="`npm-1` is saved in `refs/heads/feature`, which `refs/pull/7/merge` does not"
        " read: it is neither the ref itself, nor the base of a pull request, nor the default"
        " branch.",
        advice="If the pull request goes to `refs/heads/feature`, ask again with that as its base.",
    ),
    Situation(
        name="saved by what may be the default branch",
        happened=saved(ref="refs/heads/master"),
        cause=Cause.UNREADABLE_SCOPE,
        sentence="`npm-1` is saved in `refs/heads/master`, which `refs/heads/main` does not read:"
        " it is neither the ref itself, nor the base of a pull request, nor the default branch.",
        advice="If `refs/heads/master` is the default branch, ask again with that as such.",
    ),
    Situation(
        name="saved by a tag",
        happened=saved(ref="refs/tags/v1"),
        cause=Cause.UNREADABLE_SCOPE,
        sentence="`npm-1` is saved in `refs/tags/v1`, which `refs/heads/main` does not read: what"
        " a tag saves is restored by runs of this tag only.",
    ),
    Situation(
        name="saved by a pull request, with other paths",
        happened=saved(ref=PULL, paths=["dist"], is_told=True),
        cause=Cause.UNREADABLE_SCOPE,
        also=(Cause.OTHER_VERSION,),
        sentence="`npm-1` is saved in `refs/pull/7/merge`, which `refs/heads/main` does not read:"
        " what pull request 7 saves is restored by its own runs only. Besides, its version is"
        " another: it was saved with `dist` as its paths, not with `~/.npm`.",
    ),
    Situation(
        name="what a restore key would find, by a pull request",
        happened=saved("npm-0", ref=PULL),
        restore_keys=["npm-"],
        cause=Cause.UNREADABLE_SCOPE,
        sentence="`npm-0`, which begins with `npm-`, is saved in `refs/pull/7/merge`, which"
        " `refs/heads/main` does not read: what pull request 7 saves is restored by its own runs"
        " only.",
    ),
    Situation(
        name="evicted",
        happened=saved(then=forget_for_another),
        cause=Cause.EVICTED,
        sentence="`npm-1` was in `refs/heads/main` until 3 hours ago (2027-01-15 10:00 UTC): the"
        " repository had to be brought within its limit of 6 B, to make room for `yarn-1`.",
        advice="Save less under other keys, or raise the limit.",
    ),
    Situation(
        name="expired",
        happened=saved(then=expire),
        cause=Cause.EXPIRED,
        sentence="`npm-1` was in `refs/heads/main` until just now (2027-01-23 10:00 UTC): nobody"
        " had used it for 7 days.",
        advice="Restore it more often, or raise `unused_for`.",
    ),
    Situation(
        name="deleted",
        happened=saved(then=delete),
        cause=Cause.DELETED,
        sentence="`npm-1` was in `refs/heads/main` until just now (2027-01-15 10:00 UTC):"
        " `token 1f0c8a3b5d7e` deleted it.",
    ),
    Situation(
        name="deleted, and then saved with other paths",
        happened=both(saved(then=delete), saved(paths=["dist"])),
        cause=Cause.OTHER_VERSION,
        sentence="`npm-1` is saved in `refs/heads/main`, but in another version: `9eb630265e81…`"
        " is not of these paths in another format, so it is of other paths.",
    ),
    Situation(
        name="being saved",
        happened=reserved(silent_for=timedelta(seconds=70)),
        cause=Cause.BEING_SAVED,
        sentence="`npm-1` is about to be saved in `refs/heads/main`: a job has reserved it 1 minute"
        " ago (2027-01-15 08:00 UTC) and sends it now.",
        advice="Restore again when it is saved.",
    ),
    Situation(
        name="reserved and never saved",
        happened=reserved(silent_for=timedelta(hours=2)),
        cause=Cause.UNFINISHED,
        sentence="`npm-1` was reserved in `refs/heads/main` 2 hours ago (2027-01-15 08:00 UTC) and"
        " never saved: its job was last heard of 2 hours ago (2027-01-15 08:00 UTC).",
    ),
    Situation(
        name="its bytes are missing",
        happened=saved(then=lose_bytes),
        cause=Cause.DAMAGED,
        sentence="`npm-1` was in `refs/heads/main` until just now (2027-01-15 10:00 UTC): bytes of"
        " it were missing or damaged, so it was dropped.",
    ),
    Situation(
        name="not verified yet after a power failure",
        happened=power_failure,
        inputs=Inputs(paths=PATHS),
        cause=Cause.SUSPECT,
        sentence="`npm-1` is saved in `refs/heads/main`, but hidden until its bytes are verified,"
        " since the machine stopped before they were safe.",
    ),
    Situation(
        name="upper case",
        happened=saved("NPM-1"),
        cause=Cause.OTHER_CASE,
        sentence="`NPM-1` is saved in `refs/heads/main`, and differs from `npm-1` in upper and"
        " lower case, which count.",
        advice="Write the key in the same way where it is saved and where it is restored.",
    ),
    Situation(
        name="a restore key in upper case",
        happened=saved("NPM-0"),
        restore_keys=["npm-"],
        cause=Cause.OTHER_CASE,
        sentence="`NPM-0` is saved in `refs/heads/main`, and begins with `npm-` but for upper and"
        " lower case, which count.",
    ),
    Situation(
        name="a blank at the end",
        happened=saved(),
        key="npm-1 ",
        cause=Cause.OTHER_BLANKS,
        sentence="`npm-1` is saved in `refs/heads/main`, and differs from `npm-1 ` in blanks,"
        " which count.",
    ),
    Situation(
        name="a hash of no files",
        happened=saved("linux-npm-0a1b2c3d4e5f6a7b"),
        key="linux-npm--v2",
        cause=Cause.EMPTY_HASH,
        sentence="`linux-npm--v2` looks as if a part of it had no value.",
        advice="Look at the expressions in the key: `hashFiles` of patterns that match no file is"
        " empty, and so is a name that its context does not have.",
    ),
)
