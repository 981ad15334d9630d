"""`runcache token`: tokens for jobs, and for people and programs that look after caches."""

import click

from runcache.cli.console import example
from runcache.cli.lazy import LazyGroup


@click.group(
    "token",
    cls=LazyGroup,
    lazy={
        "job": ("job_token:command", "print a token for one job"),
        "api": ("api_tokens:api_command", "print a token for the REST API, gh and the web pages"),
        "list": ("api_tokens:list_command", "list the API tokens"),
        "revoke": ("api_tokens:revoke_command", "take an API token back"),
    },
    epilog=example("runcache token job --repo octo/hello --ref refs/heads/main"),
)
def command() -> None:
    """Make, list and revoke tokens."""
