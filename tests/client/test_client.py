"""Saves and restores over a real server."""

import asyncio
import os
import random
import sqlite3
from contextlib import closing

import pytest

from runcache.client.results import Format, Hit, Saved, SaveRequest
from runcache.errors import (
    InvalidInput,
    InvalidKey,
    InvalidPattern,
    NotAuthenticated,
    NothingToSave,
    NotPermitted,
    SecretsFound,
    TooManyKeys,
)
from runcache.progress import Silence
from runcache.store import layout
from runcache.versions import SNAPSHOT, cache_version
from tests.client.archive_maker import Tar
from tests.client.machines import Machine, Machines
from tests.conformance.trees import MIB, described, plant
from tests.faults.raw_socket import eventually

each_format = pytest.mark.parametrize("form", ["snapshot", "archive"])


class TestRoundTrip:
    """What was saved is what is restored."""

    @each_format
    def test_a_folder_comes_back_as_it_was(self, machines: Machines, form: Format) -> None:
        saving, restoring = machines.make(), machines.make()
        plant(saving.workspace / "deps", size_bytes=3 * MIB)

        saved = saving.save("deps-1", format=form)
        hit = restoring.restore("deps-1")

        assert hit is not None
        assert (saved.created, saved.format) == (True, form)
        assert (hit.exact, hit.format, hit.matched_key) == (True, form, "deps-1")
        assert described(restoring.workspace) == described(saving.workspace)
        assert saving.warnings == restoring.warnings == []

    @each_format
    def test_the_figures_are_those_of_the_entry(self, machines: Machines, form: Format) -> None:
        saving, restoring = machines.make(), machines.make()
        for number in range(5):
            saving.write(f"deps/{number}", os.urandom(1000))
        (saving.workspace / "deps" / "link").symlink_to("0")

        saved = saving.save("deps-1", format=form)
        hit = restoring.restore("deps-2", "deps-")
        looked_up = restoring.restore("deps-1", lookup_only=True)

        assert saved == Saved(
            key="deps-1",
            version=saved.version,
            scope="refs/heads/main",
            format=saved.format,
            created=True,
            entry_id=saved.entry_id,
            size_bytes=saved.size_bytes,
            new_bytes=saved.size_bytes,
            files=5,
            seconds=saved.seconds,
        )
        assert 5000 < saved.size_bytes < 8000
        assert hit == Hit(
            exact=False,
            key="deps-2",
            matched_key="deps-1",
            scope="refs/heads/main",
            format=saved.format,
            size_bytes=saved.size_bytes,
            fetched_bytes=saved.size_bytes,
            files_written=5,
            files_unchanged=0,
            seconds=hit.seconds if hit else 0,
        )
        assert looked_up is not None
        assert (looked_up.exact, looked_up.fetched_bytes, looked_up.files_written) == (True, 0, 0)

    def test_only_what_changed_is_moved(self, machines: Machines) -> None:
        saving, restoring = machines.make(), machines.make()
        for number in range(20):
            saving.write(f"deps/{number}", os.urandom(100_000))
        saving.save("deps-1")
        restoring.restore("deps-1")
        saving.write("deps/7", "changed")

        saved = saving.save("deps-2")
        hit = restoring.restore("deps-2")

        assert saved.size_bytes > 1_900_000
        assert saved.new_bytes < 100_000
        assert hit is not None
        assert (hit.files_written, hit.files_unchanged) == (1, 19)
        assert hit.fetched_bytes < 100_000
        assert described(restoring.workspace) == described(saving.workspace)

    def test_the_newest_snapshot_is_the_base_of_a_machine_that_knows_none(
        self, machines: Machines
    ) -> None:
        first, second = machines.make(), machines.make()
        for machine in (first, second):
            for number in range(20):
                machine.write(f"deps/{number}", random.Random(number).randbytes(10_000))
        first.save("deps-1")

        saved = second.save("deps-2")

        assert saved.new_bytes < saved.size_bytes / 10

    def test_no_base_shares_nothing(self, machines: Machines) -> None:
        machine = machines.make()
        machine.write("deps/file", os.urandom(100_000))
        machine.save("deps-1")

        saved = machine.save("deps-2", base="none")

        assert saved.new_bytes == saved.size_bytes > 100_000

    def test_a_key_names_the_base(self, machines: Machines) -> None:
        machine, other = machines.make(), machines.make()
        for each in (machine, other):
            each.write("deps/file", b"0123456789" * 100_000)
        machine.save("deps-1")
        machine.write("deps/file", "something else")
        machine.save("deps-2")

        saved = other.save("deps-3", base="deps-1")
        unknown = other.save("deps-4", base="npm-1")

        assert saved.new_bytes < saved.size_bytes
        assert unknown.created
        assert other.warnings == ["there is no snapshot `npm-1` to be the base"]

    def test_a_base_that_was_evicted_is_replaced_by_the_newest(self, machines: Machines) -> None:
        machine = machines.make(ref="refs/heads/topic")
        machine.write("deps/file", os.urandom(100_000))
        machine.save("deps-1")
        # A job that may not read what this machine remembers.
        elsewhere = machines.make(ref="refs/heads/other")
        elsewhere.folder = machine.folder
        elsewhere.__post_init__()

        saved = elsewhere.save("deps-1")

        assert saved.created
        assert saved.new_bytes == saved.size_bytes

    def test_the_home_may_be_elsewhere(self, machines: Machines) -> None:
        saving, restoring = machines.make(), machines.make()
        (saving.home / ".cache" / "pip").mkdir(parents=True)
        (saving.home / ".cache" / "pip" / "wheel").write_text("wheel")
        restoring.home = restoring.folder / "deep" / "down" / "home"
        restoring.home.mkdir(parents=True)

        saving.save("pip-1", "~/.cache/pip")
        restoring.restore("pip-1", paths=("~/.cache/pip",))

        assert (restoring.home / ".cache" / "pip" / "wheel").read_text() == "wheel"

    def test_exclusions_hold_for_snapshots(self, machines: Machines) -> None:
        saving, restoring = machines.make(), machines.make()
        for name in ("deps/kept", "deps/tmp/dropped", "deps/inner/kept.txt", "deps/inner/x.log"):
            saving.write(name)
        paths = ("deps", "!deps/tmp", "!deps/**/*.log")

        saving.save("deps-1", *paths)
        restoring.restore("deps-1", paths=paths)

        assert sorted(described(restoring.workspace / "deps")) == [
            "inner",
            "inner/kept.txt",
            "kept",
        ]

    @each_format
    def test_what_is_not_in_the_entry_goes_if_it_shall_be_exact(
        self, machines: Machines, form: Format
    ) -> None:
        machine = machines.make()
        machine.write("deps/file")
        machine.save("deps-1", format=form)
        machine.write("deps/extra")
        machine.write("beside")

        machine.restore("deps-1")
        assert machine.read("deps/extra") is not None
        machine.restore("deps-1", exact=True)

        assert machine.read("deps/extra") is None
        assert machine.read("beside") is not None

    def test_a_file_that_was_tampered_with_in_silence_is_found_by_reading(
        self, machines: Machines
    ) -> None:
        machine = machines.make()
        file = machine.write("deps/file", "as saved")
        machine.save("deps-1")
        stat = file.stat()
        with file.open("r+") as opened:
            opened.write("tampered")
        os.utime(file, ns=(stat.st_mtime_ns, stat.st_mtime_ns))

        hit = machine.restore("deps-1", verify=True)

        assert hit is not None
        assert hit.files_written == 1
        assert machine.read("deps/file") == b"as saved"


