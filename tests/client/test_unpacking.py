"""Archives that are restored as `tar` would, and nothing of what it should not."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import BrokenEntry, FileUnwritable, PartlyRestored
from runcache.snapshot.scan import STAGING_PREFIX
from tests.client.archive_maker import Place, Tar

HIDDEN = os.fsdecode(STAGING_PREFIX)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode_of(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):o}"


class TestRestore:
    """What an archive holds is what is there afterwards."""

    @pytest.mark.parametrize("compression", ["packed", "gzipped"])
    def test_of_files_folders_and_links(self, place: Place, compression: str) -> None:
        tar = (
            Tar()
            .folder("deps", mode=0o750)
            .file("deps/run", b"#!/bin/sh", mode=0o755)
            .file("deps/empty", b"")
            .folder("deps/inner", mode=0o555)
            .file("deps/inner/secret", b"hush", mode=0o600)
            .hard_link("deps/same", "deps/run")
            .link("deps/link", "inner/secret")
            .link("deps/away", "/usr/bin/python3")
        )

        done = place.restore(getattr(tar, compression)())

        deps = place.workspace / "deps"
        assert (done.files_written, done.files_unchanged) == (4, 0)
        assert (deps / "run").read_bytes() == b"#!/bin/sh"
        assert (deps / "inner" / "secret").read_bytes() == b"hush"
        assert (deps / "same").samefile(deps / "run")
        assert (deps / "link").readlink() == Path("inner/secret")
        assert (deps / "away").readlink() == Path("/usr/bin/python3")
        modes = {name: mode_of(deps / name) for name in (".", "run", "inner", "inner/secret")}
        assert modes == {".": "750", "run": "755", "inner": "555", "inner/secret": "600"}
        for path in (deps, deps / "run", deps / "inner", deps / "link"):
            assert path.lstat().st_mtime_ns == 1_700_000_000 * 10**9
        assert place.warnings == []
        (deps / "inner").chmod(0o755)

    def test_leaves_what_is_not_in_it(self, place: Place) -> None:
        (place.workspace / "deps").mkdir()
        (place.workspace / "deps" / "mine").write_text("mine")

        place.restore(Tar().folder("deps").file("deps/theirs").packed())

        assert names_in(place.workspace / "deps") == ["mine", "theirs"]

    def test_removes_it_if_it_shall_be_exact(self, place: Place) -> None:
        deps = place.workspace / "deps"
        (deps / "old" / "inner").mkdir(parents=True)
        (deps / "old" / "inner" / "file").write_text("old")
        (deps / "kept").mkdir()
        (deps / "kept" / "extra").write_text("old")
        (place.workspace / "other").write_text("nobody asked for it")

        place.restore(
            Tar().folder("deps").folder("deps/kept").file("deps/kept/file").packed(), exact=True
        )

        assert place.names() == [
            "home",
            "work",
            "work/repo",
            "work/repo/deps",
            "work/repo/deps/kept",
            "work/repo/deps/kept/file",
            "work/repo/other",
        ]

    def test_replaces_what_is_there(self, place: Place) -> None:
        deps = place.workspace / "deps"
        (deps / "empty folder").mkdir(parents=True)
        (deps / "was a file").write_text("x")
        (deps / "was a link").symlink_to(place.home)
        (deps / "file").write_text("longer than before")

        place.restore(
            Tar()
            .folder("deps")
            .file("deps/empty folder")
            .folder("deps/was a file")
            .file("deps/was a file/inner")
            .folder("deps/was a link")
            .file("deps/was a link/inner")
            .file("deps/file", b"new")
            .packed()
        )

        assert (deps / "empty folder").is_file()
        assert (deps / "was a file" / "inner").is_file()
        assert not (deps / "was a link").is_symlink()
        assert (deps / "was a link" / "inner").is_file()
        assert (deps / "file").read_text() == "new"
        assert list(place.home.iterdir()) == []

    def test_does_not_write_into_a_file_that_others_have_too(self, place: Place) -> None:
        deps = place.workspace / "deps"
        deps.mkdir()
        (place.home / "mine").write_text("mine")
        (deps / "file").hardlink_to(place.home / "mine")

        place.restore(Tar().file("deps/file", b"theirs").packed())

        assert (place.home / "mine").read_text() == "mine"
        assert (deps / "file").read_text() == "theirs"

    def test_goes_wherever_the_paths_lead(self, place: Place) -> None:
        archive = (
            Tar()
            .folder("../../home/.cache/pip")
            .file("../../home/.cache/pip/wheel")
            .file("version.txt")
            .file("out/a.whl")
            .packed()
        )

        place.restore(archive, ["~/.cache/pip", "version.txt", "out/*.whl"])

        assert (place.home / ".cache" / "pip" / "wheel").is_file()
        assert (place.workspace / "version.txt").is_file()
        assert (place.workspace / "out" / "a.whl").is_file()

    def test_of_the_workspace_itself(self, place: Place) -> None:
        place.restore(Tar().folder(".").file("./a").file("b/c").packed(), ["."])

        assert names_in(place.workspace) == ["a", "b"]

    def test_goes_through_links_that_lead_to_the_paths(self, place: Place) -> None:
        elsewhere = place.folder / "large disk"
        elsewhere.mkdir()
        (place.home / ".cache").symlink_to(elsewhere)

        place.restore(Tar().file("../../home/.cache/pip/wheel").packed(), ["~/.cache/pip"])

        assert (elsewhere / "pip" / "wheel").is_file()
        assert (place.home / ".cache").is_symlink()

    def test_drops_setuid_and_what_is_like_it(self, place: Place) -> None:
        place.restore(Tar().folder("deps", mode=0o3775).file("deps/sudo", mode=0o6755).packed())

        assert mode_of(place.workspace / "deps") == "775"
        assert mode_of(place.workspace / "deps" / "sudo") == "755"

    def test_takes_the_last_of_members_with_the_same_name(self, place: Place) -> None:
        twice = Tar().file("deps/a", b"1").file("deps/b", b"1").link("deps/b", "a")
        place.restore(twice.file("deps/a", b"2").link("deps/c", "a").file("deps/c", b"3").packed())

        deps = place.workspace / "deps"
        assert (deps / "a").read_bytes() == b"2"
        assert (deps / "b").readlink() == Path("a")
        assert (deps / "c").read_bytes() == b"3"
        assert not (deps / "c").is_symlink()

    def test_takes_what_is_behind_its_own_links_from_where_it_really_is(self, place: Place) -> None:
        # So is packed what `**/node_modules` matches in a repository of several packages.
        archive = (
            Tar()
            .folder("node_modules")
            .link("node_modules/pkg", "../packages/pkg")
            .folder("node_modules/pkg/node_modules")
            .file("node_modules/pkg/node_modules/dep", b"once more")
            .folder("packages/pkg/node_modules")
            .file("packages/pkg/node_modules/dep", b"really")
            .packed()
        )

        place.restore(archive, ["**/node_modules"])

        assert (place.workspace / "node_modules" / "pkg").is_symlink()
        assert (place.workspace / "packages/pkg/node_modules/dep").read_bytes() == b"really"

    def test_of_a_pipe_leaves_it_out_and_says_so(self, place: Place) -> None:
        place.restore(Tar().folder("deps").special("deps/pipe", b"6").file("deps/a").packed())

        assert names_in(place.workspace / "deps") == ["a"]
        assert "is a pipe" in place.warnings[0]

    @given(
        names=st.lists(
            st.binary(min_size=1, max_size=40).filter(
                lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
            ),
            max_size=5,
            unique=True,
        )
    )
    def test_of_any_names(
        self, tmp_path_factory: pytest.TempPathFactory, names: list[bytes]
    ) -> None:
        place = Place(tmp_path_factory.mktemp("place"))
        tar = Tar().folder("deps")
        for name in names:
            tar.file(f"deps/{os.fsdecode(name)}", name)

        place.restore(tar.packed())

        deps = os.fsencode(place.workspace / "deps")
        assert sorted(map(os.fsencode, names_in(Path(os.fsdecode(deps))))) == sorted(names)
        for name in names:
            assert Path(os.fsdecode(deps + b"/" + name)).read_bytes() == name


class TestFailure:
    """A restore that fails leaves nothing behind that looks whole."""

    def torn(self, *, size_bytes: int = 500_000) -> bytes:
        """Return an archive whose second file is cut off."""
        tar = Tar().folder("deps").file("deps/first").file("deps/second", os.urandom(size_bytes))
        return tar.packed()[: -size_bytes // 2]

    def test_what_was_not_there_is_gone_again(self, place: Place) -> None:
        before = place.names()

        with pytest.raises(BrokenEntry):
            place.restore(self.torn())

        assert place.names() == before

    def test_folders_on_the_way_are_gone_too(self, place: Place) -> None:
        before = place.names()
        torn = Tar().file("../../home/a/b/deps/file", os.urandom(500_000)).packed()[:-250_000]

        with pytest.raises(BrokenEntry):
            place.restore(torn, ["~/a/b/deps"])

        assert place.names() == before

    def test_what_was_there_stays(self, place: Place) -> None:
        deps = place.workspace / "deps"
        (deps / "folder").mkdir(parents=True)
        (deps / "mine").write_text("mine")
        before = place.names()

        with pytest.raises(BrokenEntry):
            place.restore(self.torn())

        assert place.names() == before

    def test_what_was_replaced_is_named(self, place: Place) -> None:
        (place.workspace / "deps").mkdir()
        (place.workspace / "deps" / "first").write_text("mine")

        with pytest.raises(PartlyRestored) as caught:
            place.restore(self.torn())

        assert caught.value.replaced == (f"{place.workspace}/deps/first",)
        assert isinstance(caught.value.__cause__, BrokenEntry)
        assert names_in(place.workspace / "deps") == ["first"]

    def test_an_interruption_leaves_nothing(self, place: Place) -> None:
        before = place.names()

        def press_ctrl_c(_: str) -> None:
            raise KeyboardInterrupt

        place.warn = press_ctrl_c
        tar = Tar().folder("deps").file("deps/a").special("deps/pipe", b"6")

        with pytest.raises(KeyboardInterrupt):
            place.restore(tar.packed())

        assert place.names() == before

    def test_a_folder_that_is_not_empty_does_not_give_way_to_a_file(self, place: Place) -> None:
        (place.workspace / "deps" / "x").mkdir(parents=True)
        (place.workspace / "deps" / "x" / "mine").write_text("mine")

        with pytest.raises(FileUnwritable):
            place.restore(Tar().file("deps/x").packed())

        assert (place.workspace / "deps" / "x" / "mine").read_text() == "mine"

    def test_a_file_on_the_way_is_left_alone(self, place: Place) -> None:
        (place.home / ".cache").write_text("a file")

        with pytest.raises(FileUnwritable):
            place.restore(Tar().file("../../home/.cache/pip/x").packed(), ["~/.cache/pip"])

        assert (place.home / ".cache").read_text() == "a file"

    def test_what_a_killed_restore_left_is_removed_by_the_next_one(self, place: Place) -> None:
        for folder in (place.workspace, place.workspace / "deps"):
            (folder / f"{HIDDEN}0123456789abcdef").mkdir(parents=True)
            (folder / f"{HIDDEN}0123456789abcdef" / "half").write_text("half a file")

        place.restore(Tar().folder("deps").file("deps/a").packed())

        assert names_in(place.workspace) == ["deps"]
        assert names_in(place.workspace / "deps") == ["a"]


def test_many_folders_need_no_more_files_open_than_one(place: Place) -> None:
    open_files: list[int] = []
    tar = Tar()
    for number in range(200):
        name = f"packages/{number}/node_modules"
        if number % 2:
            (place.workspace / name).mkdir(parents=True)
        tar.folder(name).file(f"{name}/file")
    tar.special("packages/0/node_modules/pipe", b"6")

    place.warn = lambda _: open_files.append(len(list(Path("/proc/self/fd").iterdir())))
    before = len(list(Path("/proc/self/fd").iterdir()))
    done = place.restore(tar.packed(), ["**/node_modules"])

    assert done.files_written == 200
    assert open_files[0] - before < 10


def test_nothing_is_seen_of_a_folder_before_it_is_whole(place: Place) -> None:
    seen: list[list[str]] = []
    tar = Tar().folder("deps").file("deps/a").special("deps/pipe", b"6").file("deps/b")

    def look(_: str) -> None:
        seen.append([name for name in names_in(place.workspace) if not name.startswith(HIDDEN)])

    place.warn = look
    place.restore(tar.packed())

    assert seen == [[]]
    assert names_in(place.workspace / "deps") == ["a", "b"]
