"""`runcache env`: what a job must have in its environment to use the cache (protocol §1)."""

import ipaddress
import shlex
from collections.abc import Callable, Mapping
from typing import Final

import click

from runcache.cli.console import Console, example
from runcache.cli.job_token import Job, for_a_job, job_token
from runcache.cli.options import talking
from runcache.cli.settings import ORIGIN, with_settings
from runcache.config import Loaded, Settings
from runcache.errors import InvalidSettings

# The values are URLs without a path, and tokens: nothing in them needs quotes in the latter two.
FORMATS: Final[Mapping[str, Callable[[str, str], str]]] = {
    "shell": lambda name, value: f"export {name}={shlex.quote(value)}",
    "dotenv": lambda name, value: f"{name}={value}",
    "github": lambda name, value: f"{name}={value}",
}


@click.command(
    "env", epilog=example('eval "$(runcache env --repo octo/hello --ref refs/heads/main)"')
)
@talking
@with_settings("data", "signing_key_file")
@for_a_job
@click.option("--url", metavar="URL", type=ORIGIN, help="where the job finds the server")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="shell",
    show_default=True,
    help="for eval, for env files, or for $GITHUB_ENV",
)
def command(console: Console, *, loaded: Loaded, job: Job, url: str | None, form: str) -> None:
    """Print the variables that point a job at the cache, with a token of its own."""
    origin = url or _reachable(loaded.settings)
    values = {
        # Clients add paths to them: one of them without a slash of its own.
        "ACTIONS_RESULTS_URL": f"{origin}/",
        "ACTIONS_CACHE_URL": f"{origin}/",
        "ACTIONS_CACHE_SERVICE_V2": "True",
        "ACTIONS_RUNTIME_TOKEN": job_token(console, loaded.settings, job),
    }
    text = "\n".join(FORMATS[form](name, value) for name, value in values.items())
    console.show(text, values)


def _reachable(settings: Settings) -> str:
    """Return the URL of the server, unless only its clients can know it."""
    if settings.public_url is None and (settings.port == 0 or _is_wildcard(settings.host)):
        raise InvalidSettings(
            f"nobody can be sent to `{settings.origin}`",
            hint="say where the server is with `--url`, or set `public_url`",
        )
    return settings.origin


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
