"""`runcache list`: what is saved, with the options and columns of `gh cache list`."""

import click

from runcache.cli.console import Console, counted, example, grouped
from runcache.cli.options import talking
from runcache.cli.place import REF, Place, in_a_place
from runcache.cli.tables import (
    Moment,
    Row,
    Size,
    exact_instant,
    is_terminal,
    show_lines,
    show_table,
)
from runcache.client.management import Listed
from runcache.listing import Order, Selection, SortBy


@click.command("list", epilog=example("runcache list --key npm- --ref main --sort size_in_bytes"))
@talking
@click.option("-k", "--key", "prefix", metavar="PREFIX", default="", help="whose key begins so")
@click.option("-r", "--ref", metavar="REF", type=REF, help="of this branch, or full ref")
@click.option(
    "-S",
    "--sort",
    type=click.Choice([by.value for by in SortBy]),
    default=SortBy.LAST_ACCESSED.value,
    show_default=True,
    help="by what to sort",
)
@click.option(
    "-O",
    "--order",
    type=click.Choice(["asc", "desc"]),
    default="desc",
    show_default=True,
    help="smallest or oldest first, or the other way round",
)
@click.option(
    "-L",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="how many at most",
)
@in_a_place
def command(
    console: Console,
    *,
    place: Place,
    prefix: str,
    ref: str | None,
    sort: str,
    order: str,
    limit: int,
) -> None:
    """List the entries of a repository.

    Off a terminal a line has id, key, size, and when it was created and last accessed (UTC), apart
    by tabs.
    """
    repository = place.repository
    selection = Selection(prefix=prefix, ref=ref)
    in_order = Order(SortBy(sort), is_descending=order == "desc")
    with place.management() as management:
        pages = management.pages(repository, selection, in_order, limit=limit)
        if not (console.as_json or is_terminal()):
            show_lines(map(_line, (entry for page in pages for entry in page.entries)))
            return
        total_count = 0
        entries: list[Listed] = []
        for page in pages:
            total_count = page.total_count
            entries += page.entries
    if console.as_json:
        listed = list(map(as_json, entries))
        value = {"repository": repository, "total_count": total_count, "entries": listed}
        console.show("", value)
    elif not entries:
        console.talk(
            f"no entry of `{repository}` has such a key or ref"
            if prefix or ref
            else f"`{repository}` has no entries"
        )
    else:
        console.talk(
            f"{grouped(len(entries))} of {counted(total_count, 'entry')} of `{repository}`"
        )
        show_table(("id", "key", "ref", "size", "created", "accessed"), map(_row, entries))


def as_json(entry: Listed) -> dict[str, object]:
    """Return an entry as `--json` shows it."""
    return {
        "id": entry.id,
        "key": entry.key,
        "ref": entry.ref,
        "version": entry.version,
        "size_bytes": entry.size_bytes,
        "created_at": exact_instant(entry.created_at),
        "last_accessed_at": exact_instant(entry.last_accessed_at),
    }


def _line(entry: Listed) -> Row:
    times = Moment(entry.created_at), Moment(entry.last_accessed_at)
    return (entry.id, entry.key, Size(entry.size_bytes), *times)


def _row(entry: Listed) -> Row:
    identifier, key, *others = _line(entry)
    return (identifier, key, entry.ref, *others)
