"""Reads the pages of the documentation: their examples, tables, headings and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.md")])

MARK: Final = re.compile(r"^<!-- run(?:: (?P<story>[a-z-]+))? -->$", re.MULTILINE)
RUN_BLOCK: Final = re.compile(
    MARK.pattern + r"\n```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)

_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of an example, and the lines that it shall print."""

    text: str
    output: tuple[str, ...]

    def prints(self, output: str) -> bool:
        """Say whether `output` is what the page says.

        `…` stands for any text within a line, and on a line of its own for any number of lines.
        """
        pattern = "".join(
            r"(?:.*\n)*" if line == "…" else ".*?".join(map(re.escape, line.split("…"))) + r"\n"
            for line in self.output
        )
        return re.fullmatch(pattern, f"{output}\n" if output else "") is not None


@dataclass(frozen=True, slots=True)
class Story:
    """Blocks of a page that are run one after the other, in one shell."""

    page: Path
    name: str
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.name}"

    def programs(self) -> set[str]:
        """Return the programs of the machine that the story needs."""
        text = "\n".join(command.text for command in self.commands)
        needed = {"bash", *re.findall(r"\b(act|curl|git) ", text)}
        return needed | ({"tar", "zstd"} if "examples/client" in text else set())


def stories() -> Iterator[Story]:
    """Find what is to be run: blocks with the same name on a page are one story."""
    for page in PAGES:
        blocks: dict[str, list[str]] = {}
        for number, found in enumerate(RUN_BLOCK.finditer(page.read_text()), start=1):
            blocks.setdefault(found["story"] or str(number), []).append(found["text"])
        for name, texts in blocks.items():
            yield Story(page, name, tuple(commands_of("".join(texts))))


def commands_of(block: str) -> Iterator[Command]:
    """Read a block: `$ ` begins a command, `> ` continues it, all else is its output."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        first, *lines = part.splitlines()
        more = [line for line in lines if line.startswith("> ")]
        text = "\n".join([first, *(line.removeprefix("> ") for line in more)])
        yield Command(text, tuple(lines[len(more) :]))


def example_of(page: str, language: str) -> str:
    """Return the first block of a language on a page."""
    found = re.search(rf"^```{language}\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(language)
    return found[1]


def table(page: str, *columns: str) -> list[dict[str, str]]:
    """Return the rows of the first table of a page whose columns begin with these."""
    lines = iter(read(page).splitlines())
    names = next(
        names for line in lines if (names := _cells(line))[: len(columns)] == list(columns)
    )
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(names, _cells(line), strict=True)))
    return rows


def code(cell: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def only_code(cell: str) -> str:
    """Return the one text that stands between backticks."""
    (text,) = code(cell)
    return text


def headings_of(page: Path) -> list[str]:
    """Return the titles of all sections."""
    return _HEADING.findall(_FENCED.sub("", page.read_text()))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return the anchors of all sections, as they are made where Markdown is shown."""
    titles = (re.sub(r"[`*]|\[|\]\([^)]*\)", "", title) for title in headings_of(page))
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)


def links_of(page: Path) -> list[str]:
    """Return where the links of a page lead."""
    return _LINK.findall(_FENCED.sub("", page.read_text()))


def read(page: str) -> str:
    """Return the text of a page of `docs/`."""
    return (DOCS / page).read_text()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
