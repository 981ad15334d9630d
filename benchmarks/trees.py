"""Folders as dependencies are: many small texts, more binaries, and a change to some of them.

Everything comes from a seed, so that two runs, or two programs, are measured on the same bytes.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

FILES: Final = 12_000
SIZE_BYTES: Final = 320_000_000
# Of all files; the others are binaries, of which the second half is zeros.
TEXT_SHARE: Final = 0.45
CHANGED_SHARE: Final = 0.05

_TEXT_BYTES: Final = 4_000
_FILES_PER_FOLDER: Final = 8
_FOLDERS_PER_PACKAGE: Final = 5
# Long ago, so that no program takes a file for one that is being written.
_EPOCH_NS: Final = 1_700_000_000_000_000_000
_YEAR_NS: Final = 365 * 24 * 3600 * 1_000_000_000


def plant(folder: Path, *, files: int = FILES, size_bytes: int = SIZE_BYTES, seed: int = 1) -> None:
    """Make `folder` with so many files, which have about `size_bytes` together.

    Files lie three folders deep, as those of packages do. Their times are all different.
    """
    random = Random(seed)  # noqa: S311  -- a tree to measure with is no secret
    words = _vocabulary(random)
    texts = round(files * TEXT_SHARE)
    binary_bytes = (size_bytes - texts * _TEXT_BYTES) / (files - texts)
    is_text = [True] * texts + [False] * (files - texts)
    random.shuffle(is_text)
    for path, text in zip(_paths(folder, files), is_text, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _text(random, words) if text else _binary(random, binary_bytes), random)


def change(folder: Path, *, share: float = CHANGED_SHARE, seed: int = 2) -> int:
    """Give that share of the files other contents of about the same size; return how many."""
    random = Random(seed)  # noqa: S311  -- as above
    words = _vocabulary(random)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    changed = random.sample(paths, round(len(paths) * share))
    for path in changed:
        is_text = path.suffix == ".js"
        content = _text(random, words) if is_text else _binary(random, path.stat().st_size)
        _write(path, content, random)
    return len(changed)


def _paths(folder: Path, files: int) -> Iterator[Path]:
    per_package = _FILES_PER_FOLDER * _FOLDERS_PER_PACKAGE
    for number in range(files):
        package, rest = divmod(number, per_package)
        inner, _ = divmod(rest, _FILES_PER_FOLDER)
        # The kind of a file shows in its name only once it is known: see `_write`.
        yield folder / f"package-{package:04}" / f"part-{inner}" / f"module_{number:05}"


def _write(path: Path, content: bytes, random: Random) -> None:
    target = path.with_suffix(".bin" if content.endswith(b"\0") else ".js")
    target.write_bytes(content)
    time_ns = _EPOCH_NS + random.randrange(_YEAR_NS)
    os.utime(target, ns=(time_ns, time_ns))


def _vocabulary(random: Random) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(random.choices(letters, k=random.randint(2, 9))) for _ in range(3000)]
    signs = [" = ", "(", ");\n", " {\n  ", "}\n", ".", ", ", "const ", "return ", "\n\n"]
    return words + signs * 150


def _text(random: Random, words: list[str]) -> bytes:
    size_bytes = int(random.lognormvariate(0, 0.8) * _TEXT_BYTES * 0.73) + 1
    return " ".join(random.choices(words, k=size_bytes // 5 + 1)).encode()


def _binary(random: Random, mean_bytes: float) -> bytes:
    size_bytes = int(random.lognormvariate(0, 0.8) * mean_bytes * 0.73) + 2
    return random.randbytes(size_bytes // 2) + bytes(size_bytes - size_bytes // 2)
