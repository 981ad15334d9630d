"""`runcache delete`: with the options of `gh cache delete`."""

from typing import Final

import click

from runcache.cli.console import Console, counted, example
from runcache.cli.options import talking
from runcache.cli.place import REF, Place, in_a_place
from runcache.client.management import Management
from runcache.errors import NotFound
from runcache.listing import Order, Selection, SortBy

# Whatever is accessed meanwhile keeps its place in this order.
_OLDEST_FIRST: Final = Order(SortBy.CREATED, is_descending=False)
_EVERYTHING: Final = 2**62
_ID_DIGITS: Final = 18


@click.command("delete", epilog=example("runcache delete npm-1 --ref refs/pull/7/merge"))
@talking
@click.argument("what", metavar="[ID | KEY]", required=False)
@click.option("--key", metavar="KEY", help="the key, also one that is all digits")
@click.option("-r", "--ref", metavar="REF", type=REF, help="of this branch, or full ref, alone")
@click.option("-a", "--all", "is_all", is_flag=True, help="every entry, or every one of `--ref`")
@click.option(
    "--succeed-on-no-caches", "is_none_fine", is_flag=True, help="with `--all`: none is fine"
)
@in_a_place
def command(
    console: Console,
    *,
    place: Place,
    what: str | None,
    key: str | None,
    ref: str | None,
    is_all: bool,
    is_none_fine: bool,
) -> None:
    """Delete an entry by its id, entries by their whole key, or all of them.

    What is all digits is an id. A key is deleted on every ref, unless `--ref` says on which.
    Whoever is restoring an entry at this moment gets all of it.
    """
    if [bool(what), bool(key), is_all].count(True) != 1:
        raise click.UsageError("say what to delete: an id, a key, or `--all`")
    if is_none_fine and not is_all:
        raise click.UsageError("`--succeed-on-no-caches` goes with `--all`")
    entry_id = what if what and what.isascii() and what.isdigit() else None
    if entry_id and ref:
        raise click.UsageError("`--ref` goes with a key: an id has one ref already")
    repository = place.repository
    with place.management() as management:
        if entry_id:
            deleted = _delete_id(management, repository, entry_id)
        elif is_all:
            deleted = _delete_all(management, repository, ref)
        else:
            deleted = management.delete_by_key(repository, what or key or "", ref=ref)
    if not deleted and not is_none_fine:
        raise _nothing(repository, entry_id, what or key, ref)
    console.talk(f"deleted {counted(deleted, 'entry')} of `{repository}`")
    console.show("", {"repository": repository, "deleted": deleted})


def _delete_id(management: Management, repository: str, text: str) -> int:
    digits = text.lstrip("0")
    return int(len(digits) <= _ID_DIGITS and management.delete(repository, int(digits or "0")))


def _delete_all(management: Management, repository: str, ref: str | None) -> int:
    pages = management.pages(repository, Selection(ref=ref), _OLDEST_FIRST, limit=_EVERYTHING)
    return sum(management.delete(repository, entry.id) for page in pages for entry in page.entries)


def _nothing(repository: str, entry_id: str | None, key: str | None, ref: str | None) -> NotFound:
    """Return the error that says what there is nothing of."""
    if entry_id:
        missing = NotFound(f"no entry of `{repository}` has the id {entry_id}")
        missing.hint = f"`--key {entry_id}` is for a key that is all digits"
        return missing
    of_ref = f" of `{ref}`" if ref else ""
    if key:
        return NotFound(f"`{repository}` has no entry `{key}`{of_ref}")
    return NotFound(f"`{repository}` has no entries{of_ref}")
