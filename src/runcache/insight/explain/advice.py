"""What to do about a near miss."""

from collections.abc import Mapping, Sequence
from typing import Final

from runcache.access import branch_ref
from runcache.insight.explain.candidates import Asked, Candidate
from runcache.insight.explain.likeness import shared_prefix
from runcache.insight.explain.sentences import Known
from runcache.insight.explain.values import Cause, Difference, Input
from runcache.insight.explain.wording import quoted

_LIKELY_DEFAULTS: Final = frozenset({"refs/heads/main", "refs/heads/master"})
_SAME_KEY: Final = "Write the key in the same way where it is saved and where it is restored."
_ADVICE: Final[Mapping[Cause, str]] = {
    Cause.EVICTED: "Save less under other keys, or raise the limit.",
    Cause.EXPIRED: "Restore it more often, or raise `unused_for`.",
    Cause.DAMAGED: "The next save brings it back; `runcache check` looks for more damage.",
    Cause.SUSPECT: "Wait for a moment: it is verified, or else dropped.",
    Cause.BEING_SAVED: "Restore again when it is saved.",
    Cause.UNFINISHED: "Look at why that job did not end; the next one may save under this key.",
    Cause.OTHER_BLANKS: _SAME_KEY,
    Cause.OTHER_CASE: _SAME_KEY,
}


def advice(candidate: Candidate, known: Known, asked: Asked) -> str | None:
    """Return what to do about the main cause, if there is anything."""
    cause = candidate.causes[0]
    if cause is Cause.OTHER_VERSION:
        return _about_versions(known.differences)
    if cause is Cause.UNREADABLE_SCOPE:
        return _about_scopes(candidate, asked)
    if cause in {Cause.OTHER_HASH, Cause.SIMILAR_KEY}:
        return _about_prefixes(candidate, asked)
    return _ADVICE.get(cause)


def _about_versions(differences: Sequence[Difference]) -> str:
    changed = {difference.input for difference in differences}
    if changed == {Input.COMPRESSION}:
        return (
            "Save what is restored: `actions/cache` takes archives alone (`runcache save --format"
            " archive`), with zstd if the machine has it."
        )
    if changed == {Input.SYSTEM}:
        return "Save and restore with `enableCrossOsArchive` (`--cross-os`) on Windows, too."
    return "Save and restore with the same paths, letter by letter and in the same order."


def _about_scopes(candidate: Candidate, asked: Asked) -> str:
    scope, default = quoted(candidate.scope), quoted(branch_ref(asked.question.default_branch))
    if candidate.scope in _LIKELY_DEFAULTS:
        return f"If {scope} is the default branch, ask again with that as such."
    is_branch = candidate.scope.startswith("refs/heads/")
    is_pull_request = asked.scopes[0].startswith("refs/pull/")
    if is_branch and is_pull_request and asked.question.base_ref is None:
        return f"If the pull request goes to {scope}, ask again with that as its base."
    return f"Save it on {default}, too: what the default branch saves is read by all refs."


def _about_prefixes(candidate: Candidate, asked: Asked) -> str | None:
    prefix = shared_prefix(candidate.key, asked.keys[0])
    if prefix is None or len(candidate.causes) > 1:
        return None
    return f"The restore key {quoted(prefix)} would restore it until the key itself is saved."
