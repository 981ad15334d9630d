"""`runcache hash-files`: what is `hashFiles` of these patterns?"""

import os
from pathlib import Path

import click

from runcache.cli.console import Console, example
from runcache.cli.options import talking
from runcache.globs.hashing import digest_of, matching_files


@click.command("hash-files", epilog=example("runcache hash-files '**/package-lock.json'"))
@talking
@click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)
@click.option("--follow-symbolic-links", is_flag=True, help="enter folders through links, too")
def command(console: Console, *, patterns: tuple[str, ...], follow_symbolic_links: bool) -> None:
    """Print the digest that `hashFiles` gives for the files that match.

    The current folder is the workspace. Later patterns win, and `!` takes files out again. Nothing
    is printed if no file matches: `hashFiles` is an empty string then. A PATTERN goes into single
    quotes, so that the shell leaves it alone.
    """
    files = matching_files(patterns, root=Path(), follow_symbolic_links=follow_symbolic_links)
    listed = list(files) if console.as_json else []
    digest = digest_of(listed or files)
    if not digest:
        console.talk("no file matches")
    console.show(digest, {"digest": digest, "files": [_shown(file) for file in listed]})


def _shown(file: str) -> str:
    """Return the name of a file in the current folder, as far as it is text."""
    return os.fsencode(os.path.relpath(file)).decode(errors="replace")