class TestLookup:
    """What a restore finds."""

    def test_the_version_is_that_of_the_paths_and_the_format(self, machines: Machines) -> None:
        machine = machines.make()
        machine.write("deps/file")
        snapshot = machine.save("k")
        archive = machine.save("k", format="archive")

        assert snapshot.version == cache_version(["deps"], compression="runcache-snapshot-1")
        assert archive.version == cache_version(["deps"])

    def test_nothing_is_none(self, machines: Machines) -> None:
        machine = machines.make()

        assert machine.restore("deps-1", "deps-") is None
        assert machine.warnings == []

    def test_a_snapshot_goes_before_an_archive_of_the_same_key(self, machines: Machines) -> None:
        machine = machines.make()
        machine.write("deps/file", "snapshot")
        machine.save("deps-1")
        machine.write("deps/file", "archive")
        machine.save("deps-1", format="archive")

        hit = machine.restore("deps-1")

        assert hit is not None
        assert hit.format == "snapshot"

    def test_an_archive_with_the_key_goes_before_a_snapshot_with_the_prefix(
        self, machines: Machines
    ) -> None:
        machine = machines.make()
        machine.write("deps/file")
        machine.save("deps-1", format="archive")
        machine.save("deps-12")

        hit = machine.restore("deps-1")

        assert hit is not None
        assert (hit.format, hit.exact) == ("archive", True)

    def test_several_lines_are_several_paths(self, machines: Machines) -> None:
        machine = machines.make()
        machine.write("a/file")
        machine.write("b/file")
        machine.save("k", "a\n  b\n\n")

        hit = machine.restore("k", paths=("a", "b"), lookup_only=True)

        assert hit is not None

    def test_an_entry_for_all_systems_is_the_same_here(self, machines: Machines) -> None:
        machine = machines.make()
        machine.write("deps/file")

        machine.save("k", cross_os=True)

        assert machine.restore("k", lookup_only=True) is not None


