"""Headers of tar: ours are read by others, and theirs by us."""

import io
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.client.tar import (
    BLOCK_BYTES,
    END,
    HeaderReader,
    Kind,
    Member,
    Owner,
    encoded,
    is_end,
)
from runcache.errors import BrokenEntry

FILE = Member(name=b"deps/file", kind=Kind.FILE, mode=0o640, mtime_ns=1_700_000_000_123_456_789)

# Any bytes but NUL and the slash at both ends, as names on a disk are.
NAMES = st.binary(min_size=1, max_size=400).filter(
    lambda name: b"\0" not in name and not name.startswith(b"/") and not name.endswith(b"/")
)
# What 64 bits of nanoseconds hold.
TIMES = st.integers(min_value=-(2**62), max_value=2**62)


def decoded(archive: bytes) -> list[tuple[Member, bytes]]:
    """Read an archive that is whole, with the contents of each member."""
    reader = HeaderReader()
    found = []
    position = 0
    while not is_end(block := archive[position : position + BLOCK_BYTES]):
        position += BLOCK_BYTES
        extension_bytes = reader.extension_bytes(block)
        if extension_bytes is not None:
            reader.extend(block, archive[position : position + extension_bytes])
            position += extension_bytes + -extension_bytes % BLOCK_BYTES
            continue
        member = reader.member(block)
        found.append((member, archive[position : position + member.size_bytes]))
        position += member.size_bytes + member.padding_bytes
    return found


def member_of(data: bytes) -> Member:
    ((member, _),) = decoded(data)
    return member


@given(
    name=NAMES,
    target=NAMES,
    kind=st.sampled_from([Kind.FILE, Kind.FOLDER, Kind.LINK, Kind.HARD_LINK]),
    mode=st.integers(0, 0o7777),
    mtime_ns=TIMES,
)
def test_what_is_written_is_read(
    name: bytes, target: bytes, kind: Kind, mode: int, mtime_ns: int
) -> None:
    has_target = kind in {Kind.LINK, Kind.HARD_LINK}
    member = Member(
        name=name,
        kind=kind,
        mode=mode,
        mtime_ns=mtime_ns,
        target=target if has_target else b"",
    )

    found = member_of(encoded(member, Owner()) + END)

    # A folder is told by the slash behind its name.
    assert replace(found, name=found.name.rstrip(b"/")) == member if kind is Kind.FOLDER else found


@given(name=NAMES.filter(lambda name: name.isascii()), size_bytes=st.integers(0, 10_000))
def test_the_standard_library_reads_what_is_written(name: bytes, size_bytes: int) -> None:
    member = replace(FILE, name=name, size_bytes=size_bytes)
    owner = Owner(uid=1000, gid=3_000_000, user=b"someone", group=b"everyone")
    contents = bytes(range(256)) * 40
    data = encoded(member, owner) + contents[:size_bytes] + bytes(member.padding_bytes) + END

    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        (found,) = archive.getmembers()
        file = archive.extractfile(found)
        assert file is not None
        read = file.read()

    assert found.name.encode("utf-8", "surrogateescape") == name
    assert (found.size, read) == (size_bytes, contents[:size_bytes])
    assert (found.uid, found.gid, found.uname, found.gname) == (
        1000,
        3_000_000,
        "someone",
        "everyone",
    )
    assert found.mode == 0o640
    assert found.mtime == pytest.approx(1_700_000_000.123, abs=0.001)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_form_of_tar_is_read(form: int) -> None:
    long_name = "/".join(["folder" * 5] * (2 if form == tarfile.USTAR_FORMAT else 9))
    names = ["short", f"{long_name}/file", f"{long_name}/other"]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=form) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = 700, 1_700_000_000, 0o755
            tar.addfile(info, io.BytesIO(b"x" * 700))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, f"../{long_name[:80]}"
        tar.addfile(link)

    found = decoded(archive.getvalue())

    assert [member.name.decode() for member, _ in found] == [*names, "link"]
    assert [contents for _, contents in found] == [b"x" * 700] * 3 + [b""]
    assert {member.mode for member, _ in found[:3]} == {0o755}
    assert {member.mtime_ns for member, _ in found[:3]} == {1_700_000_000 * 10**9}
    assert found[3][0].target.decode() == f"../{long_name[:80]}"


def test_a_size_that_octal_digits_have_no_room_for_is_kept() -> None:
    member = replace(FILE, size_bytes=9 * 2**33)

    header = encoded(member, Owner())
    reader = HeaderReader()
    extension_bytes = reader.extension_bytes(header[:BLOCK_BYTES])
    assert extension_bytes is not None
    reader.extend(header[:BLOCK_BYTES], header[BLOCK_BYTES : BLOCK_BYTES + extension_bytes])

    assert reader.member(header[-BLOCK_BYTES:]).size_bytes == 9 * 2**33


def test_what_a_header_says_of_all_members_counts_for_none() -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", pax_headers={"comment": "x", "path": "y"}) as tar:
        tar.addfile(tarfile.TarInfo("file"))

    assert member_of(archive.getvalue()).name == b"file"


def extended(records: bytes) -> bytes:
    """Return an archive of one file, behind an extension with these records."""
    extension = replace(FILE, size_bytes=len(records), mtime_ns=0)
    header = bytearray(encoded(extension, Owner()))
    header[156:157] = b"x"
    checksum = sum(header[:148]) + 8 * 0x20 + sum(header[156:])
    header[148:156] = b"%06o\0 " % checksum
    file = encoded(replace(FILE, mtime_ns=0), Owner())
    return bytes(header) + records + bytes(-len(records) % 512) + file + END


@pytest.mark.parametrize(
    "records",
    [
        b"nonsense",
        b"11 path=too short\n",
        b"99 path=x\n",
        b"0 path=x\n",
        b"10 path=ab ",
        b"9 size=-1\n",
        b"30 size=99999999999999999999\n",
        b"13 mtime=inf\n",
        b"13 mtime=1e9\n",
        b"24 mtime=999999999999999\n",
        b"23 mtime=999999999999\n",
        b"22 GNU.sparse.major=1\n",
        b"-5 path=x\n",
    ],
)
def test_an_extension_that_cannot_be_read_is_broken(records: bytes) -> None:
    with pytest.raises(BrokenEntry):
        decoded(extended(records))


@given(position=st.integers(0, BLOCK_BYTES - 1), bit=st.integers(0, 7))
def test_a_bit_that_flips_in_a_header_is_noticed(position: int, bit: int) -> None:
    header = bytearray(encoded(replace(FILE, mtime_ns=0), Owner()))
    header[position] ^= 1 << bit

    # But for those of the checksum that say nothing.
    if not 154 <= position < 156:
        with pytest.raises(BrokenEntry):
            HeaderReader().extension_bytes(bytes(header))


def test_a_header_that_is_too_long_is_refused() -> None:
    long = bytearray(encoded(replace(FILE, size_bytes=2**30), Owner())[-BLOCK_BYTES:])
    long[156:157] = b"L"
    long[148:156] = b"%06o\0 " % (sum(long[:148]) + 8 * 0x20 + sum(long[156:]))

    with pytest.raises(BrokenEntry):
        HeaderReader().extension_bytes(bytes(long))


@given(st.binary(min_size=BLOCK_BYTES, max_size=BLOCK_BYTES))
def test_noise_is_no_header(block: bytes) -> None:
    if is_end(block):
        return
    with pytest.raises(BrokenEntry):
        HeaderReader().extension_bytes(block)
