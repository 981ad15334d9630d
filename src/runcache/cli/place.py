"""Whose entries a command looks after, and where they are."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from runcache.access import repository_name
from runcache.cli.console import Console
from runcache.cli.options import Command, Parsed
from runcache.client.environment import Environment, Given
from runcache.client.job import LOCAL_REPOSITORY
from runcache.client.management import Management
from runcache.library import open_management


@dataclass(frozen=True, slots=True)
class Place:
    """A server, or the embedded store, as options and environment name it."""

    environment: Environment

    @property
    def repository(self) -> str:
        """The repository, in lower case.

        Raises:
            InvalidRepository: what names it is none.
            UsageError: nothing names it, which matters to a server.
        """
        name = repository_name(self.environment.job.identity.repository)
        if name == LOCAL_REPOSITORY and self.environment.address is not None:
            raise click.UsageError("say whose entries: `--repo OWNER/REPO`")
        return name

    @contextmanager
    def management(self) -> Iterator[Management]:
        """Open what looks after the entries.

        Raises:
            InvalidSettings: the environment contradicts itself, or there is no store.
        """
        with open_management(self.environment) as management:
            yield management


def in_a_place(command: Command) -> Command:
    """Add the options that say which server or store, and whose entries; pass them as `place`."""

    @functools.wraps(command)
    def run(
        console: Console,
        *,
        url: str | None,
        token_file: str | None,
        data: str | None,
        repo: str | None,
        **options: object,
    ) -> None:
        given = Given(url=url, token_file=token_file, data=data, repo=repo)
        command(console, place=Place(Environment(given)), **options)

    decorated: Command = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


_OPTIONS: Final = (
    click.option("--url", metavar="URL", help="the server [default: that of the environment]"),
    click.option("--token-file", metavar="FILE", help="what holds an API token; `-` for stdin"),
    click.option("--data", metavar="DIR", help="look after the store in this folder instead"),
    click.option(
        "-R", "--repo", metavar="OWNER/REPO", help="whose entries [default: this checkout's]"
    ),
)


def _full_ref(text: str) -> str:
    return text if text.startswith("refs/") else f"refs/heads/{text}"


REF: Final = Parsed("ref", _full_ref)
"""A ref; one that is not full is the name of a branch."""
