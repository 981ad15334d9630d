"""What is known of the job that saves and restores: by its variables, its event, its checkout."""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from runcache.client.checkout import Checkout, checkout_around

LOCAL_REPOSITORY: Final = "local/local"
DEFAULT_BRANCH: Final = "main"

# Files that steps write to: they tell an expression nothing.
_NO_CONTEXT: Final = frozenset({"env", "output", "path", "state", "step_summary"})
_MACHINES: Final = {"x86_64": "X64", "amd64": "X64", "aarch64": "ARM64", "arm64": "ARM64"}
_SYSTEMS: Final = {"linux": "Linux", "darwin": "macOS"}


class Identity(msgspec.Struct, frozen=True):
    """Who saves and restores, where no token says so: what `access.scopes_for` takes, and the run.

    Only a job of GitHub's has a run.
    """

    repository: str
    ref: str
    base_ref: str | None
    default_branch: str
    event: str
    run: str | None = None


class Job:
    """A job of GitHub's by its `variables`, else what the checkout around `folder` says.

    `repository` and `ref` go before both, if they are given.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        folder: Path,
        *,
        repository: str | None = None,
        ref: str | None = None,
    ) -> None:
        self._variables = variables
        self._folder = folder
        self._repository = repository
        self._ref = ref

    @cached_property
    def identity(self) -> Identity:
        """Who saves and restores in the embedded store."""
        default_branch = self._default_branch
        return Identity(
            repository=self._repository
            or self._variable("GITHUB_REPOSITORY")
            or self._checkout.repository
            or LOCAL_REPOSITORY,
            ref=self._ref
            or self._variable("GITHUB_REF")
            or self._checkout.ref
            or f"refs/heads/{default_branch}",
            base_ref=self._variable("GITHUB_BASE_REF"),
            default_branch=default_branch,
            event=self._variable("GITHUB_EVENT_NAME") or "push",
            run=self._variable("GITHUB_RUN_ID"),
        )

    @property
    def system(self) -> str:
        """`Linux`, `macOS` or `Windows`."""
        return self._variable("RUNNER_OS") or _SYSTEMS.get(sys.platform, "Windows")

    def runner(self) -> dict[str, Any]:
        """Return the context `runner`."""
        machine = os.uname().machine.lower()
        known = {"os": self.system, "arch": _MACHINES.get(machine, machine.upper())}
        return {**known, **dict(self._prefixed("RUNNER_"))}

    def github(self, workspace: Path) -> dict[str, Any]:
        """Return the context `github`, as far as it can be known."""
        identity = self.identity
        own = {name: v for name, v in self._prefixed("GITHUB_") if name not in _NO_CONTEXT}
        return {
            "repository": identity.repository,
            "ref": identity.ref,
            "ref_name": identity.ref.split("/", 2)[-1],
            "event_name": identity.event,
            "workspace": str(workspace),
            "event": self._event,
            **own,
        }

    @property
    def _default_branch(self) -> str:
        repository = self._event.get("repository")
        named = repository.get("default_branch") if isinstance(repository, dict) else None
        return str(named or self._checkout.default_branch or DEFAULT_BRANCH)

    @cached_property
    def _checkout(self) -> Checkout:
        return checkout_around(self._folder)

    @cached_property
    def _event(self) -> dict[str, Any]:
        file = self._variable("GITHUB_EVENT_PATH")
        if file is None:
            return {}
        import json  # noqa: PLC0415  -- only jobs of GitHub's have an event

        try:
            event = json.loads(Path(file).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return event if isinstance(event, dict) else {}

    def _prefixed(self, prefix: str) -> Iterator[tuple[str, str]]:
        for name, value in self._variables.items():
            if name.startswith(prefix):
                yield name.removeprefix(prefix).lower(), value

    def _variable(self, name: str) -> str | None:
        return self._variables.get(name) or None
