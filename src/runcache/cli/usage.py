"""`runcache usage`: how much repositories keep."""

import click

from runcache.cli.console import Console, counted, example
from runcache.cli.options import talking
from runcache.cli.place import Place, in_a_place
from runcache.cli.tables import Row, Size, is_terminal, show_lines, show_table
from runcache.model import Usage
from runcache.quantities import print_about


@click.command("usage", epilog=example("runcache usage --org octo"))
@talking
@click.option("--org", "owner", metavar="OWNER", help="each repository of this owner")
@in_a_place
def command(console: Console, *, place: Place, owner: str | None) -> None:
    """Show how many entries a repository has, and how many bytes they take.

    Bytes that several entries share count once. Off a terminal a line has repository, entries and
    size, apart by tabs.
    """
    if owner is None:
        repository = place.repository
        with place.management() as management:
            usages = [management.usage(repository)]
    else:
        with place.management() as management:
            usages = management.usages(owner)
    if console.as_json:
        listed = [_as_json(usage) for usage in usages]
        console.show("", listed[0] if owner is None else _total(owner, usages, listed))
        return
    if is_terminal():
        show_table(("repository", "entries", "size"), map(_row, usages))
    else:
        show_lines(map(_row, usages))
    if owner is not None:
        entry_count, size_bytes = _sums(usages)
        total = f"{counted(entry_count, 'entry')} of {print_about(size_bytes)}"
        console.talk(f"{counted(len(usages), 'repository')} of `{owner}`: {total}")


def _row(usage: Usage) -> Row:
    return (usage.repository, usage.entry_count, Size(usage.size_bytes))


def _as_json(usage: Usage) -> dict[str, object]:
    return {
        "repository": usage.repository,
        "entries": usage.entry_count,
        "size_bytes": usage.size_bytes,
    }


def _total(owner: str, usages: list[Usage], listed: list[dict[str, object]]) -> dict[str, object]:
    entry_count, size_bytes = _sums(usages)
    return {
        "owner": owner,
        "entries": entry_count,
        "size_bytes": size_bytes,
        "repositories": listed,
    }


def _sums(usages: list[Usage]) -> tuple[int, int]:
    return sum(usage.entry_count for usage in usages), sum(usage.size_bytes for usage in usages)
