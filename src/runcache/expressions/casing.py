"""Case of letters, as .NET's `StringComparison.OrdinalIgnoreCase` sees it (management §5.4)."""

from typing import Final


class _SimpleUpperCase(dict[int, int]):
    """Code point → its upper case, where that is a single one: `ß` has none."""

    def __missing__(self, code: int) -> int:
        char = chr(code)
        candidates = (char.upper(), char.title(), char)
        self[code] = upper = ord(next(text for text in candidates if len(text) == 1))
        return upper


# .NET leaves two letters alone whose upper case is ASCII: the dotless i and the long s.
_UPPER: Final = _SimpleUpperCase({0x131: 0x131, 0x17F: 0x17F})


def fold(text: str) -> str:
    """Return what `text` is compared by: texts that differ in case only have the same."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def order_of(text: str) -> bytes:
    """Return what `text` is ordered by: its folded UTF-16 units."""
    return fold(text).encode("utf-16-be", "surrogatepass")
