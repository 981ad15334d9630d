"""GitHub's own cache client, in three generations and both protocols, on the real server."""

import asyncio
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from runcache.access import scopes_for
from runcache.model import Permission, ScopePermission
from runcache.server.auth import JobTokens
from runcache.service import now_ms
from runcache.testing import LiveServer
from tests.conformance.jobs import CLIENTS, V4, V6, V6_OVER_V1, Client, Repository
from tests.conformance.trees import BLOCKS_ABOVE_BYTES, MIB, described, plant
from tests.genuine import Outcome

MAIN: Final = "refs/heads/main"

each_client = pytest.mark.parametrize("client", CLIENTS, ids=str)
each_protocol = pytest.mark.parametrize("client", [V6, V6_OVER_V1], ids=str)


class TestRoundTrip:
    """What was saved is what is restored."""

    @each_client
    async def test_a_folder_comes_back_byte_by_byte(
        self, repository: Repository, client: Client, small: Path
    ) -> None:
        saving = repository.job(client, workspace=small)
        restoring = repository.job(client)

        saved = await saving.save("deps-1", "node modules")
        restored = await restoring.restore("deps-1", paths=("node modules",))

        assert is_saved(saved)
        assert restored.result == "deps-1", restored.log
        assert archive_bytes(restored) < BLOCKS_ABOVE_BYTES
        assert described(restoring.workspace) == described(small)

    @each_client
    async def test_a_folder_that_needs_blocks_comes_back_byte_by_byte(
        self, repository: Repository, client: Client, large: Path
    ) -> None:
        saving = repository.job(client, workspace=large)
        restoring = repository.job(client)

        saved = await saving.save("deps-1", "node modules")
        restored = await restoring.restore("deps-1", paths=("node modules",))

        assert is_saved(saved)
        assert restored.result == "deps-1", restored.log
        assert archive_bytes(restored) > BLOCKS_ABOVE_BYTES
        assert described(restoring.workspace) == described(large)

    @each_protocol
    async def test_what_one_generation_saves_the_other_restores(
        self, repository: Repository, client: Client, small: Path
    ) -> None:
        await repository.job(V4, workspace=small).save("deps-1", "node modules")
        restoring = repository.job(client)

        restored = await restoring.restore("deps-1", paths=("node modules",))

        assert restored.result == "deps-1"
        assert described(restoring.workspace) == described(small)


class TestLookup:
    """What a restore finds."""

    @each_client
    async def test_a_key_is_found_as_a_prefix_and_restore_keys_after_it(
        self, repository: Repository, client: Client
    ) -> None:
        for key in ("npm-linux-old", "npm-linux-new", "yarn-linux"):
            await save_text(repository, key, f"of {key}")

        exact = repository.job(client)
        prefix = repository.job(client)
        first_restore_key = repository.job(client)
        restored = await asyncio.gather(
            exact.restore("npm-linux-old"),
            prefix.restore("npm-linux-"),
            first_restore_key.restore("npm-windows-1", "npm-windows-", "yarn-", "npm-"),
        )

        assert [one.result for one in restored] == ["npm-linux-old", "npm-linux-new", "yarn-linux"]
        assert exact.read("deps/text") == "of npm-linux-old"
        assert prefix.read("deps/text") == "of npm-linux-new"
        assert first_restore_key.read("deps/text") == "of yarn-linux"
        assert not any(warnings(one) for one in restored)

    @each_protocol
    async def test_a_miss_restores_nothing_and_is_no_warning(
        self, repository: Repository, client: Client
    ) -> None:
        await save_text(repository, "npm-1", "text")
        job = repository.job(client)

        restored = await job.restore("pip-1", "pip-", "gradle-")

        assert restored.result is None
        assert restored.error is None
        assert not warnings(restored)
        assert not list(job.workspace.iterdir())

    @each_protocol
    async def test_a_lookup_alone_downloads_nothing(
        self, repository: Repository, client: Client
    ) -> None:
        await save_text(repository, "npm-1", "text")
        job = repository.job(client)

        restored = await job.restore("npm-2", "npm-", lookupOnly=True)

        assert restored.result == "npm-1"
        assert "Lookup only - skipping download" in restored.log
        assert not list(job.workspace.iterdir())

    @each_protocol
    async def test_other_paths_are_another_version_and_never_match(
        self, repository: Repository, client: Client
    ) -> None:
        await save_text(repository, "npm-1", "text")

        restored = await repository.job(client).restore("npm-1", "npm-", paths=("deps", "more"))

        assert restored.result is None
        assert not warnings(restored)

    async def test_the_own_branch_is_searched_by_all_keys_before_the_default_branch(
        self, repository: Repository
    ) -> None:
        # The least wanted is saved last, so that being new is not enough.
        feature, fresh = "refs/heads/feature", "refs/heads/fresh"
        keys = ("npm-feature-d5ea0750", "npm-feature-fd3052de", "npm-legacy")
        for ref in (feature, MAIN):
            for key in keys:
                await save_text(repository, key, f"{key} of {ref}", ref=ref)
        only_main = "npm-feature-99999999"
        await save_text(repository, only_main, f"{only_main} of {MAIN}")

        assert await restored_texts(
            repository,
            # The key itself, then each restore key, in the own branch.
            (feature, "npm-feature-d5ea0750", "npm-feature-", "npm-"),
            (feature, only_main, "npm-feature-", "npm-"),
            (feature, "npm-hotfix-1", "npm-hotfix-", "npm-"),
            # The same in the default branch, where the own branch has nothing.
            (fresh, "npm-feature-d5ea0750", "npm-feature-", "npm-"),
            (fresh, "npm-feature-00000000", "npm-feature-", "npm-"),
            (fresh, "npm-hotfix-1", "npm-hotfix-", "npm-l"),
            (fresh, "pip-1", "pip-"),
        ) == [
            "npm-feature-d5ea0750 of refs/heads/feature",
            "npm-feature-fd3052de of refs/heads/feature",
            "npm-legacy of refs/heads/feature",
            "npm-feature-d5ea0750 of refs/heads/main",
            "npm-feature-99999999 of refs/heads/main",
            "npm-legacy of refs/heads/main",
            None,
        ]


