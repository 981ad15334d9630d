"""`runcache version-of`: which version do these paths have?"""

import sys
from collections.abc import Sequence
from typing import Final

import click

from runcache.cli.console import Console, example
from runcache.cli.options import talking
from runcache.versions import cache_version, paths_of_input

# What GitHub's client calls the compressions that it can choose.
COMPRESSIONS: Final = {"zstd": "zstd-without-long", "gzip": "gzip"}
SYSTEMS: Final = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}


@click.command("version-of", epilog=example("runcache version-of --path '~/.npm' --path dist"))
@talking
@click.option(
    "--path",
    "inputs",
    metavar="PATH",
    multiple=True,
    required=True,
    help="a line of the step's `path`, or all of it; may be repeated, and the order counts",
)
@click.option(
    "--compression",
    type=click.Choice(list(COMPRESSIONS)),
    default="zstd",
    help="gzip on a machine without zstd [default: zstd]",
)
@click.option(
    "--os",
    "system",
    type=click.Choice(list(SYSTEMS.values())),
    default=SYSTEMS.get(sys.platform, "Linux"),
    help="where the step runs [default: this system]",
)
@click.option("--cross-os", is_flag=True, help="with `enableCrossOsArchive`")
def command(
    console: Console, *, inputs: Sequence[str], compression: str, system: str, cross_os: bool
) -> None:
    """Print the version that `actions/cache` looks for besides the key.

    Only an entry with the same version can be a hit. It depends on the text of the paths, their
    order and the compression, but not on what the paths match.
    """
    paths = [path for text in inputs for path in paths_of_input(text)]
    if not paths:
        raise click.BadParameter("there is no path in it", param_hint="`--path`")
    method = COMPRESSIONS[compression]
    version = cache_version(paths, method, system, cross_os=cross_os)
    value = {
        "version": version,
        "paths": paths,
        "compression": method,
        "os": system,
        "cross_os": cross_os,
    }
    console.show(version, value)
