"""The workflows of `good/` and `bad/`, each with the project that it belongs to.

A file begins with comments. `# file: NAME` is a file of the project, empty or with the text behind
` = `, in which `\\n` is a line end. `# finds: RULE at LINE:COLUMN` is what the rules find there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent

_FILE: Final = re.compile(r"^# file: (?P<name>\S+)(?: = (?P<text>.*))?$", re.MULTILINE)
_FINDS: Final = re.compile(
    r"^# finds: (?P<rule>\S+) at (?P<line>\d+):(?P<column>\d+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Example:
    """A workflow, the files of its project, and what is wrong: rule, line and column."""

    path: Path
    text: str
    files: dict[str, str]
    finds: tuple[tuple[str, int, int], ...]

    def __str__(self) -> str:
        return self.path.stem

    def project(self, folder: Path) -> Path:
        """Make the project in an empty folder, and return the workflow in it."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        workflow = folder / ".github/workflows" / self.path.name
        workflow.parent.mkdir(parents=True, exist_ok=True)
        workflow.write_text(self.text)
        return workflow


def examples(folder: str) -> Iterator[Example]:
    """Read the examples in a folder, sorted by name."""
    for path in sorted((HERE / folder).glob("*.yml")):
        text = path.read_text()
        yield Example(
            path,
            text,
            {
                found["name"]: (found["text"] or "").replace("\\n", "\n")
                for found in _FILE.finditer(text)
            },
            tuple(
                (found["rule"], int(found["line"]), int(found["column"]))
                for found in _FINDS.finditer(text)
            ),
        )
