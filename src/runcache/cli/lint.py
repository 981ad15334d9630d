"""`runcache lint`: the cache steps of workflow files against the documented good practice."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from runcache.cli.console import FAILED, Console, counted, example
from runcache.cli.options import talking
from runcache.insight.lint.check import Report, check
from runcache.insight.lint.formats import as_command, as_json, as_text

_WORKFLOWS: Final = Path(".github/workflows")
_ENDINGS: Final = (".yml", ".yaml")


@click.command("lint", epilog=example("runcache lint .github/workflows/test.yml"))
@talking
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="for people, for programs, or as annotations of a workflow run [default: text]",
)
def command(console: Console, *, paths: Sequence[Path], form: str) -> None:
    """Check the cache steps of workflows and actions against the documented good practice.

    PATH is a file, or a folder of files that end in .yml or .yaml [default: .github/workflows of
    the project]. `# runcache: ignore[RULE]` on a line, or on the one before, silences a rule there.

    The exit code is 1 if anything was found.
    """
    report = check(list(dict.fromkeys(_files(paths or [_workflows()]))))
    write = as_command if form == "github" else as_text
    apart = "\n" if form == "github" else "\n\n"
    if form == "json":
        console.as_json = True
    console.show(apart.join(map(write, report.findings)), _as_json(report))
    files = counted(report.file_count, "file")
    steps = counted(report.step_count, "cache step")
    console.talk(f"checked {steps} in {files}: {counted(len(report.findings), 'finding')}")
    if report.findings:
        click.get_current_context().exit(FAILED)


def _as_json(report: Report) -> dict[str, object]:
    return {
        "files": report.file_count,
        "cache_steps": report.step_count,
        "findings": [as_json(finding) for finding in report.findings],
    }


def _workflows() -> Path:
    """Return the folder of workflows of the project that the current folder is in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / _WORKFLOWS).is_dir():
            return Path(os.path.relpath(folder / _WORKFLOWS))
    raise click.UsageError(f"there is no `{_WORKFLOWS}` in this folder or one around it")


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise click.UsageError(f"there is no `{path}`")
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.iterdir() if file.suffix in _ENDINGS)
        if not found:
            raise click.UsageError(f"there is no file that ends in .yml or .yaml in `{path}`")
        yield from found
