"""Folders to cache, with everything in them that a file system knows."""

import hashlib
import os
from pathlib import Path
from stat import S_IMODE
from typing import Final

MIB: Final = 1024 * 1024
# Larger archives are uploaded in blocks (protocol §4.1).
BLOCKS_ABOVE_BYTES: Final = 128 * MIB
PIECE_BYTES: Final = 8 * MIB


def plant(folder: Path, *, size_bytes: int) -> None:
    """Make `folder`: files of all kinds, of which one is `size_bytes` that nothing can compress."""
    nested = folder / "naïve café" / "один два" / "深い フォルダ"
    nested.mkdir(parents=True)
    (folder / "empty folder").mkdir()
    (folder / "private").mkdir(mode=0o700)
    _write(folder / "zero", b"", 0o644)
    _write(folder / "run me", b"#!/bin/sh\necho ran\n", 0o755)
    _write(folder / "read only", b"look, do not touch", 0o444)
    _write(folder / "private" / "secret", b"hush", 0o600)
    _write(folder / ".hidden", b"still here", 0o644)
    _write(folder / "--version", b"a name, not an option", 0o644)
    _write(nested / "ünïcode 🎉.txt", "žluťoučký".encode(), 0o644)
    (folder / "link to file").symlink_to("run me")
    (folder / "link to folder").symlink_to("naïve café/один два")
    (nested / "link upwards").symlink_to("../../../zero")
    (folder / "broken link").symlink_to("nowhere at all")
    (folder / "absolute link").symlink_to("/nowhere/either")
    with (folder / "large").open("wb") as large:
        for start in range(0, size_bytes, PIECE_BYTES):
            large.write(os.urandom(min(PIECE_BYTES, size_bytes - start)))


def described(folder: Path) -> dict[str, str]:
    """Return for each name below `folder` its kind, its mode, and its contents or target."""
    return {str(path.relative_to(folder)): _description(path) for path in folder.rglob("*")}


def _description(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    mode = f"{S_IMODE(path.stat().st_mode):o}"
    if path.is_dir():
        return f"folder {mode}"
    with path.open("rb") as file:
        return f"file {mode} {hashlib.file_digest(file, 'blake2b').hexdigest()}"


def _write(file: Path, content: bytes, mode: int) -> None:
    file.write_bytes(content)
    file.chmod(mode)
