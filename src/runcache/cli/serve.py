"""`runcache serve`: the server, in the foreground."""

import asyncio

import click

from runcache.cli.console import Console, example
from runcache.cli.options import talking
from runcache.cli.settings import ALL, with_settings
from runcache.config import Loaded


@click.command(
    "serve",
    epilog=example("runcache serve --port 8480 --data /var/lib/runcache --repo-limit 20GB"),
)
@talking
@with_settings(*ALL)
def command(console: Console, *, loaded: Loaded) -> None:
    """Serve a cache to jobs, until SIGTERM or Ctrl-C.

    Each setting is a flag, else a variable such as RUNCACHE_REPO_LIMIT, else a line of
    runcache.toml such as repo_limit = "20GB". Sizes have units like GB and GiB, durations s, m, h
    and d.
    """

    def announce(url: str) -> None:
        console.show(f"serving on {url}", {"url": url})

    if loaded.settings.workers > 1:
        # First, since it decides how what it imports counts.
        from runcache.server.workers import serve_with_workers  # noqa: PLC0415  -- see above

        exit_code = serve_with_workers(loaded.settings, announce=announce)
        click.get_current_context().exit(exit_code)
    from runcache.server.process import serve  # noqa: PLC0415  -- as above

    asyncio.run(serve(loaded.settings, announce=announce))
