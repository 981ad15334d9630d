"""Each rule of patterns has a case, which GitHub's own library agrees with (management §5.2)."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from tests.globs.differences import compared, outcome_of
from tests.globs.folders import make
from tests.globs.trees import Search

CORPUS: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "corpus.json").read_text()
)


def made(folder: Path, case: dict[str, Any]) -> Search:
    """Make the files of a case."""
    return Search(
        make(folder, *case["files"], links=case.get("links")),
        folder,
        tuple(case["patterns"]),
        follow_links=case.get("follow", False),
        implicit_descendants=case.get("implicit", True),
    )


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case["rule"])
def test_a_rule_holds(tmp_path: Path, case: dict[str, Any]) -> None:
    search = made(tmp_path.resolve(), case)

    outcome = outcome_of(search)

    found = [os.path.relpath(file, search.folder) for file in outcome.files]
    assert (outcome.failed, found) == (case.get("failed"), case.get("found", []))


def test_the_rules_are_those_of_githubs_library(tmp_path: Path) -> None:
    searches = [made(tmp_path.resolve() / str(number), case) for number, case in enumerate(CORPUS)]

    assert not [str(case) for case in compared(searches) if not case.agrees()]
