"""`runcache config`: what the settings are, and who said so."""

import json

import click

from runcache.cli.console import Console, example
from runcache.cli.options import talking
from runcache.cli.settings import ALL, with_settings
from runcache.config import Loaded


@click.group("config", epilog=example("runcache config show"))
def command() -> None:
    """Show the settings, and where each comes from."""


@command.command("show", epilog=example("RUNCACHE_REPO_LIMIT=20GB runcache config show"))
@talking
@with_settings(*ALL)
def show_command(console: Console, *, loaded: Loaded) -> None:
    """Print every setting as a server started here and now would see it, and its source.

    What is printed can be a settings file: sources are comments.
    """
    lines = [
        (f"{source.name} = {json.dumps(source.text, ensure_ascii=False)}", source.origin)
        for source in loaded.sources
    ]
    width = max(len(line) for line, _ in lines)
    text = "\n".join(f"{line:<{width}}  # {origin}" for line, origin in lines)
    console.show(text, {s.name: {"value": s.text, "source": s.origin} for s in loaded.sources})
