"""Text as JavaScript has it: GitHub's clients are written in it, and it shows."""

from typing import Final

# What `trim` takes off and `\s` matches; Python's own `strip` takes other characters.
BLANKS: Final = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def units_of(text: str) -> str:
    """Return `text` in UTF-16 units: two halves for each character that is a surrogate pair."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(low | high << 8) for low, high in zip(data[::2], data[1::2], strict=True))


def text_of(units: str) -> str:
    """Return the text that `units_of` took apart."""
    if units.isascii():
        return units
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def utf8_of(text: str) -> bytes:
    """Return `text` in UTF-8, with a replacement character for each half that lacks its other."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
