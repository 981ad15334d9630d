"""What a step finds in the folder that it works in."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from runcache.insight.lint.actions import action_of, input_of
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.workflow import Step

# Inputs of actions/checkout by which the workspace is another one than this repository.
_CHECKS_OUT_ELSE: Final = ("path", "ref", "repository", "sparse-checkout", "submodules")
# Words of commands that bring or make files, a lock file among them.
_BRINGS_FILES: Final = re.compile(
    r"\bgit\s+(?:clone|checkout|pull|fetch|submodule|worktree)\b"
    r"|\b(?:build|compile|cp|curl|export|freeze|generate|install|lock|make|mv|sync|tar|unzip|wget)\b"
)


def is_checkout(step: Step) -> bool:
    """Say whether a step checks out a repository by the usual action."""
    action = action_of(step)
    return action is not None and action.name == "actions/checkout"


def workspace_is_repository(step: CacheStep, patterns: Sequence[str]) -> bool:
    """Say whether a step sees the files of this repository, and no others that patterns match.

    That is so behind a plain checkout, unless a step before it may have brought or made files.
    """
    before = step.at.steps_before
    checkouts = [other for other in before if is_checkout(other)]
    if not checkouts or any(brings_files(other, patterns) for other in before):
        return False
    return not any(input_of(other, name) for other in checkouts for name in _CHECKS_OUT_ELSE)


def brings_files(step: Step, patterns: Sequence[str]) -> bool:
    """Say whether a step may bring or make files that patterns match."""
    if step.script is not None:
        return _names_files(step.script.text, tuple(patterns))
    action = action_of(step)
    # An action of the repository itself may do anything.
    return action is None or action.name == "actions/download-artifact"


@lru_cache(maxsize=1024)
def _names_files(script: str, patterns: tuple[str, ...]) -> bool:
    names = (pattern.rsplit("/", 1)[-1].strip("*") for pattern in patterns)
    return bool(_BRINGS_FILES.search(script)) or any(name in script for name in names if name)
