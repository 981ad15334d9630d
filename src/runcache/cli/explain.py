"""`runcache explain`: why a lookup finds what it finds, or nothing."""

import sys
from collections.abc import Iterator, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Final, TypedDict, Unpack

import click
import msgspec

from runcache.cli.console import Console, example
from runcache.cli.options import talking
from runcache.cli.place import REF, Place, in_a_place
from runcache.cli.version_of import COMPRESSIONS, SYSTEMS
from runcache.client.environment import Environment
from runcache.insight.explain import Explanation, Inputs, Question
from runcache.matching import Outcome
from runcache.versions import paths_of_input

_MARKS: Final = {Outcome.NOTHING: "-", Outcome.ANSWERED: "*", Outcome.NOT_REACHED: " "}
_WIDTH: Final = 100


class _Options(TypedDict):
    key: str
    restore_keys: Sequence[str]
    paths: Sequence[str]
    compression: str | None
    system: str | None
    cross_os: bool
    versions: Sequence[str]
    ref: str | None
    base_ref: str | None
    default_branch: str | None


@click.command(
    "explain",
    epilog=example("runcache explain --key npm-1 --restore-key npm- --path '~/.npm' --ref main"),
)
@talking
@click.option("--key", metavar="KEY", required=True, help="the key; may hold ${{ … }}")
@click.option(
    "--restore-key",
    "restore_keys",
    metavar="PREFIX",
    multiple=True,
    help="a restore key, the best one first; may be repeated",
)
@click.option(
    "--path",
    "paths",
    metavar="PATH",
    multiple=True,
    help="what is to be restored; may be repeated, and the order counts",
)
@click.option(
    "--compression",
    type=click.Choice(list(COMPRESSIONS)),
    help="ask as `actions/cache` does on a machine with this [default: as `runcache restore` does]",
)
@click.option(
    "--os",
    "system",
    type=click.Choice(list(SYSTEMS.values())),
    help="where the job runs [default: this system]",
)
@click.option("--cross-os", is_flag=True, help="with `enableCrossOsArchive`")
@click.option(
    "--version",
    "versions",
    metavar="VERSION",
    multiple=True,
    help="the version instead of paths, as `runcache list --json` shows it; may be repeated",
)
@click.option("--ref", metavar="REF", type=REF, help="of the job [default: this checkout's]")
@click.option("--base-ref", metavar="REF", type=REF, help="what its pull request goes to")
@click.option("--default-branch", metavar="NAME", help="[default: this checkout's, or main]")
@in_a_place
def command(console: Console, *, place: Place, **options: Unpack[_Options]) -> None:
    """Explain a lookup: each step of it, what was restored and why, or the nearest misses.

    Nothing is touched by it. A branch may go without `refs/heads/`. With the token of a job the
    refs are those of the token, and only what it may read is told of.
    """
    question = _question(place.environment, options)
    with place.management() as management:
        explanation = management.explain(place.repository, question)
    console.show("\n".join(as_text(explanation)), msgspec.to_builtins(explanation))


def as_text(explanation: Explanation) -> Iterator[str]:
    """Yield the lines that a person reads."""
    yield from _wrapped(explanation.headline)
    yield ""
    for scope in explanation.scopes:
        yield from _wrapped(scope.sentence)
        for step in explanation.steps:
            if step.scope == scope.scope:
                yield from _wrapped(step.sentence, f"  {_MARKS[step.outcome]} ")
    if explanation.rivals:
        yield ""
        yield "Also there:"
        for rival in explanation.rivals:
            yield from _wrapped(rival.sentence, "  - ")
    if explanation.nearest:
        yield ""
        yield "Nearest:" if explanation.answer is None else "Why not the key itself:"
        for number, near in enumerate(explanation.nearest, start=1):
            yield from _wrapped(near.sentence, f"{number:3}. ")
            if near.advice is not None:
                yield from _wrapped(near.advice, "     ")


def _question(environment: Environment, options: _Options) -> Question:
    evaluated, job = environment.evaluated, environment.job.identity
    paths = [evaluated(path) for text in options["paths"] for path in paths_of_input(text)]
    if bool(paths) == bool(options["versions"]):
        raise click.UsageError("say what is to be restored: either `--path` or `--version`")
    compression, ref = options["compression"], options["ref"]
    inputs = Inputs(
        paths=tuple(paths),
        compression=COMPRESSIONS[compression] if compression else None,
        system=options["system"] or environment.system,
        cross_os=options["cross_os"],
    )
    return Question(
        key=evaluated(options["key"]),
        restore_keys=tuple(map(evaluated, options["restore_keys"])),
        inputs=inputs if paths else None,
        versions=tuple(options["versions"]),
        ref=ref or job.ref,
        # The environment knows the base of its own ref alone.
        base_ref=options["base_ref"] or (job.base_ref if ref in {None, job.ref} else None),
        default_branch=options["default_branch"] or job.default_branch,
    )


def _wrapped(text: str, mark: str = "") -> list[str]:
    # A pipe has no width: what reads it shall not depend on the window it was started in.
    width = min(get_terminal_size().columns, _WIDTH) if sys.stdout.isatty() else _WIDTH
    return wrap(
        text,
        width,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
