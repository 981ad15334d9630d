"""Does one text begin with another, when only parts of both are known?"""

from runcache.insight.lint.scopes import Opaque
from runcache.insight.lint.values import Digest, Piece, Pieces

_HEX_DIGITS = frozenset("0123456789abcdef")


def starts_with(whole: Pieces, prefix: Pieces) -> bool | None:
    """Say whether `whole` begins with `prefix`, and `None` if only the run can tell.

    Digests are taken as those of files that exist.
    """
    left, right = list(reversed(whole)), list(reversed(prefix))
    while right:
        if not left:
            return False if any(isinstance(piece, str | Digest) for piece in right) else None
        mine, other = left.pop(), right.pop()
        if mine == other:
            continue
        if isinstance(mine, str) and isinstance(other, str):
            if mine.startswith(other):
                left.append(mine[len(other) :])
            elif other.startswith(mine):
                right.append(other[len(mine) :])
            else:
                return False
        else:
            return False if _differ(mine, other) else None
    return True


def _differ(one: Piece, other: Piece) -> bool:
    """Say whether two different pieces, not both known, cannot begin alike."""
    match one, other:
        case (Digest(), str(text)) | (str(text), Digest()):
            return text[0] not in _HEX_DIGITS
        case (Opaque(options=options), str(text)) | (str(text), Opaque(options=options)):
            return bool(options) and not any(
                option.startswith(text) or text.startswith(option) for option in options
            )
    return False
