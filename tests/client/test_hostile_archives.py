"""Archives that are made to do harm do none, and are refused with their reason."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import BrokenEntry, CacheError, FileUnwritable, UnsafeEntry
from runcache.snapshot.limits import Limits
from tests.client.archive_maker import Place, Tar
from tests.client.hostile_archives import HOSTILE, Hostile


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (place.home / "secret").write_text("hush")
    return place


def everything(place: Place) -> dict[str, tuple[int, int, bytes]]:
    """Return all that must not change: mode, count of links and contents of each file."""
    found = {}
    for name in place.names():
        path = place.folder / name
        stat = path.lstat()
        contents = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[name] = (stat.st_mode, stat.st_nlink if contents else 0, contents)
    return found


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("is_there", [False, True], ids=["into nothing", "onto a folder"])
def test_a_hostile_archive_is_refused_and_leaves_no_trace(
    place: Place, hostile: Hostile, *, is_there: bool
) -> None:
    if is_there:
        (place.workspace / "deps").mkdir()
        (place.workspace / "deps" / "mine").write_text("mine")
    before = everything(place)

    with pytest.raises(CacheError) as caught:
        place.restore(hostile.make(str(place.home)))

    # A folder that is not empty gives way to nothing, which is reason enough.
    is_in_the_way = is_there and isinstance(caught.value, FileUnwritable)
    assert isinstance(caught.value, BrokenEntry) or is_in_the_way
    assert hostile.reason in str(caught.value) or is_in_the_way
    assert everything(place) == before


@pytest.mark.parametrize("target", ["..", "../../../home", "/", "{home}"])
def test_a_link_that_an_earlier_entry_planted_leads_nowhere(place: Place, target: str) -> None:
    (place.workspace / "deps").mkdir()
    (place.workspace / "deps" / "l").symlink_to(target.format(home=place.home))
    before = everything(place)

    place.restore(Tar().file("deps/l/secret", b"overwritten").packed())

    assert (place.home / "secret").read_text() == "hush"
    assert (place.workspace / "deps" / "l" / "secret").read_text() == "overwritten"
    assert everything(place).keys() - before.keys() == {"work/repo/deps/l/secret"}


def test_a_link_in_the_place_of_the_path_is_replaced(place: Place) -> None:
    (place.workspace / "deps").symlink_to(place.home)

    place.restore(Tar().folder("deps").file("deps/secret", b"overwritten").packed())

    assert (place.home / "secret").read_text() == "hush"
    assert not (place.workspace / "deps").is_symlink()


def test_the_mode_of_a_folder_is_not_set_through_a_link(place: Place) -> None:
    mode = place.home.stat().st_mode

    place.restore(
        Tar().folder("deps").folder("deps/f", mode=0o777).link("deps/f", str(place.home)).packed()
    )

    assert place.home.stat().st_mode == mode
    assert (place.workspace / "deps" / "f").is_symlink()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(records=2), "has more than 2 members"),
        (Limits(size_bytes=100_000), "expands to more than"),
        (Limits(expansion=10, expansion_above_bytes=1_500_000), "expands to more than"),
    ],
)
def test_an_archive_that_grows_beyond_what_is_sane_is_refused(
    place: Place, limits: Limits, reason: str
) -> None:
    tar = Tar().folder("deps").file("deps/a", bytes(2_000_000)).file("deps/b")
    before = everything(place)

    with pytest.raises(UnsafeEntry) as caught:
        place.restore(tar.packed(), limits=limits)

    assert reason in str(caught.value)
    assert everything(place) == before


NAMES = (
    "deps",
    "deps/",
    "deps/a",
    "deps/a/b",
    "deps/a/b/c",
    "deps/l",
    "deps/l/x",
    "deps/l/x/y",
    "./deps//b",
    "deps/./a",
    "deps/..",
    "deps/../mine",
    ".",
    "mine",
    "../../home/secret",
    "../../home",
    "/{home}/secret",
)
TARGETS = ("a", "l", "..", "../..", "../../../home", "a/../..", "deps/a", "deps/l", "{home}", "/")


@given(
    members=st.lists(
        st.tuples(
            st.sampled_from(["file", "folder", "link", "hard_link"]),
            st.sampled_from(NAMES),
            st.sampled_from(TARGETS),
        ),
        max_size=8,
    ),
    is_there=st.booleans(),
)
def test_no_archive_whatsoever_changes_anything_outside(
    tmp_path_factory: pytest.TempPathFactory,
    members: list[tuple[str, str, str]],
    *,
    is_there: bool,
) -> None:
    place = Place(tmp_path_factory.mktemp("place"))
    (place.home / "secret").write_text("hush")
    (place.workspace / "mine").write_text("mine")
    if is_there:
        (place.workspace / "deps" / "a").mkdir(parents=True)
        (place.workspace / "deps" / "l").symlink_to("../../../home")
    outside = without_deps(place)
    tar = Tar()
    for kind, name, target in members:
        name, target = (text.format(home=place.home) for text in (name, target))  # noqa: PLW2901
        getattr(tar, kind)(name, *([target] if "link" in kind else []))

    with suppress(CacheError):
        place.restore(tar.packed())

    assert without_deps(place) == outside


def without_deps(place: Place) -> dict[str, tuple[int, int, bytes]]:
    found = everything(place)
    return {
        name: what for name, what in found.items() if not f"{name}/".startswith("work/repo/deps/")
    }
