"""In what versions differ, by trying what people mix up and by what clients told."""

from collections.abc import Sequence

import pytest

from runcache.insight.explain import Difference, Input, Inputs
from runcache.insight.explain.inputs import difference_table, differences_from, inputs_of
from runcache.records import Origin
from runcache.versions import SNAPSHOT, cache_version

ZSTD = "zstd-without-long"


def origin(
    *paths: str,
    compression: str | None = ZSTD,
    system: str | None = "Linux",
    cross_os: bool | None = False,
) -> Origin:
    return Origin(
        ref="refs/heads/main",
        event=None,
        run=None,
        paths=paths or None,
        compression=compression,
        system=system,
        cross_os=cross_os,
        format="archive",
    )


def changed(asked: Sequence[str], saved: Sequence[str]) -> Difference:
    return Difference(Input.PATHS, "\n".join(asked), "\n".join(saved))


@pytest.mark.parametrize(
    ("asked", "saved"),
    [
        (["a", "b", "c"], ["c", "a", "b"]),
        (["a", "b"], ["a"]),
        (["a", "b", "c"], ["a", "c"]),
        (["dist"], ["dist/"]),
        (["dist/", "lib"], ["dist", "lib"]),
        (["./dist"], ["dist"]),
        (["dist"], ["./dist"]),
        (["~/.npm", "dist"], ["$HOME/.npm", "dist"]),
        (["/home/runner/.npm"], ["~/.npm"]),
        (["e", "d", "c", "b", "a"], ["a", "b", "c", "d", "e"]),
    ],
)
def test_paths_that_are_easily_mistaken_are_found(asked: list[str], saved: list[str]) -> None:
    table = difference_table(Inputs(paths=tuple(asked), compression=ZSTD))

    assert table[cache_version(saved)] == (changed(asked, saved),)


def test_other_formats_are_found() -> None:
    table = difference_table(Inputs(paths=("dist",), compression=ZSTD))

    for compression in ("gzip", SNAPSHOT, "zstd", None):
        (difference,) = table[cache_version(["dist"], compression)]
        assert difference == Difference(Input.COMPRESSION, ZSTD, compression)


def test_an_entry_for_windows_is_found_and_one_for_others() -> None:
    for_linux = difference_table(Inputs(paths=("dist",), compression=ZSTD))
    for_windows = difference_table(Inputs(paths=("dist",), compression=ZSTD, system="Windows"))

    on_windows = cache_version(["dist"], os="Windows")
    assert for_linux[on_windows] == (Difference(Input.SYSTEM, "Linux", "Windows"),)
    assert for_windows[cache_version(["dist"])] == (Difference(Input.SYSTEM, "Windows", None),)


def test_an_entry_for_all_systems_is_told_from_one_for_windows() -> None:
    for_windows = Inputs(paths=("dist",), compression=ZSTD, system="Windows")
    for_all = Inputs(paths=("dist",), compression=ZSTD, system="Windows", cross_os=True)

    (found,) = differences_from(for_windows, origin("dist", system="Windows", cross_os=True))
    (other,) = differences_from(for_all, origin("dist", system="Windows"))

    assert (found.asked, found.saved) == ("Windows", "all systems")
    assert (other.asked, other.saved) == ("all systems", "Windows")


def test_two_mistakes_at_once_are_found() -> None:
    table = difference_table(Inputs(paths=("a", "b"), compression=ZSTD))

    differences = table[cache_version(["b", "a"], "gzip", "Windows")]

    assert [difference.input for difference in differences] == list(Input)


def test_what_our_own_client_takes_makes_no_difference() -> None:
    inputs = Inputs(paths=("dist",))
    table = difference_table(inputs)

    assert inputs.versions == tuple(
        cache_version(["dist"], compression) for compression in (SNAPSHOT, ZSTD, "gzip")
    )
    assert all(table[version] == () for version in inputs.versions)


def test_many_paths_are_not_tried_in_all_orders() -> None:
    table = difference_table(Inputs(paths=tuple(map(str, range(200))), compression=ZSTD))

    assert len(table) <= 10


def test_what_the_client_told_is_compared() -> None:
    asked = Inputs(paths=("a",), compression=ZSTD, system="Windows")

    found = differences_from(asked, origin("b", compression="gzip", system="macOS"))

    assert found == (
        changed(["a"], ["b"]),
        Difference(Input.COMPRESSION, ZSTD, "gzip"),
        Difference(Input.SYSTEM, "Windows", "macOS"),
    )


def test_without_inputs_of_ones_own_those_of_the_entry_are_told() -> None:
    assert differences_from(None, origin("a", "b")) == (
        Difference(Input.PATHS, None, "a\nb"),
        Difference(Input.COMPRESSION, None, ZSTD),
    )


def test_clients_that_tell_nothing_leave_it_open() -> None:
    silent = origin()

    assert differences_from(Inputs(paths=("a",)), silent) == ()
    assert inputs_of(silent) is None


def test_an_entry_tells_what_its_version_was_made_of() -> None:
    assert inputs_of(origin("a", system=None, cross_os=None)) == Inputs(
        paths=("a",), compression=ZSTD
    )
