"""The format of tar: headers read and written, in the POSIX form that `tar --posix` writes.

Read are the older forms, too: ustar, and the long names of GNU. Names are bytes, as on the disk.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runcache.errors import BrokenEntry

BLOCK_BYTES: Final = 512
END: Final = bytes(2 * BLOCK_BYTES)
"""What the last member is followed by."""

# Headers that carry names and times for the next one: nobody needs as much.
MAX_EXTENSION_BYTES: Final = 1024 * 1024
NANOSECONDS: Final = 1_000_000_000

_MAX_OCTAL_SIZE: Final = 8**11 - 1
_MAX_OCTAL_ID: Final = 8**7 - 1
_MAX_NAME_BYTES: Final = 100
_MAX_SECONDS: Final = 2**36  # the year 4147
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,7}) ([^=\n]+)=")
_TIME: Final = re.compile(rb"(-?)([0-9]{1,12})(?:\.([0-9]{1,40}))?")
_EXTENSIONS: Final = {b"x": None, b"L": b"path", b"K": b"linkpath"}


class Kind(Enum):
    """What a member is; all that is none of these is `OTHER`."""

    FILE = b"0"
    HARD_LINK = b"1"
    LINK = b"2"
    FOLDER = b"5"
    PIPE = b"6"
    OTHER = b""


_KINDS: Final = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.LINK,
    b"5": Kind.FOLDER,
    b"6": Kind.PIPE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who owns a member, by numbers and names."""

    uid: int = 0
    gid: int = 0
    user: bytes = b""
    group: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One header: `size_bytes` of contents follow it, filled up to whole blocks.

    `target` is where a link leads, or the name of the member that a hard link is the same file as.
    """

    name: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    size_bytes: int = 0
    target: bytes = b""

    @property
    def padding_bytes(self) -> int:
        """How many bytes fill up the last block of the contents."""
        return -self.size_bytes % BLOCK_BYTES


def encoded(member: Member, owner: Owner) -> bytes:
    """Return the header of a member, and before it one with what has no room in it."""
    name = member.name + b"/" if member.kind is Kind.FOLDER else member.name
    seconds, nanoseconds = divmod(member.mtime_ns, NANOSECONDS)
    records: dict[str, bytes] = {}
    if len(name) > _MAX_NAME_BYTES or not name.isascii():
        records["path"] = name
    if len(member.target) > _MAX_NAME_BYTES or not member.target.isascii():
        records["linkpath"] = member.target
    if member.size_bytes > _MAX_OCTAL_SIZE:
        records["size"] = b"%d" % member.size_bytes
    if nanoseconds or not 0 <= seconds <= _MAX_OCTAL_SIZE:
        records["mtime"] = _time(member.mtime_ns)
    for field, number in (("uid", owner.uid), ("gid", owner.gid)):
        if number > _MAX_OCTAL_ID:
            records[field] = b"%d" % number
    header = _header(
        name=name,
        kind=member.kind.value,
        mode=member.mode,
        size_bytes=member.size_bytes,
        seconds=seconds,
        target=member.target,
        owner=owner,
    )
    return _extension(records) + header


class HeaderReader:
    """Turns blocks into members. It keeps what extensions say of the member behind them."""

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}

    def extension_bytes(self, block: bytes) -> int | None:
        """Return how long the extension is whose header `block` is, `None` for no extension.

        Raises:
            BrokenEntry: the block is no header, or the extension too long.
        """
        _verify(block)
        if block[156:157] not in {*_EXTENSIONS, b"g"}:
            return None
        size_bytes = _number(block[124:136])
        if size_bytes > MAX_EXTENSION_BYTES:
            raise BrokenEntry("the archive has a header that is too long")
        return size_bytes

    def extend(self, block: bytes, contents: bytes) -> None:
        """Take in an extension, whose header was `block`."""
        kind = block[156:157]
        field = _EXTENSIONS.get(kind)
        if field is not None:
            self._records[field] = contents.partition(b"\0")[0]
        elif kind == b"x":
            self._records.update(_records(contents))

    def member(self, block: bytes) -> Member:
        """Return the member whose header `block` is; its contents follow.

        Raises:
            BrokenEntry: it cannot be read.
        """
        records, self._records = self._records, {}
        if any(key.startswith(b"GNU.sparse.") for key in records):
            raise BrokenEntry("the archive holds a file with holes, which cannot be read")
        name = records.get(b"path") or _name(block)
        mtime = records.get(b"mtime")
        size = records.get(b"size")
        kind = _KINDS.get(block[156:157], Kind.OTHER)
        is_folder = kind is Kind.FOLDER or (kind is Kind.FILE and name.endswith(b"/"))
        return Member(
            name=name,
            kind=Kind.FOLDER if is_folder else kind,
            mode=_number(block[100:108]),
            mtime_ns=_time_in(b"%d" % _number(block[136:148]) if mtime is None else mtime),
            size_bytes=_size(block, size) if kind is Kind.FILE else 0,
            target=records.get(b"linkpath") or _text(block[157:257]),
        )


def is_end(block: bytes) -> bool:
    """Say whether a block is one of those behind the last member."""
    return not any(block)


def _header(
    *,
    name: bytes,
    kind: bytes,
    mode: int,
    size_bytes: int,
    seconds: int,
    target: bytes,
    owner: Owner,
) -> bytes:
    block = b"".join(
        (
            name[:_MAX_NAME_BYTES].ljust(100, b"\0"),
            b"%07o\0" % (mode & 0o7777),
            b"%07o\0" % min(owner.uid, _MAX_OCTAL_ID),
            b"%07o\0" % min(owner.gid, _MAX_OCTAL_ID),
            b"%011o\0" % min(size_bytes, _MAX_OCTAL_SIZE),
            b"%011o\0" % min(max(seconds, 0), _MAX_OCTAL_SIZE),
            b"        ",
            kind,
            target[:_MAX_NAME_BYTES].ljust(100, b"\0"),
            b"ustar\x0000",
            owner.user[:31].ljust(32, b"\0"),
            owner.group[:31].ljust(32, b"\0"),
            b"0000000\x000000000\0",
        )
    ).ljust(BLOCK_BYTES, b"\0")
    return b"%s%06o\0 %s" % (block[:148], sum(block), block[156:])


def _extension(records: Mapping[str, bytes]) -> bytes:
    if not records:
        return b""
    contents = b"".join(_record(key.encode(), value) for key, value in records.items())
    header = _header(
        name=b"PaxHeaders/0",
        kind=b"x",
        mode=0o644,
        size_bytes=len(contents),
        seconds=0,
        target=b"",
        owner=Owner(),
    )
    return header + contents + bytes(-len(contents) % BLOCK_BYTES)


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    # The length counts its own digits.
    while length != len(rest) + len(b"%d" % length):
        length = len(rest) + len(b"%d" % length)
    return b"%d%s" % (length, rest)


def _records(contents: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(contents):
        found = _RECORD.match(contents, position)
        end = position + int(found[1]) if found else 0
        if found is None or end <= found.end() or contents[end - 1 : end] != b"\n":
            raise BrokenEntry("the archive has a header that cannot be read")
        yield found[2], contents[found.end() : end - 1]
        position = end


def _verify(block: bytes) -> None:
    checksum = sum(block) - sum(block[148:156]) + 8 * 0x20
    if block[148:156].strip(b" \0").lstrip(b"0") != b"%o" % checksum:
        raise BrokenEntry("what was saved is not an archive, or it is torn")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        # Base 256, for what octal digits have no room for; the first bit only says so.
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise BrokenEntry("the archive has a header that cannot be read") from None


def _size(block: bytes, record: bytes | None) -> int:
    if record is None:
        return _number(block[124:136])
    if not (record.isdigit() and len(record) <= 18):  # noqa: PLR2004  -- digits that 64 bits hold
        raise BrokenEntry("the archive has a header that cannot be read")
    return int(record)


def _name(block: bytes) -> bytes:
    name, prefix = _text(block[:100]), _text(block[345:500])
    # GNU keeps other things where POSIX has the beginning of a long name.
    is_posix = block[257:263] == b"ustar\0"
    return b"%s/%s" % (prefix, name) if prefix and is_posix else name


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _time(nanoseconds: int) -> bytes:
    seconds, rest = divmod(abs(nanoseconds), NANOSECONDS)
    sign = b"-" if nanoseconds < 0 else b""
    return b"%s%d.%09d" % (sign, seconds, rest) if rest else b"%s%d" % (sign, seconds)


def _time_in(record: bytes) -> int:
    found = _TIME.fullmatch(record)
    if found is None or int(found[2]) > _MAX_SECONDS:
        raise BrokenEntry("the archive has a header that cannot be read")
    nanoseconds = int(found[2]) * NANOSECONDS + int((found[3] or b"0")[:9].ljust(9, b"0"))
    return -nanoseconds if found[1] else nanoseconds
