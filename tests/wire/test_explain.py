"""A question about a lookup, as it is written."""

import pytest

from runcache.errors import MalformedMessage
from runcache.wire.explain import Explain


def test_a_question_is_read_with_its_defaults() -> None:
    asked = Explain.decode(b'{"key": "npm-1", "paths": ["~/.npm"], "more": 1}')

    assert asked == Explain(key="npm-1", paths=("~/.npm",))
    assert (asked.system, asked.default_branch, asked.ref) == ("Linux", "main", None)


def test_a_question_is_written_and_read_alike() -> None:
    asked = Explain(
        key="npm-1",
        restore_keys=("npm-",),
        versions=("v",),
        ref="refs/pull/7/merge",
        base_ref="refs/heads/main",
    )

    assert Explain.decode(asked.encode()) == asked


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"key": 1}',
        b'{"key": "k", "restore_keys": "npm-"}',
        b'{"key": "k", "system": "Plan9"}',
        b'{"key": "k", "versions": ["1", "2", "3", "4", "5"]}',
    ],
)
def test_what_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Explain.decode(body)