class TestSaving:
    """Entries never change, and nothing is saved that should not be."""

    @each_format
    def test_a_key_that_is_saved_already_is_no_error(
        self, machines: Machines, form: Format
    ) -> None:
        machine = machines.make()
        machine.write("deps/file", "first")
        machine.save("deps-1", format=form)
        machine.write("deps/file", "second")

        again = machine.save("deps-1", format=form)
        machine.restore("deps-1")

        assert (again.created, again.entry_id, again.new_bytes) == (False, None, 0)
        assert machine.read("deps/file") == b"first"

    @each_format
    def test_nothing_at_the_paths_is_an_error_and_reserves_no_key(
        self, machines: Machines, form: Format
    ) -> None:
        machine, other = machines.make(), machines.make()
        machine.write("deps/tmp/file")

        for paths in (("missing",), ("deps/tmp", "!deps/tmp", "!deps/tmp/**"), ("!deps",)):
            with pytest.raises(NothingToSave):
                machine.save("deps-1", *paths, format=form)
        other.write("missing")

        assert other.save("deps-1", "missing", format=form).created

    @each_format
    def test_credentials_are_named(self, machines: Machines, form: Format) -> None:
        machine = machines.make()
        machine.write("deps/file")
        machine.write("deps/.npmrc", "//registry.example.com/:_authToken=abc")

        saved = machine.save("deps-1", format=form)

        assert saved.created
        (warning,) = machine.warnings
        assert warning.endswith("deps/.npmrc`")

    @each_format
    def test_credentials_can_be_refused(self, machines: Machines, form: Format) -> None:
        machine, other = machines.make(), machines.make()
        machine.write("deps/.netrc", "machine x login y password z")

        with pytest.raises(SecretsFound) as caught:
            machine.save("deps-1", format=form, refuse_secrets=True)
        (machine.workspace / "deps" / ".netrc").unlink()
        machine.write("deps/file")

        assert caught.value.files == (str(machine.workspace / "deps" / ".netrc"),)
        assert machine.restore("deps-1") is None
        if form == "snapshot":  # GitHub's protocols have no word for giving a key back.
            other.write("deps/file")
            assert other.save("deps-1").created

    @each_format
    def test_a_file_that_cannot_be_saved_is_left_out(
        self, machines: Machines, form: Format
    ) -> None:
        machine, other = machines.make(), machines.make()
        machine.write("deps/file")
        os.mkfifo(machine.workspace / "deps" / "pipe")

        machine.save("deps-1", format=form)
        other.restore("deps-1")

        assert "no file, folder or link" in machine.warnings[0]
        assert described(other.workspace / "deps").keys() == {"file"}


class TestRefusals:
    """What the caller or the token must not do."""

    @pytest.mark.parametrize("key", ["", "a,b", "x" * 513, "\udc80"])
    def test_a_key_that_cannot_be_is_refused(self, machines: Machines, key: str) -> None:
        machine = machines.make()
        machine.write("deps/file")

        with pytest.raises(InvalidKey):
            machine.restore(key)
        with pytest.raises(InvalidKey):
            machine.save(key)

    def test_too_many_keys_are_refused(self, machines: Machines) -> None:
        with pytest.raises(TooManyKeys):
            machines.make().restore("k", *(f"k{number}" for number in range(10)))

    @each_format
    def test_paths_that_cannot_be_are_refused(self, machines: Machines, form: Format) -> None:
        machine = machines.make()

        with pytest.raises(InvalidInput):
            machine.save("k", " ", format=form)
        with pytest.raises(InvalidPattern):
            machine.save("k", "../outside", format=form)

    def test_a_token_that_does_not_count_is_refused(self, machines: Machines) -> None:
        machine = machines.make(url=machines.server.url)
        machine.given = type(machine.given)(url=machines.server.url, token="nonsense")
        machine.write("deps/file")

        with pytest.raises(NotAuthenticated):
            machine.restore("k")
        for form in ("snapshot", "archive"):
            with pytest.raises(NotAuthenticated):
                machine.save("k", format=form)

    @each_format
    def test_a_token_that_only_reads_cannot_save(self, machines: Machines, form: Format) -> None:
        machine = machines.make(event="pull_request_target")
        machine.write("deps/file")

        with pytest.raises(NotPermitted, match="cache write denied"):
            machine.save("k", format=form)

    def test_the_mode_of_the_job_holds(self, machines: Machines) -> None:
        machine = machines.make()
        token, url = machine.given.token, machines.server.url
        machine.given = type(machine.given)()
        machine.variables = {
            "ACTIONS_RESULTS_URL": url,
            "ACTIONS_RUNTIME_TOKEN": str(token),
            "ACTIONS_CACHE_SERVICE_V2": "True",
            "ACTIONS_CACHE_MODE": "none",
        }

        with pytest.raises(NotPermitted, match="permits no saving"):
            machine.save("k")
        with pytest.raises(NotPermitted, match="permits no restoring"):
            machine.restore("k")


