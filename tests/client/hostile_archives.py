"""Archives that somebody made to do harm, and what is said of each.

All of them come to a restore of the path `deps`. `OUTSIDE` is a folder that they must not touch.
"""

import io
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import zstandard

from tests.client.archive_maker import Tar

OUTSIDE: Final = "../../home"
NOISE: Final = random.Random(1).randbytes(1_000_000)


@dataclass(frozen=True)
class Hostile:
    """An archive, and what its refusal says. `make` gets the absolute path of `OUTSIDE`."""

    make: Callable[[str], bytes]
    reason: str


def packed(plain: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(plain)


def of_special(kind: bytes) -> Hostile:
    def make(_: str) -> bytes:
        return Tar().folder("deps").special("deps/x", kind).packed()

    return Hostile(make, "is no file, folder or link")


def with_name(name: bytes) -> bytes:
    """Return an archive of a file with a name that `tarfile` would not write."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("deps/x")
        info.pax_headers = {"path": name.decode("utf-8", "surrogateescape")}
        tar.addfile(info)
    return packed(archive.getvalue())


def flipped(archive: bytes, position: int) -> bytes:
    return archive[:position] + bytes([archive[position] ^ 1]) + archive[position + 1 :]


HOSTILE: Final = {
    "absolute name": Hostile(lambda at: Tar().file(f"{at}/x").packed(), "is an absolute name"),
    "absolute name of what was asked for": Hostile(
        lambda at: Tar().file(f"{at}/../work/repo/deps/x").packed(), "is an absolute name"
    ),
    "climbs out at the beginning": Hostile(
        lambda _: Tar().file(f"{OUTSIDE}/x").packed(), "is outside of the paths"
    ),
    "climbs out in the middle": Hostile(
        lambda _: Tar().folder("deps").file(f"deps/../{OUTSIDE}/x").packed(),
        "leaves a folder by `..`",
    ),
    "climbs out at the end": Hostile(
        lambda _: Tar().folder("deps/..").packed(), "leaves a folder by `..`"
    ),
    "climbs further than there is": Hostile(
        lambda _: Tar().file("../" * 90 + "etc/x").packed(), "is outside of the paths"
    ),
    "is the top of the file system": Hostile(
        lambda _: Tar().folder("../" * 90).packed(), "is outside of the paths"
    ),
    "lies beside what was asked for": Hostile(
        lambda _: Tar().file("deps").file(".git/hooks/post-checkout").packed(),
        "is outside of the paths",
    ),
    "begins like what was asked for": Hostile(
        lambda _: Tar().file("deps2/x").packed(), "is outside of the paths"
    ),
    "is the folder above": Hostile(
        lambda _: Tar().folder(".", mode=0o777).packed(), "is outside of the paths"
    ),
    "goes through its own link": Hostile(
        lambda _: Tar().folder("deps").link("deps/l", f"../{OUTSIDE}").file("deps/l/x").packed(),
        "is behind a link that leads out of the paths",
    ),
    "goes through its own absolute link": Hostile(
        lambda at: Tar().folder("deps").link("deps/l", at).file("deps/l/x").packed(),
        "is behind a link that leads out of the paths",
    ),
    "goes through a link in the place of the path": Hostile(
        lambda at: Tar().link("deps", at).file("deps/x").packed(),
        "is behind a link that leads out of the paths",
    ),
    "makes a folder through its own link": Hostile(
        lambda at: Tar().link("deps", at).folder("deps/x").packed(),
        "is behind a link that leads out of the paths",
    ),
    "links through its own link": Hostile(
        lambda at: Tar().folder("deps").link("deps/l", at).link("deps/l/x", "y").packed(),
        "is behind a link that leads out of the paths",
    ),
    "replaces a folder by a link, and goes through it": Hostile(
        lambda at: (
            Tar().folder("deps").folder("deps/f").link("deps/f", at).file("deps/f/x").packed()
        ),
        "is behind a link that leads out of the paths",
    ),
    "chains links": Hostile(
        lambda at: (
            Tar().folder("deps").link("deps/a", at).link("deps/b", "a/..").file("deps/b/x").packed()
        ),
        "is behind a link that leads out of the paths",
    ),
    "chains links without an end": Hostile(
        lambda _: Tar().link("deps/a", "b").link("deps/b", "a").file("deps/b/x").packed(),
        "is behind a link that leads out of the paths",
    ),
    "is a hard link to outside": Hostile(
        lambda _: Tar().folder("deps").hard_link("deps/x", f"{OUTSIDE}/secret").packed(),
        "is outside of the paths",
    ),
    "is an absolute hard link": Hostile(
        lambda at: Tar().folder("deps").hard_link("deps/x", f"{at}/secret").packed(),
        "is an absolute name",
    ),
    "is a hard link to a link": Hostile(
        lambda at: (
            Tar()
            .folder("deps")
            .link("deps/l", f"{at}/secret")
            .hard_link("deps/x", "deps/l")
            .packed()
        ),
        "is a hard link to what is no file",
    ),
    "is a hard link through a link": Hostile(
        lambda at: (
            Tar().folder("deps").link("deps/l", at).hard_link("deps/x", "deps/l/secret").packed()
        ),
        "is behind a link that leads out of the paths",
    ),
    "is a hard link to a folder": Hostile(
        lambda _: Tar().folder("deps").folder("deps/f").hard_link("deps/x", "deps/f").packed(),
        "is a hard link to what is no file",
    ),
    "is a hard link to nothing": Hostile(
        lambda _: Tar().folder("deps").hard_link("deps/x", "deps/y").packed(),
        "is a hard link to what is no file",
    ),
    "is a character device": of_special(b"3"),
    "is a block device": of_special(b"4"),
    "is of an unknown kind": of_special(b"V"),
    "has a name that is too long": Hostile(
        lambda _: with_name(b"deps/" + b"x/" * 3000 + b"x"), "is no name of a file"
    ),
    "has a NUL in its name": Hostile(
        lambda _: with_name(b"deps/x\0/../../y"), "is no name of a file"
    ),
    "has a header without an end": Hostile(
        lambda _: with_name(b"deps/" + b"x" * 2_000_000), "has a header that is too long"
    ),
    "is not compressed": Hostile(
        lambda _: Tar().file("deps/x").plain(), "what was saved is not an archive"
    ),
    "is a web page": Hostile(lambda _: b"<!DOCTYPE html><title>x", "is not an archive"),
    "is empty": Hostile(lambda _: b"", "is not an archive"),
    "holds no archive": Hostile(
        lambda _: packed(b"noise" * 500), "is not an archive, or it is torn"
    ),
    "is cut off while compressed": Hostile(
        lambda _: Tar().file("deps/x", NOISE).packed()[:-2000], "ends early"
    ),
    "is cut off before": Hostile(
        lambda _: packed(Tar().file("deps/x", b"x" * 5000).plain()[:3000]), "ends early"
    ),
    "has no end": Hostile(
        lambda _: packed(Tar().file("deps/x").plain()[:1024]), "the archive ends early"
    ),
    "has rotten": Hostile(
        lambda _: flipped(Tar().file("deps/x", bytes(range(256)) * 40).packed(), 300), ""
    ),
    "has a rotten checksum": Hostile(
        lambda _: flipped(Tar().file("deps/x", b"text").packed(), -1), "cannot be decompressed"
    ),
    "needs much memory to be decompressed": Hostile(
        lambda _: (
            zstandard.ZstdCompressor(
                compression_params=zstandard.ZstdCompressionParameters(
                    window_log=28, write_content_size=False
                )
            )
            .compressobj()
            .compress(Tar().file("deps/x", bytes(2**17)).plain() * 2500)
        ),
        "cannot be decompressed",
    ),
}
