"""Patterns: searches compared with GitHub's library, and patterns that nobody would write."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from runcache.errors import CacheError
from runcache.globs.hashing import hash_files
from tests.globs.differences import compared
from tests.globs.trees import PIECES, make_searches

MAX_SECONDS: Final = 1
MAX_LENGTH: Final = 21_000
BATCH: Final = 500


def differences(random: Random, count: int) -> Iterator[str]:
    """Yield the searches on which GitHub's library differs where it should not."""
    for begin in range(0, count, BATCH):
        with _folder() as folder:
            searches = make_searches(folder, random, count=min(BATCH, count - begin))
            for case in compared(searches):
                if not case.agrees() and case.reason() is None:
                    yield str(case)


def mishaps(random: Random, count: int) -> Iterator[str]:
    """Yield the patterns that end otherwise than in a digest or an error of ours, or too late."""
    with _folder() as folder:
        (search,) = islice(make_searches(folder, random, count=1), 1)
        for name in ("a" * 255, "ab" * 127, "a/b/a/b/a/b/a/b/a"):
            # No generated name is this long, so that no generated file is in the way.
            file = search.folder / "hostile-patterns" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        for _ in range(count):
            text = hostile_text(random)
            if (mishap := mishap_of(text, search.folder)) is not None:
                yield f"{text[:500]!r} ({len(text)} characters)\n    {mishap}"


def mishap_of(text: str, folder: Path) -> str | None:
    """Return what goes wrong with a text as patterns."""
    begin = time.process_time()
    try:
        hash_files([text], root=folder, home=folder)
    except CacheError:
        pass
    except Exception as exc:  # noqa: BLE001  -- that there is none is what is tried
        return f"{type(exc).__name__}: {exc}"
    seconds = time.process_time() - begin
    return f"{seconds:.1f} s" if seconds > MAX_SECONDS else None


def hostile_text(random: Random) -> str:
    """Make a text of any characters, of pieces of patterns, or of one such over and over."""
    return random.choice((_characters, _pieces, _repetition))(random)


def _characters(random: Random) -> str:
    highest = random.choice((0x7F, 0xFF, 0xFFFF, 0x10FFFF))
    return "".join(chr(random.randint(0, highest)) for _ in range(random.randint(0, 60)))


def _pieces(random: Random) -> str:
    return "".join(random.choices([*PIECES, "/", "\n", "**/"], k=random.randint(1, 40)))


def _repetition(random: Random) -> str:
    piece = "".join(random.choices([*PIECES, "/", "\n", "**/"], k=random.randint(1, 4)))
    return piece * (random.choice((100, 1000, MAX_LENGTH)) // len(piece)) + random.choice(PIECES)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runcache-fuzz-") as folder:
        yield Path(folder).resolve()
