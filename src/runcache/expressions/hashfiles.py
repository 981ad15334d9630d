"""The function `hashFiles`, for expressions and for Python (management §5.1)."""

from os import PathLike
from typing import Final

from runcache.errors import InvalidPattern
from runcache.expressions.functions import Arguments, Function
from runcache.expressions.values import to_string

FOLLOW: Final = "--follow-symbolic-links"


def hash_files(
    *patterns: str, root: str | PathLike[str] = ".", follow_symbolic_links: bool = False
) -> str:
    """Return the digest of all files that match, as `hashFiles` computes it, or an empty text.

    Args:
        patterns: what to look for, in order; one argument may have several lines.
        root: the folder that patterns begin at.
        follow_symbolic_links: whether to enter folders through links.

    Raises:
        InvalidPattern: one of the patterns cannot be.
        FileUnreadable: a match, or a folder that may hold one, cannot be read.
    """
    # Whoever needs no files shall not wait for what finds and hashes them.
    from pathlib import Path  # noqa: PLC0415

    from runcache.globs import hashing  # noqa: PLC0415

    return hashing.hash_files(
        patterns, root=Path(root), follow_symbolic_links=follow_symbolic_links
    )


def hash_files_below(root: str | PathLike[str]) -> Function:
    """Return the function `hashFiles` for the files below a folder."""

    def function(arguments: Arguments) -> str:
        first, *others = (to_string(arguments[number]) for number in range(len(arguments)))
        follows = first.lower() == FOLLOW
        if first.startswith("--") and not follows:
            raise ValueError(f"`hashFiles` has no option `{first}`, only `{FOLLOW}`")
        patterns = others if follows else [first, *others]
        try:
            return hash_files(*patterns, root=root, follow_symbolic_links=follows)
        except InvalidPattern as exc:
            raise ValueError(str(exc)) from exc

    return function
