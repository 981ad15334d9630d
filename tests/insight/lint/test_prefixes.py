import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.insight.lint.prefixes import starts_with
from runcache.insight.lint.scopes import SYSTEMS, Opaque
from runcache.insight.lint.values import Digest, Piece, Pieces

SYSTEM = Opaque("runner.os", SYSTEMS)
SHA = Opaque("github.sha")
HASH = Digest("hashfiles('a')")


@pytest.mark.parametrize(
    ("whole", "prefix", "expected"),
    [
        (("npm-1",), ("npm-",), True),
        (("npm-1",), ("npm-1",), True),
        (("npm-1",), (), True),
        (("npm-1",), ("npm-12",), False),
        (("npm-1",), ("pip-",), False),
        ((SYSTEM, "-npm-", HASH), (SYSTEM, "-"), True),
        ((SYSTEM, "-npm-", HASH), ("npm-",), False),
        ((SYSTEM, "-npm-", HASH), ("Linux-",), None),
        (("Linux-npm",), (SYSTEM, "-npm"), None),
        (("npm-", HASH), ("npm-", HASH, "-x"), False),
        (("npm-", HASH), ("npm-", SHA), None),
        (("npm-", HASH, "-x"), ("npm-x",), False),
        (("npm-", HASH), ("npm-cafe",), None),
        (("npm-", SHA), ("npm-x",), None),
        (("npm",), ("npm", SHA), None),
        (("npm",), ("npm", SHA, "x"), False),
        (("npm",), ("npm", HASH), False),
        (("npm-", HASH), ("npm-", Digest("hashfiles('b')")), None),
    ],
)
def test_a_beginning_is_certain_or_impossible_or_unknown(
    whole: Pieces, prefix: Pieces, expected: object
) -> None:
    assert starts_with(whole, prefix) is expected


def joined(pieces: list[Piece]) -> Pieces:
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return tuple(found)


texts = st.text(st.sampled_from("Lina-0"), min_size=1, max_size=4)
pieces: st.SearchStrategy[Piece] = st.one_of(
    texts, st.sampled_from([SYSTEM, SHA, HASH, Opaque("env.a")])
)
keys = st.lists(pieces, max_size=5).map(joined)


@given(whole=keys, prefix=keys, seed=st.integers(0, 2**32))
def test_what_is_said_holds_whatever_the_run_tells(
    whole: Pieces, prefix: Pieces, seed: int
) -> None:
    said = starts_with(whole, prefix)

    chance = random.Random(seed)
    values: dict[Piece, str] = {
        SYSTEM: chance.choice(sorted(SYSTEMS)),
        HASH: "".join(chance.choices("0123456789abcdef", k=64)),
        SHA: "".join(chance.choices("Lina-0", k=chance.randrange(3))),
        Opaque("env.a"): "".join(chance.choices("Lina-0", k=chance.randrange(3))),
    }
    actual = "".join(values.get(piece, str(piece)) for piece in whole).startswith(
        "".join(values.get(piece, str(piece)) for piece in prefix)
    )
    assert said is None or said is actual
