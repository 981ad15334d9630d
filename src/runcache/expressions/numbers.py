"""Numbers from text and to text, as the runner's .NET does it (management §5.4)."""

import math
import re
from typing import Final

from runcache.expressions.casing import fold

# What `Char.IsWhiteSpace` is true for; Python's own `strip` takes four control characters more.
WHITE_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)

# Possessive, since text without end may be no number at its end.
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_HEXADECIMAL: Final = re.compile(r"0x0*+([0-9a-fA-F]{0,8})")
_OCTAL: Final = re.compile(r"0o0*+([0-7]{0,11})")
_INFINITIES: Final = {fold(text): float(text) for text in ("Infinity", "+Infinity", "-Infinity")}
_MAX_UNSIGNED: Final = 2**32 - 1
_MAX_SIGNED: Final = 2**31 - 1


def parse_number(text: str) -> float:
    """Return the number that `text` is: blanks are trimmed, nothing is 0, all else is NaN."""
    text = text.strip(WHITE_SPACE)
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    if len(text) > len("0x"):
        if found := _HEXADECIMAL.fullmatch(text):
            return _as_signed(int(found[1] or "0", 16))
        if found := _OCTAL.fullmatch(text):
            return _as_signed(int(found[1] or "0", 8))
    return _INFINITIES.get(fold(text), math.nan)


def print_number(number: float) -> str:
    """Return `number` with up to 15 significant digits, such as `0.1`, `1E+21` or `-Infinity`."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return f"{number:.15g}".upper() if number else "0"


def _as_signed(bits: int) -> float:
    # The runner reads them into an Int32: `0xFFFFFFFF` is -1, and more than 32 bits are no number.
    if bits > _MAX_UNSIGNED:
        return math.nan
    return float(bits - 2**32 if bits > _MAX_SIGNED else bits)