class TestSaving:
    """Entries never change, and writers are told."""

    @each_client
    async def test_a_second_save_is_told_so_and_changes_nothing(
        self, repository: Repository, client: Client
    ) -> None:
        await save_text(repository, "npm-1", "first")
        second, restoring = repository.job(client), repository.job(client)
        second.write("deps/text", "second")

        saved = await second.save("npm-1")
        restored = await restoring.restore("npm-1")

        assert saved.result == -1
        assert "Unable to reserve cache with key npm-1" in saved.log
        assert "already exists" in saved.log
        assert restored.result == "npm-1"
        assert restoring.read("deps/text") == "first"

    @each_protocol
    async def test_of_two_saves_of_one_key_at_once_one_is_kept_whole(
        self, repository: Repository, client: Client
    ) -> None:
        jobs = [repository.job(client), repository.job(client)]
        for number, job in enumerate(jobs):
            job.write("deps/text", f"of job {number} " * MIB)
        restoring = repository.job(client)

        saves = await asyncio.gather(*(job.save("npm-1") for job in jobs))
        restored = await restoring.restore("npm-1")

        winner, loser = sorted(saves, key=is_saved, reverse=True)
        assert is_saved(winner)
        assert loser.result == -1
        assert "Unable to reserve cache with key npm-1" in loser.log
        assert restored.result == "npm-1"
        kept = jobs[saves.index(winner)]
        assert described(restoring.workspace) == described(kept.workspace)

    @each_protocol
    async def test_saves_of_different_keys_at_once_do_not_mix(
        self, repository: Repository, client: Client
    ) -> None:
        jobs = {f"part-{letter}": repository.job(client) for letter in "abcd"}
        for key, job in jobs.items():
            plant(job.workspace / "deps", size_bytes=8 * MIB)
            job.write("deps/text", key)
        restoring = {key: repository.job(client) for key in jobs}

        saves = await asyncio.gather(*(job.save(key) for key, job in jobs.items()))
        await asyncio.gather(*(job.restore(key) for key, job in restoring.items()))

        assert all(map(is_saved, saves))
        for key, job in restoring.items():
            assert described(job.workspace) == described(jobs[key].workspace)

    async def test_a_job_saves_several_caches_at_once(self, repository: Repository) -> None:
        job, restoring = repository.job(), repository.job()
        names = ("wheels", "modules", "crates")
        for name in names:
            job.write(f"{name}/text", f"the {name}")

        saves = await asyncio.gather(*(job.save(f"{name}-1", name) for name in names))
        await asyncio.gather(*(restoring.restore(f"{name}-1", paths=(name,)) for name in names))

        assert all(map(is_saved, saves))
        assert described(restoring.workspace) == described(job.workspace)


