"""`runcache token job`: what a job shows the cache."""

import functools
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from runcache.access import scopes_for
from runcache.cli.console import Console, example
from runcache.cli.options import Command, talking
from runcache.cli.settings import TIME_TO_LIVE, with_settings
from runcache.config import Loaded, Settings
from runcache.model import ScopePermission
from runcache.server import keys
from runcache.server.auth import JobTokens


@dataclass(frozen=True, slots=True)
class Job:
    """What a job token is made for."""

    repo: str
    ref: str
    base_ref: str | None
    default_branch: str
    event: str
    ttl: timedelta

    def scopes(self) -> tuple[ScopePermission, ...]:
        """Return what the job may read and write."""
        return scopes_for(
            ref=self.ref,
            base_ref=self.base_ref,
            default_branch=self.default_branch,
            event=self.event,
        )


def for_a_job(command: Command) -> Command:
    """Add the options that describe a job, and pass them as `job`."""

    @functools.wraps(command)
    def run(console: Console, **options: object) -> None:
        fields: dict[str, Any] = {name: options.pop(name) for name in Job.__slots__}
        command(console, job=Job(**fields), **options)

    for option in (
        click.option("--ttl", type=TIME_TO_LIVE, default="6h", show_default=True, help="validity"),
        click.option("--event", default="push", show_default=True, help="what started the job"),
        click.option(
            "--default-branch",
            metavar="BRANCH",
            default="main",
            show_default=True,
            help="the repository's",
        ),
        click.option("--base-ref", metavar="REF", help="what a pull request is to be merged into"),
        click.option(
            "--ref", metavar="REF", required=True, help="the job's ref, such as refs/heads/main"
        ),
        click.option("--repo", metavar="OWNER/REPO", required=True, help="the job's repository"),
    ):
        run = option(run)
    return run


def job_token(console: Console, settings: Settings, job: Job) -> str:
    """Return a token for a job, signed with the key of the server."""
    scopes = job.scopes()
    is_first = settings.is_own_signing_key and not settings.signing_key_file.exists()
    key = keys.key_of(settings)
    if is_first:
        console.talk(f"made the signing key `{settings.signing_key_file}`")
        console.talk("hint: only a server with the same `--data` accepts what it signs")
    tokens = JobTokens(key.derived(keys.JOB_TOKENS), now=lambda: time.time_ns() // 1_000_000)
    return tokens.mint(
        repository=job.repo, scopes=scopes, ttl=job.ttl, ref=job.ref, event=job.event
    )


@click.command(
    "job",
    epilog=example("runcache token job --repo octo/hello --ref refs/pull/7/merge --base-ref main"),
)
@talking
@with_settings("data", "signing_key_file")
@for_a_job
def command(console: Console, *, loaded: Loaded, job: Job) -> None:
    """Print a token for one job, to be its ACTIONS_RUNTIME_TOKEN.

    The job can restore what its own ref, its base branch and the default branch saved, and saves to
    its own ref only.
    """
    token = job_token(console, loaded.settings, job)
    scopes = [
        {"scope": s.scope, "permission": str(s.permission.name).lower()} for s in job.scopes()
    ]
    console.show(token, {"token": token, "repository": job.repo.lower(), "scopes": scopes})
