"""`runcache check`: is every entry whole?"""

import click

from runcache.cli.console import DAMAGE_FOUND, Console, counted, example
from runcache.cli.opened import upkeep
from runcache.cli.options import Parsed, talking
from runcache.cli.settings import PLACE, with_settings
from runcache.config import Loaded
from runcache.maintenance import Problem
from runcache.maintenance.subsets import EVERYTHING, Subset, parse_subset
from runcache.quantities import print_about


@click.command("check", epilog=example("runcache check --data .runcache --read-data"))
@talking
@with_settings(*PLACE)
@click.option("--read-data", is_flag=True, help="read and hash every byte")
@click.option(
    "--read-data-subset",
    "subset",
    type=Parsed("SUBSET", parse_subset),
    help="read and hash a part: n/t of the blobs, such as 1/10, or 5%, or 2GB, at random",
)
@click.option("--repair", is_flag=True, help="forget damaged entries and remove what is left over")
def command(
    console: Console, *, loaded: Loaded, read_data: bool, subset: Subset | None, repair: bool
) -> None:
    """Verify that the bytes of every entry are there, and with --read-data that they are right.

    The exit code is 4 if anything was wrong, be it repaired or not.
    """
    if read_data and subset is not None:
        message = "`--read-data` reads all, of which `--read-data-subset` would read a part"
        raise click.UsageError(message)
    report = upkeep(
        loaded.settings,
        lambda act: act.check(
            read_data=read_data or subset is not None, subset=subset or EVERYTHING, repair=repair
        ),
    )
    text = (
        f"checked {counted(report.entry_count, 'entry')} of {print_about(report.size_bytes)}:"
        f" {counted(len(report.problems), 'problem')}"
    )
    if subset is not None:
        text = (
            f"read {report.read_count} of {counted(report.blob_count, 'blob')},"
            f" {print_about(report.read_bytes)}\n{text}"
        )
    value = {
        "entries": report.entry_count,
        "size_bytes": report.size_bytes,
        "read": {"blobs": report.read_count, "size_bytes": report.read_bytes},
        "problems": [
            {
                "kind": problem.kind,
                "subject": problem.subject,
                "detail": problem.detail,
                "repaired": problem.is_repaired,
            }
            for problem in report.problems
        ],
    }
    console.show("\n".join([*map(_line, report.problems), text]), value)
    if report.problems:
        click.get_current_context().exit(DAMAGE_FOUND)


def _line(problem: Problem) -> str:
    repaired = " (repaired)" if problem.is_repaired else ""
    return f"{problem.kind}: `{problem.subject}`: {problem.detail}{repaired}"
