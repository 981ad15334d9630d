"""What a near miss is, and why it did not answer, in words."""

from dataclasses import dataclass
from typing import Final

from runcache.insight.explain.candidates import Asked, Candidate
from runcache.insight.explain.values import Cause, Difference, Input
from runcache.insight.explain.wording import (
    ago,
    format_of,
    lasting,
    limit_kept,
    quoted,
    why_unreadable,
)
from runcache.model import MatchKind

_SHORT_VERSION: Final = 12
# What records have for whoever needs no token.
_EMBEDDED: Final = "embedded"
_GONE: Final = frozenset({Cause.EVICTED, Cause.EXPIRED, Cause.DELETED, Cause.DAMAGED})


@dataclass(frozen=True, slots=True)
class Known:
    """What was found out about a candidate: how its version differs, and what made it go.

    `saver` is the key whose save evicted it, if the question may hear of that. `is_tried` says that
    the version is none of those that the same paths have elsewhere, unless there are differences.
    """

    differences: tuple[Difference, ...] = ()
    saver: str | None = None
    is_tried: bool = False


def sentence(candidate: Candidate, known: Known, asked: Asked) -> str:
    """Return the sentence for the main cause."""
    cause, scope = candidate.causes[0], quoted(candidate.scope)
    when = ago(candidate.at, asked.now_ms)
    if cause in _GONE:
        says = f"was in {scope} until {when}: {_why_gone(candidate, known)}"
    elif candidate.reserved is not None:
        says = _unsaved(candidate, asked)
    else:
        says = f"is saved in {scope}, {_why_not(candidate, known, asked)}"
    return f"{_subject(candidate)} {says}."


def besides(candidate: Candidate, cause: Cause, known: Known, asked: Asked) -> str:
    """Return the sentence for a further cause; it begins in lower case."""
    like = quoted(candidate.alike.asked)
    if cause is Cause.OTHER_VERSION:
        return f"its version is another: {_version_differs(candidate, known)}."
    if cause is Cause.UNREADABLE_SCOPE:
        return f"it is in {quoted(candidate.scope)}, which {_not_read(candidate, asked)}."
    if cause is Cause.OTHER_CASE:
        return f"it differs from {like} in upper and lower case, which count."
    return f"it differs from {like} in blanks, which count."


def _subject(candidate: Candidate) -> str:
    """Name the entry, and say why it matters if its key is not the one that was asked for."""
    alike, name = candidate.alike, quoted(candidate.key)
    if alike.cause is None and alike.kind is not MatchKind.EXACT:
        beginning = "the key" if alike.kind is MatchKind.PREFIX else quoted(alike.asked)
        return f"{name}, which begins with {beginning},"
    return name


def _why_not(candidate: Candidate, known: Known, asked: Asked) -> str:
    """Say why an entry that is there did not answer."""
    like = quoted(candidate.alike.asked)
    is_whole = candidate.alike.kind is MatchKind.EXACT
    differs = f"differs from {like} in" if is_whole else f"begins with {like} but for"
    reasons = {
        Cause.SUSPECT: "but hidden until its bytes are verified, since the machine stopped before"
        " they were safe",
        Cause.OTHER_BLANKS: f"and {differs} blanks, which count",
        Cause.OTHER_CASE: f"and {differs} upper and lower case, which count",
        Cause.OTHER_HASH: f"and is {like} with another hash or version, so what that is made of"
        " has changed",
        Cause.SIMILAR_KEY: f"and is like {like}",
    }
    cause = candidate.causes[0]
    if cause is Cause.OTHER_VERSION:
        return f"but in another version: {_version_differs(candidate, known)}"
    if cause is Cause.UNREADABLE_SCOPE:
        return f"which {_not_read(candidate, asked)}"
    return reasons[cause]


def _not_read(candidate: Candidate, asked: Asked) -> str:
    why = why_unreadable(candidate.scope, asked.scopes[0])
    return f"{quoted(asked.scopes[0])} does not read: {why}"


def _why_gone(candidate: Candidate, known: Known) -> str:
    event, cause = candidate.event, candidate.causes[0]
    limit = None if event is None else event.limit
    by = None if event is None else event.by
    if cause is Cause.EXPIRED:
        return f"nobody had used it for {'too long' if limit is None else lasting(limit)}"
    if cause is Cause.DELETED:
        who = f"{quoted(by)} deleted it" if by else "somebody deleted it"
        return "somebody deleted it by a command in the store's folder" if by == _EMBEDDED else who
    if cause is Cause.DAMAGED:
        return "bytes of it were missing or damaged, so it was dropped"
    kept = limit_kept(None if event is None else event.reason, limit)
    if known.saver is not None:
        return f"{kept}, to make room for {quoted(known.saver)}"
    return f"{kept}, which {quoted(by)} had changed" if by and by.startswith("token ") else kept


def _unsaved(candidate: Candidate, asked: Asked) -> str:
    scope, when = quoted(candidate.scope), ago(candidate.at, asked.now_ms)
    if candidate.causes[0] is Cause.BEING_SAVED:
        return f"is about to be saved in {scope}: a job has reserved it {when} and sends it now"
    active_at = candidate.reserved.active_at if candidate.reserved else candidate.at
    heard = ago(active_at, asked.now_ms)
    return f"was reserved in {scope} {when} and never saved: its job was last heard of {heard}"


def _version_differs(candidate: Candidate, known: Known) -> str:
    told = [_told(difference) for difference in known.differences]
    if told:
        return ", and ".join(told)
    version = quoted(f"{candidate.version[:_SHORT_VERSION]}…")
    if known.is_tried:
        return f"{version} is not of these paths in another format, so it is of other paths"
    return f"{version} stands for other paths, another compression or another system"


def _told(difference: Difference) -> str:
    asked, saved = difference.asked, difference.saved
    if difference.input is Input.PATHS:
        if asked is None:
            return f"it was saved with {_listed(saved)}"
        is_reordered = sorted(_lines(asked)) == sorted(_lines(saved))
        order = "in this order" if is_reordered else "as its paths"
        return f"it was saved with {_listed(saved)} {order}, not with {_listed(asked)}"
    if difference.input is Input.COMPRESSION:
        was = f"it is {format_of(saved)}"
        wanted = () if asked is None else asked.split(" or ")
        return f"{was}, not {' or '.join(map(format_of, wanted))}" if wanted else was
    return f"it is for {saved or 'other systems'}, not for {asked}"


def _lines(paths: str | None) -> list[str]:
    return (paths or "").split("\n")


def _listed(paths: str | None) -> str:
    return ", ".join(map(quoted, _lines(paths)))
