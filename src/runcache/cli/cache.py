"""The cache that a command saves to and restores from, and what becomes of its failures."""

import functools
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click
import msgspec

from runcache.cli import outputs
from runcache.cli.closing import found_text, missed_text, restored_text, saved_text
from runcache.cli.console import WRONG_USAGE, Console, exit_code_of
from runcache.cli.entry import Wanted
from runcache.cli.options import CONTEXT, Command
from runcache.cli.progress import shown
from runcache.client.client import Client
from runcache.client.environment import Environment, Given
from runcache.client.results import Format, Hit, Saved
from runcache.errors import CacheError, SecretsFound
from runcache.library import open_client

WARN: Final = "warn"
FAIL: Final = "fail"


class Cache(msgspec.Struct, frozen=True):
    """A server, or the embedded store, as options and environment name it.

    A failure is a warning, and as if nothing was found or saved, unless `is_strict`. Wrong usage is
    an error in any case.
    """

    console: Console
    environment: Environment
    is_strict: bool

    def restore(
        self,
        wanted: Wanted,
        *,
        lookup_only: bool = False,
        exact: bool = False,
        verify: bool = False,
    ) -> Hit | None:
        """Restore an entry, and say what came of it.

        Raises:
            CacheError: it failed, and may not.
        """
        hit = None
        with self.tolerated(), self._client() as client:
            with shown(self.console) as meter:
                hit = client.restore(
                    wanted.paths,
                    key=wanted.key,
                    restore_keys=wanted.restore_keys,
                    cross_os=wanted.cross_os,
                    lookup_only=lookup_only,
                    exact=exact,
                    verify=verify,
                    progress=meter,
                )
            if hit is None:
                self.console.talk(missed_text(wanted.key, wanted.restore_keys))
            elif lookup_only:
                self.console.talk(found_text(hit))
            else:
                self.console.talk(restored_text(hit, meter.content_bytes))
        return hit

    def save(
        self,
        wanted: Wanted,
        *,
        form: Format = "snapshot",
        level: int | None = None,
        base: str = "auto",
        refuse_secrets: bool = False,
    ) -> Saved | None:
        """Save an entry, and say what came of it; None is a failure that was tolerated.

        Raises:
            CacheError: it failed, and may not.
        """
        saved = None
        with self.tolerated(), self._client() as client:
            with shown(self.console) as meter:
                saved = client.save(
                    wanted.paths,
                    key=wanted.key,
                    cross_os=wanted.cross_os,
                    format=form,
                    level=level,
                    base=base,
                    refuse_secrets=refuse_secrets,
                    progress=meter,
                )
            self.console.talk(saved_text(saved, meter.content_bytes))
        return saved

    def tell_step(self, key: str, hit: Hit | None) -> None:
        """Write the outputs of a restore, if this is a step of a workflow."""
        if self.environment.output_file is not None:
            found = outputs.outputs_of(key, None if hit is None else hit.matched_key)
            outputs.append(self.environment.output_file, found)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        opened = open_client(self.environment, warn=self.console.warn, may_fork=True)
        with _terminated_like_interrupted(), opened as client:
            yield client

    @contextmanager
    def tolerated(self) -> Iterator[None]:
        """Let a failure of the block be a warning, if it may."""
        try:
            yield
        except CacheError as exc:
            # Who asks for secrets to be refused does not want to hear that nothing was saved.
            is_fatal = exit_code_of(exc) == WRONG_USAGE or isinstance(exc, SecretsFound)
            if self.is_strict or is_fatal:
                raise
            self.console.warn(str(exc), exc.hint)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: end at once, and leave nothing half-done behind."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def in_a_cache(command: Command) -> Command:
    """Add the options that say which cache, and pass it as `cache`."""

    @functools.wraps(command)
    def run(
        console: Console,
        *,
        url: str | None,
        token_file: str | None,
        data: str | None,
        repo: str | None,
        ref: str | None,
        contexts: tuple[tuple[str, Any], ...],
        on_error: str,
        **options: object,
    ) -> None:
        given = Given(
            url=url,
            token_file=token_file,
            data=data,
            repo=repo,
            ref=ref,
            contexts=dict(contexts),
        )
        cache = Cache(console, Environment(given), is_strict=on_error == FAIL)
        command(console, cache=cache, **options)

    decorated: Command = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


_OPTIONS: Final = (
    click.option("--url", metavar="URL", help="the server [default: that of the environment]"),
    click.option("--token-file", metavar="FILE", help="what holds its token; `-` for stdin"),
    click.option("--data", metavar="DIR", help="use the embedded store in this folder instead"),
    click.option("--repo", metavar="OWNER/REPO", help="whose entries, in an embedded store"),
    click.option("--ref", metavar="REF", help="of which ref, such as refs/heads/main, in it"),
    click.option(
        "--context",
        "contexts",
        metavar="NAME=FILE",
        type=CONTEXT,
        multiple=True,
        help="a context for ${{ … }} such as `matrix`, from a file with JSON; may be repeated",
    ),
    click.option(
        "--on-error",
        type=click.Choice([WARN, FAIL]),
        default=WARN,
        show_default=True,
        help="what a cache that does not work is",
    ),
)
