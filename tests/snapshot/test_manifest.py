"""The manifest: what is written is read again, and what could not have been written is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runcache.errors import BrokenEntry, CacheError, UnsafeEntry
from runcache.snapshot.limits import Limits
from runcache.snapshot.manifest import Chunks, Frames, Manifest, Pack, Record
from tests.snapshot.hostile import CASES, FOLDER_OF_FILES
from tests.snapshot.manifests import DIGESTS, FILE, FOLDER, LINK, SAMPLE, sample_columns, spoiled


def as_lists(manifest: Manifest) -> Manifest:
    """Return a manifest that can be compared: arrays become lists."""
    return replace(
        manifest,
        modes=list(manifest.modes),
        mtimes_ns=list(manifest.mtimes_ns),
        chunks=replace(
            manifest.chunks,
            digests=tuple(manifest.chunks.digests),
            lengths=list(manifest.chunks.lengths),
        ),
        frames=replace(
            manifest.frames,
            sizes=list(manifest.frames.sizes),
            lengths=list(manifest.frames.lengths),
        ),
    )


def test_what_is_encoded_is_decoded_to_the_same() -> None:
    decoded = Manifest.decode(SAMPLE.encode())

    assert as_lists(decoded) == SAMPLE


def test_the_same_manifest_has_the_same_bytes() -> None:
    decoded = Manifest.decode(SAMPLE.encode())

    assert decoded.encode() == SAMPLE.encode()


def test_an_empty_snapshot_is_one_too() -> None:
    nothing = Manifest(
        root_starts=[0, 0],
        names=[],
        modes=[],
        mtimes_ns=[],
        sizes=[],
        targets={},
        content_starts=[0],
        contents=[],
        chunks=Chunks((), [], [], []),
        frames=Frames([], [], [], []),
        packs=[],
    )

    decoded = Manifest.decode(nothing.encode())

    assert as_lists(decoded) == nothing
    assert list(decoded.records()) == []


def test_records_are_listed_by_root_and_name() -> None:
    decoded = Manifest.decode(SAMPLE.encode())

    assert list(decoded.records()) == [
        Record(0, b"", FOLDER, 1, 0, None),
        Record(0, b"a", FOLDER, 2, 0, None),
        Record(0, b"a/b", FILE, 3, 100, None),
        Record(0, b"big", FILE, 4, 500, None),
        Record(0, b"link", LINK, 5, 0, b"a/b"),
        Record(1, b"", FILE, -6, 0, None),
    ]
    assert decoded.size_bytes == 600
    assert list(decoded.chunks_of(3)) == [1, 2]


def test_odd_names_and_targets_are_kept() -> None:
    names = [b"", b"\x01\n", b"\xff\xfe", b"a" * 255, "ü".encode(), b""]
    manifest = replace(SAMPLE, names=sorted(names[:-1]) + names[-1:], targets={4: b"\xff" * 4095})

    decoded = Manifest.decode(manifest.encode())

    assert decoded.names == manifest.names
    assert decoded.targets == manifest.targets


@pytest.mark.parametrize("name", CASES)
def test_what_nobody_could_have_saved_is_refused_with_its_reason(name: str) -> None:
    data = (FOLDER_OF_FILES / name).read_bytes()
    _, kind, message = CASES[name]

    with pytest.raises(kind) as refused:
        Manifest.decode(data)

    assert type(refused.value) is kind
    assert str(refused.value).startswith(message)


def test_every_hostile_manifest_has_its_reason() -> None:
    files = {file.name for file in FOLDER_OF_FILES.iterdir()}

    assert files == set(CASES)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(manifest_bytes=100), "which exceeds the limit"),
        (Limits(records=5), "the manifest has too many files"),
        (Limits(references=2), "the manifest has too many files"),
        (Limits(size_bytes=599), "390 bytes of the manifest's packs become 600"),
        (Limits(expansion=1, expansion_above_bytes=599), "packs become 600"),
    ],
)
def test_more_than_the_limits_allow_is_refused(limits: Limits, message: str) -> None:
    with pytest.raises(UnsafeEntry, match=message):
        Manifest.decode(SAMPLE.encode(), limits)


def test_what_the_limits_just_allow_is_accepted() -> None:
    limits = Limits(records=6, references=3, size_bytes=600, expansion=2, expansion_above_bytes=0)

    assert Manifest.decode(SAMPLE.encode(), limits).size_bytes == 600


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    encoded = bytearray(SAMPLE.encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(BrokenEntry):
        Manifest.decode(bytes(encoded))


@given(st.data())
def test_no_columns_do_anything_but_be_refused_or_accepted(data: st.DataObject) -> None:
    columns = sample_columns()
    column = data.draw(st.sampled_from(columns.__struct_fields__))
    former = bytearray(getattr(columns, column))
    changed = data.draw(
        st.binary(max_size=40)
        | st.builds(
            lambda at, bits: bytes(
                byte ^ bits if number == at % len(former) else byte
                for number, byte in enumerate(former)
            ),
            st.integers(0, 100),
            st.integers(1, 255),
        )
    )

    try:
        manifest = Manifest.decode(spoiled(**{column: changed}))
    except CacheError:
        return
    assert Manifest.decode(manifest.encode()).encode() == manifest.encode()


def test_a_pack_is_known_by_name_and_size() -> None:
    decoded = Manifest.decode(SAMPLE.encode())

    assert decoded.packs == [Pack("7-0", 100), Pack("9-12", 300)]
    assert decoded.chunks.digests == list(DIGESTS)
