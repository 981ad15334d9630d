"""The project's own cases: `corpus/*.json`, one for each rule of the language.

A case has a `rule`, an `expression`, the `contexts` that it may name, and either the `value` that
it has or the kind of its `error`, with the offset `at` which it is. What once failed is kept here.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from runcache import ExpressionError, evaluate

CORPUS: Final = Path(__file__).parent / "corpus"
SUITE: Final = "EXPRESSION_SUITE"


def corpus() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the cases with their files."""
    for file in sorted(CORPUS.glob("*.json")):
        for case in json.loads(file.read_text()):
            yield file.stem, case


def suite() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield GitHub's own cases with their files, if the environment says where they are."""
    folder = os.environ.get(SUITE)
    for file in sorted(Path(folder).glob("*.json")) if folder else ():
        for cases in json.loads(file.read_text()).values():
            for case in cases:
                yield file.stem, case


def refusal_of(expression: str, contexts: dict[str, Any] | None = None) -> ExpressionError:
    """Return the error of an expression that has one."""
    with pytest.raises(ExpressionError) as refused:
        evaluate(expression, contexts or {})
    return refused.value