class TestAsSetupActionsDoIt:
    """How `setup-node`, `setup-python`, `setup-java` and the others call the client."""

    @each_protocol
    async def test_several_paths_in_the_workspace_and_at_home_are_one_entry(
        self, repository: Repository, client: Client
    ) -> None:
        paths = ("~/.gradle/caches", "~/.gradle/wrapper", "build/deps", "version.txt")
        saving, restoring = repository.job(client), repository.job(client)
        plant(saving.home / ".gradle" / "caches", size_bytes=1000)
        plant(saving.home / ".gradle" / "wrapper", size_bytes=1000)
        (saving.home / ".gradle" / "settings").write_text("not cached")
        saving.write("build/deps/text", "deps")
        saving.write("version.txt", "17")

        saved = await saving.save("setup-java-Linux-x64-gradle-1", *paths)
        restored = await restoring.restore("setup-java-Linux-x64-gradle-1", paths=paths)

        assert is_saved(saved)
        assert restored.result == "setup-java-Linux-x64-gradle-1", restored.log
        assert described(restoring.workspace) == described(saving.workspace)
        for name in ("caches", "wrapper"):
            folder = Path(".gradle") / name
            assert described(restoring.home / folder) == described(saving.home / folder)
        assert not (restoring.home / ".gradle" / "settings").exists()

    @each_protocol
    async def test_what_an_exclamation_mark_excludes_is_not_restored(
        self, repository: Repository, client: Client
    ) -> None:
        paths = ("deps/*", "!deps/tmp")
        saving, restoring = repository.job(client), repository.job(client)
        for name in ("deps/kept", "deps/folder/kept too", "deps/tmp/dropped"):
            saving.write(name, name)

        saved = await saving.save("npm-1", *paths)
        restored = await restoring.restore("npm-1", paths=paths)

        assert is_saved(saved)
        assert restored.result == "npm-1"
        assert sorted(described(restoring.workspace / "deps")) == [
            "folder",
            "folder/kept too",
            "kept",
        ]

    @each_protocol
    async def test_any_key_that_the_client_lets_through_is_found_again(
        self, repository: Repository, client: Client
    ) -> None:
        keys = [
            "setup-python-Linux-x64-24.04-Ubuntu-python-3.12.1-pip-0f/1e/2d",
            "/a//100%25 & more=1?#fragment+plus'quote\"/ ",
            "_under%percent*star[a-z]",
            "ключ 日本語 🎉",
            "x" * 512,
        ]
        job = repository.job(client)
        job.write("deps/text", "text")

        saves = await asyncio.gather(*map(job.save, keys))
        exact = await asyncio.gather(*map(job.looked_up, keys))
        by_prefix = await asyncio.gather(
            *(job.looked_up("other", f"{key[:4]}no such prefix", key[:4]) for key in keys)
        )

        assert all(map(is_saved, saves))
        assert exact == by_prefix == keys


