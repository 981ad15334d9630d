"""Segments of patterns: which names they stand for (management §5.2)."""

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.globs.segments import literal_of, matcher_of


def accepts(segment: str, name: str) -> bool:
    matcher = matcher_of(segment)
    return matcher == name if isinstance(matcher, str) else bool(matcher(name))


@pytest.mark.parametrize(
    ("segment", "accepted", "refused"),
    [
        ("a", ["a"], ["A", "aa"]),
        ("*", ["a", ".a", "...", "a b", "a\nb"], []),
        ("***", ["a", ".a"], []),
        ("*.js", ["a.js", ".js", ".a.js"], ["a.jsx", "a.JS"]),
        ("a*c", ["ac", "abc", "abcc"], ["ab", "bac"]),
        ("a**c", ["ac", "abc"], ["ab"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba"]),
        ("?", ["a", "."], ["aa"]),
        ("?*", ["a", "aa"], []),
        (".*", [".", ".a"], ["a"]),
        ("[ab]", ["a", "b"], ["c", "ab"]),
        ("[a-c]", ["a", "b", "c"], ["d", "-"]),
        ("[!a-c]", ["d", "!", "."], ["a", "b"]),
        ("[^a]", ["b", "^"], ["a"]),
        ("[a^]", ["a", "^"], ["b"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[a-c-e]", ["b", "-", "e"], ["d"]),
        ("[z-a]", [], ["z", "a", "-", "[z-a]"]),
        ("[z-ab]", ["b"], ["z", "a"]),
        ("[!z-a]", [], ["b"]),
        ("[a-a]", ["a"], ["-"]),
        ("[\\]]", ["]"], ["\\"]),
        ("[a\\]b]", ["a", "]", "b"], ["\\"]),
        ("[\\a-c]", ["b"], ["\\"]),
        ("[a&&b]", ["a", "&", "b"], ["c"]),
        ("[[a]", ["[", "a"], ["]"]),
        ("[a", ["[a"], ["a"]),
        ("[!a", ["[!a"], ["b"]),
        ("[]", ["[]"], ["]"]),
        ("[!]", ["[!]"], ["!", "a"]),
        ("x[]y", ["x[]y"], []),
        ("[[]", ["["], ["[[]"]),
        ("[*]", ["*"], ["a"]),
        ("\\*", ["*"], ["a", "\\*"]),
        ("\\\\", ["\\"], ["\\\\"]),
        ("\\a", ["a"], ["\\a"]),
        ("a\\", ["a\\"], ["a"]),
        ("\\[a]", ["[a]"], ["a"]),
        ("*\\.js", ["a.js"], ["a.jsx", "ajs"]),
        ("a\\|b*", ["a|b", "a|bc"], ["a", "abc"]),
        ("{a,b}", ["{a,b}"], ["a"]),
        ("+(a)*", ["+(a)", "+(a)b"], ["a", "aa"]),
        ("!(a)", ["!(a)"], ["b"]),
        ("a.c", ["a.c"], ["abc"]),
        ("^a$*", ["^a$"], ["a"]),
        # Characters, as they are to the runner, and not a class.
        ("[[:lower:]]", ["l]", ":]", "[]"], ["l", "a", "x]"]),
        # UTF-16 units, as JavaScript has them.
        ("?", ["é", "\uff5a"], ["\ud83d\ude00"]),
        ("??", ["\ud83d\ude00"], ["é"]),
        ("[\ud83d\ude00]", ["\ud83d", "\ude00"], ["\ud83d\ude00"]),
        # A byte that is no text.
        ("a?", ["a\udcff"], []),
    ],
)
def test_a_segment_stands_for_some_names(
    segment: str, accepted: list[str], refused: list[str]
) -> None:
    assert [name for name in accepted if not accepts(segment, name)] == []
    assert [name for name in refused if accepts(segment, name)] == []


@pytest.mark.parametrize(
    ("segment", "literal"),
    [
        ("a.b", "a.b"),
        ("\\*\\?", "*?"),
        ("[*]x[[]", "*x["),
        ("[\\*]", "*"),
        ("a\\", "a\\"),
        ("[a", "[a"),
        ("[[a", "[[a"),
        ("[]", "[]"),
        ("{a,b}", "{a,b}"),
        # The library takes this for an escape, where it looks for the place to begin at.
        ("[!]", "!"),
        ("*", ""),
        ("a?", ""),
        ("[ab]", ""),
        ("[!a]", ""),
        ("[\ud83d\ude00]", ""),
    ],
)
def test_a_segment_without_wildcards_is_one_name(segment: str, literal: str) -> None:
    assert literal_of(segment) == literal


alphabet = st.sampled_from(["a", "b", "c", "*", "?", "[ab]", "[!ab]", "[a-b]"])


@given(st.lists(alphabet, min_size=1, max_size=8), st.text("abc", min_size=1, max_size=8))
def test_simple_segments_are_those_of_the_shell(pieces: list[str], name: str) -> None:
    segment = "".join(pieces)

    assert accepts(segment, name) == fnmatchcase(name, segment)


@given(st.text(min_size=1))
def test_a_name_whose_characters_are_escaped_is_literal(name: str) -> None:
    segment = "".join(f"\\{char}" for char in name)

    assert literal_of(segment) == matcher_of(segment) == name


@given(st.text("ab*?[]!-^\\", min_size=1, max_size=12))
def test_a_literal_is_what_the_segment_accepts(segment: str) -> None:
    literal = literal_of(segment)

    # But for what looks like an escaped exclamation mark or caret, see above, and for a set that
    # begins with its end: GitHub's literal takes it for empty, its matcher does not.
    if literal and not any(odd in segment for odd in ("[!]", "[^]", "[]")):
        assert matcher_of(segment) == literal


@pytest.mark.parametrize(
    "segment",
    [
        "*a" * 10_500,
        "*a" * 100 + "*b",
        "*" * 21_000,
        "?*" * 10_500,
        "[" * 21_000,
        "[]" * 10_500,
        "[a-z]*" * 3_500,
        "[" + "a-z" * 7_000 + "]",
        "\\a" * 10_500,
    ],
    ids=lambda segment: f"{segment[:6]}{len(segment)}",
)
def test_no_segment_takes_long(segment: str) -> None:
    begin = time.process_time()

    literal_of(segment)
    for name in ("a" * 255, "ab" * 127, "b" * 255):
        accepts(segment, name)

    assert time.process_time() - begin < 5  # none takes one on an idle machine