class TestBrokenEntries:
    """An entry that is not what it should be is a miss, with a warning and a report."""

    @pytest.fixture
    def saved(self, machines: Machines) -> Machine:
        machine = machines.make()
        machine.write("deps/file", os.urandom(200_000))
        machine.write("deps/other", os.urandom(200_000))
        return machine

    @each_format
    def test_bytes_that_rotted_are_a_miss(
        self, machines: Machines, saved: Machine, form: Format
    ) -> None:
        entry = saved.save("deps-1", format=form)
        rot(machines, entry.size_bytes)
        restoring = machines.make()

        hit = restoring.restore("deps-1")

        assert hit is None
        assert "cannot be restored, and is taken for a miss" in restoring.warnings[0]
        assert described(restoring.workspace) == {}
        assert "entry.damage_reported" in machines.server.log.read_text()

    def test_a_hostile_archive_is_a_miss(self, machines: Machines) -> None:
        saving, restoring = machines.make(), machines.make()
        save_raw(saving, Tar().file("../../../home/evil").packed())

        hit = restoring.restore("deps-1")

        assert hit is None
        assert "is outside of the paths" in restoring.warnings[0]
        assert described(restoring.folder).keys() == {"home", "workspace"}

    @pytest.mark.parametrize(
        ("asked", "saved_paths", "reason"),
        [
            (("deps/*.txt",), ("deps",), "which no path names"),
            (("deps", "!deps/b.sh"), ("deps",), "which no path names"),
            (("deps", "other"), ("deps",), "is one of other paths"),
        ],
    )
    def test_a_snapshot_of_other_files_than_the_paths_name_is_a_miss(
        self,
        machines: Machines,
        asked: tuple[str, ...],
        saved_paths: tuple[str, ...],
        reason: str,
    ) -> None:
        saving, restoring = machines.make(), machines.make()
        saving.write("deps/a.txt")
        saving.write("deps/b.sh", "rm -rf /")
        save_under_false_paths(saving, asked, saved_paths)

        hit = restoring.restore("deps-1", paths=asked)

        assert hit is None
        assert reason in restoring.warnings[0]
        assert described(restoring.workspace) == {}

    def test_one_that_had_replaced_files_says_which(
        self, machines: Machines, saved: Machine
    ) -> None:
        entry = saved.save("deps-1", format="archive")
        rot(machines, entry.size_bytes)
        restoring = machines.make()
        restoring.write("deps/file", "mine")

        hit = restoring.restore("deps-1")

        assert hit is None
        # The first of the two files was whole, be it this one or the other.
        assert "cannot be restored, and is taken for a miss" in restoring.warnings[0]


def rot(machines: Machines, size_bytes: int) -> None:
    """Change a byte of what has most of these bytes: of an archive, or of the one pack."""
    # Else the server, which reads what is new, might find it before the client does.
    asyncio.run(eventually(lambda: all_is_durable(machines)))
    parts = [
        part
        for part in (machines.server.data / "blobs").rglob("*")
        if layout.is_part_name(part.name) and 0.8 * size_bytes < part.stat().st_size <= size_bytes
    ]
    assert parts
    for part in parts:
        with part.open("r+b") as file:
            file.seek(size_bytes // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0xFF]))


def all_is_durable(machines: Machines) -> bool:
    new = "SELECT 1 FROM blobs JOIN entry_blobs ON blob_id = id WHERE durable_at IS NULL"
    with closing(sqlite3.connect(machines.server.data / "catalog.sqlite3")) as catalog:
        return catalog.execute(new).fetchone() is None


def save_under_false_paths(
    machine: Machine, claimed: tuple[str, ...], packed: tuple[str, ...]
) -> None:
    """Save a snapshot of some paths with the version of others, as nobody does by accident."""
    with machine.client() as client:
        request = SaveRequest(
            paths=packed,
            key="deps-1",
            version=client._version(claimed, SNAPSHOT, cross_os=False),  # noqa: SLF001  -- see below
            level=None,
            base="none",
            refuse_secrets=False,
            progress=Silence(),
        )
        client._snapshots.save(request)  # noqa: SLF001  -- see below


def save_raw(machine: Machine, archive: bytes) -> None:
    """Save an archive as somebody would who means harm."""
    with machine.client() as client:
        archives = client._archives  # noqa: SLF001  -- what a hostile client would do by itself
        version = client._version(("deps",), archives.compression, cross_os=False)  # noqa: SLF001
        upload = client._transport.reserve_archive("deps-1", version)  # noqa: SLF001
        upload.put(0, 0, memoryview(archive))
        upload.commit(len(archive), 1)