class TestAccess:
    """Nobody gets in without a token, and none leads further than its branches."""

    @each_protocol
    async def test_a_token_that_does_not_count_neither_reads_nor_writes(
        self, repository: Repository, client: Client
    ) -> None:
        await save_text(repository, "npm-1", "text")
        good = repository.job().token
        tokens = {
            "expired": repository.job(ttl=timedelta(hours=-1)).token,
            "altered": good[:-8] + ("A" if good[-8] != "A" else "B") + good[-7:],
            "of another server": token_of_another_server(repository.name),
            "nonsense": "nonsense",
        }

        async def refused(kind: str, token: str) -> None:
            job = repository.job(client, token=token)
            job.write("deps/text", kind)
            restored, saved = await asyncio.gather(job.restore("npm-1"), job.save("npm-2"))

            assert restored.result is None, kind
            assert "401" in warnings(restored), kind
            assert saved.result == -1, kind
            assert "Unable to reserve cache with key npm-2" in saved.log, kind
            assert "the token is missing, invalid or expired" in saved.log, kind
            assert job.read("deps/text") == kind

        await asyncio.gather(*(refused(kind, token) for kind, token in tokens.items()))
        assert await repository.job().looked_up("npm-2") is None

    @pytest.mark.parametrize("client", [V6, V6_OVER_V1, V4], ids=str)
    async def test_a_read_only_token_restores_and_is_told_why_it_cannot_save(
        self, repository: Repository, client: Client
    ) -> None:
        await save_text(repository, "npm-1", "text")
        job = repository.job(client, event="pull_request_target")

        restored = await job.restore("npm-1")
        saved = await job.save("npm-2")

        # Protocol §2.4; clients before v5.1 have no words of their own for it.
        told = (
            "Cache reservation failed: "
            if client == V4
            else "Failed to save: Unable to reserve cache with key npm-2. More details: "
        )
        assert restored.result == "npm-1"
        assert job.read("deps/text") == "text"
        assert saved.result == -1
        assert f"{told}cache write denied: token has no writable scopes" in warnings(saved)

    @each_protocol
    async def test_a_token_that_may_only_write_is_told_why_it_finds_nothing(
        self, repository: Repository, client: Client
    ) -> None:
        job = repository.job(client, scopes=(ScopePermission(MAIN, Permission.WRITE),))
        job.write("deps/text", "text")

        saved = await job.save("npm-1")
        restored = await job.restore("npm-1")

        assert is_saved(saved)
        assert restored.result is None
        assert "cache read denied: " in warnings(restored)

    async def test_a_pull_request_reads_base_and_default_branch_but_no_sibling(
        self, repository: Repository
    ) -> None:
        refs = {
            "default": MAIN,
            "base": "refs/heads/feature-a",
            "child": "refs/heads/feature-a-child",
            "sibling": "refs/heads/feature-c",
            "tag": "refs/tags/v1",
            "other-pull": "refs/pull/8/merge",
        }
        await asyncio.gather(
            *(save_text(repository, name, name, ref=ref) for name, ref in refs.items())
        )
        pull = repository.job(ref="refs/pull/7/merge", base_ref="feature-a")

        found = await asyncio.gather(*map(pull.looked_up, refs))

        assert [key for key in found if key] == ["default", "base"]

    async def test_a_pull_request_writes_only_for_itself(self, repository: Repository) -> None:
        pull = repository.job(ref="refs/pull/7/merge", base_ref="feature-a")
        pull.write("deps/text", "of the pull request")

        saved = await pull.save("npm-1")
        rerun, default, base, head, other = await asyncio.gather(
            repository.job(ref="refs/pull/7/merge", base_ref="feature-a").looked_up("npm-1"),
            repository.job().looked_up("npm-1"),
            repository.job(ref="refs/heads/feature-a").looked_up("npm-1"),
            repository.job(ref="refs/heads/feature-b").looked_up("npm-1"),
            repository.job(ref="refs/pull/8/merge", base_ref="feature-a").looked_up("npm-1"),
        )

        assert is_saved(saved)
        assert (rerun, default, base, head, other) == ("npm-1", None, None, None, None)

    async def test_a_key_may_be_saved_once_in_each_branch(self, repository: Repository) -> None:
        branches = (MAIN, "refs/heads/feature-a", "refs/heads/feature-c", "refs/tags/v1")
        await asyncio.gather(
            *(save_text(repository, "npm-1", branch, ref=branch) for branch in branches)
        )

        texts = await restored_texts(repository, *((branch, "npm-1") for branch in branches))

        assert texts == list(branches)

    async def test_another_repository_sees_nothing(
        self, repository: Repository, server: LiveServer, tmp_path: Path
    ) -> None:
        await save_text(repository, "npm-1", "text")
        stranger = Repository(server, tmp_path / "stranger")

        found = await stranger.job().looked_up("npm-1", "npm-")

        assert found is None


async def save_text(
    repository: Repository, key: str, text: str, *, ref: str = MAIN, client: Client = V4
) -> None:
    """Save a folder `deps` with one file `text`."""
    job = repository.job(client, ref=ref)
    job.write("deps/text", text)
    saved = await job.save(key)
    assert is_saved(saved), saved.log


async def restored_texts(repository: Repository, *lookups: tuple[str, ...]) -> list[str | None]:
    """Return what `save_text` saved, for each lookup: a ref, a key and its restore keys."""
    jobs = [repository.job(ref=ref) for ref, *_ in lookups]
    restores = [job.restore(*keys) for job, (_, *keys) in zip(jobs, lookups, strict=True)]
    await asyncio.gather(*restores)
    return [job.read("deps/text") for job in jobs]


def token_of_another_server(repository: str) -> str:
    tokens = JobTokens(os.urandom(32), now=now_ms)
    return tokens.mint(repository=repository, scopes=scopes_for(ref=MAIN), ttl=timedelta(hours=1))


def is_saved(outcome: Outcome) -> bool:
    return isinstance(outcome.result, int) and outcome.result > 0 and not warnings(outcome)


def warnings(outcome: Outcome) -> str:
    lines = outcome.log.splitlines()
    return "\n".join(line for line in lines if line.startswith(("::warning", "::error")))


def archive_bytes(restored: Outcome) -> int:
    found = re.search(r"^Cache Size: ~\d+ MB \((\d+) B\)$", restored.log, re.MULTILINE)
    assert found, restored.log
    return int(found[1])
