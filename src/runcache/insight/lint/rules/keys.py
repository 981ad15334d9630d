"""What a key has to depend on: the system, the dependencies, and what runs them."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from runcache.insight.lint.actions import action_of, input_of
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.ecosystems import Interpreter
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.hash_calls import hashed_patterns
from runcache.insight.lint.project import Project
from runcache.insight.lint.setup_actions import SETUP_ACTIONS
from runcache.insight.lint.templates import Text, written_in
from runcache.insight.lint.values import Pieces, known_text, pieces_of
from runcache.insight.lint.wording import in_words, quoted

# Names whose values do not depend on what the rules ask for. The value of any other may.
_PER_BRANCH: Final = frozenset(
    {
        "github.actor",
        "github.base_ref",
        "github.event_name",
        "github.head_ref",
        "github.ref",
        "github.ref_name",
        "github.ref_type",
    }
)
_FIXED: Final = frozenset(
    {
        "github.job",
        "github.repository",
        "github.repository_owner",
        "github.workflow",
        "github.workspace",
        "runner.arch",
        "runner.os",
    }
)
_NAMES_A_SYSTEM: Final = re.compile(
    r"linux|ubuntu|debian|alpine|windows|win(?:32|64)|macos|osx|darwin|mac", re.IGNORECASE
)
_HEX_DIGITS: Final = re.compile(r"[0-9a-f]{7,}+")


def _known_part(pieces: Pieces) -> str:
    return " ".join(piece for piece in pieces if isinstance(piece, str))


def key_without_os(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find keys that jobs on different systems share, or that files of one system are under."""
    references = step.references
    may_hold_it = not references <= _FIXED | _PER_BRANCH | {"hashfiles", "github.sha"}
    if step.key is None or step.is_cross_os or may_hold_it or "runner.os" in references:
        return
    if len({scope.case.os for scope in step.at.scopes}) > 1:
        names = _sharing(step)
        if names and "runner.arch" not in references:
            yield Fault(step.key.place(), f"jobs on {in_words(names)} share this key")
    elif any(not content.is_portable for content in step.contents) and not any(
        _NAMES_A_SYSTEM.search(_known_part(key)) for key in step.keys
    ):
        message = "the files depend on the operating system, and the key does not"
        yield Fault(step.key.place(), message)


def _sharing(step: CacheStep) -> list[str]:
    """Return different systems, sorted, on which the key of a step is the same."""
    systems: dict[Pieces, set[str]] = {}
    for key, scope in zip(step.keys, step.at.scopes, strict=True):
        systems.setdefault(key, set()).update({scope.case.os} if scope.case.os else set())
    return next((sorted(names) for names in systems.values() if len(names) > 1), [])


def key_without_hash(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find keys that stay the same when the dependencies change."""
    contents = step.contents
    if step.key is None or not contents or not step.references <= _FIXED | _PER_BRANCH:
        return
    if any(_holds_a_digest(_known_part(key)) for key in step.keys):
        return
    lock_files = quoted(contents[0].ecosystem.lock_files[:2], "or")
    yield Fault(
        step.key.place(),
        "the key stays the same when the dependencies change",
        f"add the hash of what pins them, such as {lock_files}: `${{{{ hashFiles('…') }}}}`",
    )


def _holds_a_digest(text: str) -> bool:
    """Say whether a text holds what may be a digest that somebody pinned by hand."""
    return any(
        re.search("[0-9]", found) and re.search("[a-f]", found)
        for found in _HEX_DIGITS.findall(text)
    )


def key_without_version(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find installed packages whose key does not hold the version of what they are made for."""
    unknown = step.references - _FIXED - _PER_BRANCH - {"hashfiles", "github.sha"}
    if step.key is None or unknown:
        return
    interpreters = {content.interpreter for content in step.contents if content.interpreter}
    for interpreter in sorted(interpreters, key=lambda one: one.value):
        name = interpreter.value
        versions = list(_versions(step, interpreter))
        missing = next((version for version in versions if _is_without(step, version)), None)
        if missing is not None:
            message = f"the job chooses a version of {name}, and the key does not depend on it"
            output = f"the output `{name.lower()}-version` of the step that sets it up"
            addition = f"`{missing.value}`" if "${{" in missing.value else output
            yield Fault(step.key.place(), message, f"add to the key {addition}")
        elif not versions and (variable := _shared_variable(step, name.lower())):
            message = f"jobs with different values of `{variable}` share this key"
            yield Fault(step.key.place(), message, f"add to the key `${{{{ {variable} }}}}`")


def _shared_variable(step: CacheStep, tool: str) -> str | None:
    """Return a variable of the matrix that is named after a tool, and tells no keys apart."""
    values: dict[tuple[str, Pieces], object] = {}
    for key, scope in zip(step.keys, step.at.scopes, strict=True):
        for name, value in (scope.case.matrix or {}).items():
            if tool in name.lower() and values.setdefault((name, key), value) != value:
                return f"matrix.{name}"
    return None


def _versions(step: CacheStep, interpreter: Interpreter) -> Iterator[Text]:
    """Yield the inputs by which the job chooses a version: the version, or a file that has it."""
    tool = interpreter.value.lower()
    for other in step.at.job.steps:
        action = action_of(other)
        setup = SETUP_ACTIONS.get(action.name) if action else None
        if setup and setup.interpreter is interpreter:
            for name in (f"{tool}-version", f"{tool}-version-file"):
                if found := input_of(other, name):
                    yield written_in(found)


def _is_without(step: CacheStep, version: Text) -> bool:
    """Say whether the key is known not to hold a version, nor the hash of the file that has it."""
    patterns = hashed_patterns(step)
    if patterns is None or "\n" in version.value:  # several versions are not a choice
        return False
    hashed = [pattern.rsplit("/", 1)[-1] for pattern in patterns]
    for key, scope in zip(step.keys, step.at.scopes, strict=True):
        value = known_text(pieces_of(version, scope))
        if value is not None:
            name = value.rsplit("/", 1)[-1]
            digits = re.sub("[^0-9.]", "", value).strip(".")
            text = _known_part(key)
            if any(fnmatchcase(name, pattern) for pattern in hashed):
                return False
            if digits and (digits in text or digits.replace(".", "") in text):
                return False
    return True
