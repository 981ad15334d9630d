"""What a step of a workflow learns from a restore, in the words of `actions/cache`."""

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from runcache.errors import FileUnwritable


def outputs_of(key: str, matched_key: str | None) -> Mapping[str, str]:
    """Return the outputs of a restore that found `matched_key`, or nothing.

    After a miss `cache-hit` is missing, not false (protocol §9).
    """
    outputs = {"cache-primary-key": key}
    if matched_key is not None:
        outputs["cache-matched-key"] = matched_key
        outputs["cache-hit"] = "true" if is_same_key(key, matched_key) else "false"
    return outputs


def is_same_key(one: str, other: str) -> bool:
    """Compare as the action does, which ignores case where the cache does not (protocol §9)."""
    return _folded(one) == _folded(other)


def append(file: Path, outputs: Mapping[str, str]) -> None:
    """Add outputs to `$GITHUB_OUTPUT`. A value may have any number of lines.

    Raises:
        FileUnwritable: they cannot be added.
    """
    blocks = []
    for name, value in outputs.items():
        # Nobody can guess the line that ends the value, and so write outputs of his own.
        end = f"ghadelimiter_{os.urandom(16).hex()}"
        blocks.append(f"{name}<<{end}\n{value}\n{end}\n")
    try:
        with file.open("a", encoding="utf-8", newline="") as stream:
            stream.write("".join(blocks))
    except OSError as exc:
        raise FileUnwritable.because_of(exc, str(file)) from exc


def _folded(text: str) -> str:
    # Accents count, case and width do not: JavaScript's `localeCompare` with sensitivity `accent`.
    return "".join(map(_folded_letter, unicodedata.normalize("NFKC", text)))


def _folded_letter(letter: str) -> str:
    # One letter for one: to JavaScript `ß` is not `ss`.
    folded = letter.casefold()
    return folded if len(folded) == 1 else letter
