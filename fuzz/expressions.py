"""Expressions: compared with GitHub's library, and torn to pieces for the lexer and the parser."""

import time
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Final

from runcache import ExpressionError, evaluate, interpolate
from tests.expressions.cases import corpus
from tests.expressions.differences import compared
from tests.expressions.generator import CONTEXTS, VOCABULARY, Generator

# Ten times what the slowest takes on an idle machine; what is quadratic takes far longer.
MAX_SECONDS: Final = 4
MAX_LENGTH: Final = 21_000
BATCH: Final = 1000

PIECES: Final = [
    *VOCABULARY["debris"],
    *VOCABULARY["numbers"],
    *VOCABULARY["odd_numbers"],
    *(f"'{text}'" for text in VOCABULARY["strings"]),
    *("runner", "github.a", ".*", "[*]", "&&", "||", "==", "!=", "<=", " ", "\n", "${{", "}}"),
    *("format(", "fromJSON(", "toJSON(", "case(", "join(", "contains(", ", ", "true", "null"),
]

# Changed patterns could lead to any files of the machine.
EXPRESSIONS: Final[list[str]] = [
    case["expression"] for _, case in corpus() if "hashFiles" not in case["expression"]
]


def differences(random: Random, count: int) -> Iterator[str]:
    """Yield the generated expressions on which GitHub's library differs where it should not."""
    generator = Generator(random)
    cases = (generator.case() for _ in range(count))
    while batch := list(islice(cases, BATCH)):
        for case in compared(batch):
            if not case.agrees() and case.reason() is None:
                yield str(case)


def mishaps(random: Random, count: int) -> Iterator[str]:
    """Yield the texts that end otherwise than in a value or an `ExpressionError`, or too late."""
    for _ in range(count):
        text = hostile_text(random)
        if (mishap := mishap_of(text)) is not None:
            yield f"{text[:500]!r} ({len(text)} characters)\n    {mishap}"


def mishap_of(text: str) -> str | None:
    """Return what goes wrong with a text, as an expression and with expressions in it."""
    begin = time.thread_time()
    for act in (evaluate, interpolate):
        try:
            act(text, CONTEXTS)
        except ExpressionError as exc:
            if not 0 <= exc.position <= len(text):
                return f"{act.__name__}: position {exc.position}"
        except Exception as exc:  # noqa: BLE001  -- that there is none is what is tried
            return f"{act.__name__}: {type(exc).__name__}: {exc}"
    seconds = time.thread_time() - begin
    return f"{seconds:.1f} s" if seconds > MAX_SECONDS else None


def hostile_text(random: Random) -> str:
    """Make a text of any characters or pieces, of one piece over and over, or a changed case."""
    makers = (_characters, _pieces, _repetition, _changed, _changed)
    return random.choice(makers)(random)


def _characters(random: Random) -> str:
    highest = random.choice((0x7F, 0xFF, 0xFFFF, 0x10FFFF))
    return "".join(chr(random.randint(0, highest)) for _ in range(random.randint(0, 60)))


def _pieces(random: Random) -> str:
    return "".join(random.choices(PIECES, k=random.randint(1, 40)))


def _repetition(random: Random) -> str:
    piece = "".join(random.choices(PIECES, k=random.randint(1, 3)))
    times = min(random.choice((10, 49, 50, 51, 1000, 30_000)), MAX_LENGTH // len(piece) + 1)
    return random.choice(PIECES) + piece * times + random.choice(PIECES)


def _changed(random: Random) -> str:
    text = random.choice(EXPRESSIONS)
    if random.random() < 0.3:
        text = f"a ${{{{ {text} }}}} b"
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(text))
        until = at + random.choice((0, 0, 1, 2, 10))
        text = text[:at] + random.choice(("", *random.choices(PIECES, k=3))) + text[until:]
    return text
