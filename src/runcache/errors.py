"""Every way in which runcache refuses or fails.

```
CacheError
├── Refused                     the caller may change the request and try again
│   ├── InvalidInput            what was sent cannot be understood or accepted
│   │   ├── InvalidKey
│   │   ├── InvalidVersion
│   │   ├── InvalidRef
│   │   ├── InvalidRepository
│   │   ├── TooManyKeys
│   │   ├── MalformedMessage    a body or header that is not of its protocol
│   │   ├── MessageTooLarge     a body longer than any of its protocol
│   │   ├── UploadInterrupted   the client went away in the middle of a body
│   │   ├── InvalidBlockList
│   │   ├── InvalidRange        a range of an upload that cannot be
│   │   ├── RangeUnsatisfiable  a range of a download that lies outside the blob
│   │   ├── SizeMismatch
│   │   ├── DigestMismatch
│   │   ├── TooManyPacks
│   │   ├── ManifestMissing
│   │   ├── InvalidParameter    a parameter or member that is missing or wrong
│   │   ├── InvalidCursor       a page of a list that cannot be
│   │   ├── InvalidLimit        a limit of a repository or an owner that cannot be
│   │   ├── InvalidPattern      a pattern of file names that cannot be
│   │   ├── ExpressionError     an expression that cannot be read or evaluated
│   │   ├── InvalidWorkflow     a workflow file that cannot be read
│   │   ├── InvalidPreset       a preset that is unknown, or that `auto` cannot choose
│   │   └── InvalidBackup       a folder that is no backup, or not of this cache
│   ├── EntryExists
│   ├── PackGone                a commit names a pack that it cannot share
│   ├── UploadTooLarge
│   ├── NotAuthenticated
│   ├── NotPermitted
│   │   ├── ReadDenied
│   │   ├── WriteDenied
│   │   ├── FormRefused         a form that no page of the same session held
│   │   └── ReadOnlyToken       an API token that looks after caches without changing them
│   ├── LinkRefused
│   ├── NotFound
│   │   ├── UploadGone
│   │   ├── EntryMissing
│   │   ├── BlobMissing
│   │   └── TokenMissing
│   ├── Misdirected             a request that is meant for another server
│   ├── ForwardingLoop          a request for `results_upstream` that leads back to this server
│   ├── FileUnreadable          a file or folder of the caller that cannot be read
│   ├── FileUnwritable          a file or folder of the caller that cannot be written
│   ├── NothingToSave           no file is where the paths lead
│   ├── FilesUnlistable         a snapshot whose manifest is damaged, or too large to be shown
│   ├── SecretsFound            credentials among the files that were to be saved
│   ├── SnapshotsUnsupported    a server that keeps archives only
│   ├── InvalidSettings
│   └── PresetUnresolved        what a preset is made of cannot be found
│       ├── DependenciesMissing
│       ├── ToolMissing
│       ├── ToolFailed
│       ├── ToolHung
│       ├── MachineUnknown      a system that is unknown, or does not say which it is
│       └── InterpretersDiffer
├── BrokenEntry                 an entry that was found and cannot be restored
│   └── UnsafeEntry             one that would write where it must not, or too much
├── BackupDamaged               a backup that is no longer what was written
├── PartlyRestored              a restore failed after it had replaced files
├── TwinLost                    a second process was killed in the middle of a restore
├── UnexpectedAnswer            what answered a client is not of its protocol
│   └── ProtocolAbsent          a server without the protocol
└── Unavailable                 the server cannot now; the same request may work later
    ├── Draining
    ├── StoreFull
    ├── StoreUnavailable
    ├── CatalogUnavailable
    ├── UpstreamFailed          `results_upstream` cannot be reached, or breaks off
    │   └── UpstreamSilent      it does not answer in time
    ├── ServerFailed            a client got such an answer again and again
    └── ServerUnreachable       a client got no answer
        └── ServerUntrusted     the certificate of what answered is not trusted
```

An error keeps its facts as attributes and, where there is a way out, a `hint` for a person. It
knows nothing of HTTP or exit codes: `server/failures.py` and `cli/console.py` have the tables.
"""

from collections.abc import Sequence
from typing import Literal, Self


class CacheError(Exception):
    """The root of all errors that runcache raises on purpose."""

    hint: str | None = None


class Refused(CacheError):
    """The request cannot be granted as it is."""


class InvalidInput(Refused):
    """Something in the request is not what it must be."""


class InvalidKey(InvalidInput):
    """A key that is empty, too long or holds a character that keys may not hold."""

    hint = "a key has 1 to 512 characters, no comma and no NUL"

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid key: {reason}")
        self.reason = reason


class InvalidVersion(InvalidInput):
    """A cache version that is empty or too long."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid version: {reason}")
        self.reason = reason


class InvalidRef(InvalidInput):
    """A ref that is short, or that Git could not have."""

    hint = "a full ref is such as `refs/heads/main`, `refs/tags/v1` or `refs/pull/7/merge`"

    def __init__(self, ref: str, reason: str) -> None:
        super().__init__(f"invalid ref `{ref}`: {reason}")
        self.ref = ref
        self.reason = reason


class InvalidRepository(InvalidInput):
    """A repository that is not named as `owner/name`."""

    hint = "a repository is such as `octo-org/octo-repo`"

    def __init__(self, name: str) -> None:
        super().__init__(f"`{name}` is not the name of a repository")
        self.name = name


class TooManyKeys(InvalidInput):
    """A lookup with more keys than the protocol allows."""

    def __init__(self, count: int, *, limit: int) -> None:
        super().__init__(f"a lookup takes at most {limit} keys, not {count}")
        self.count = count
        self.limit = limit


class MalformedMessage(InvalidInput):
    """A body, query or header that cannot be decoded."""


class MessageTooLarge(InvalidInput):
    """A body longer than any message of its protocol."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body exceeds {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class UploadInterrupted(InvalidInput):
    """A body that ended before its announced length."""

    def __init__(self) -> None:
        super().__init__("the request body ended early")


class InvalidBlockList(InvalidInput):
    """A block list that names unknown or repeated blocks, or too many of them."""


class InvalidRange(InvalidInput):
    """Ranges of an upload that leave a gap, overlap or do not fit their bodies."""


class RangeUnsatisfiable(InvalidInput):
    """A range that begins behind the end of the blob."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the range lies outside the {size_bytes} bytes of the blob")
        self.size_bytes = size_bytes


class SizeMismatch(InvalidInput):
    """The announced size differs from the bytes that were received."""

    def __init__(self, *, announced_bytes: int, received_bytes: int) -> None:
        super().__init__(
            f"{announced_bytes} bytes were announced, {received_bytes} bytes were received"
        )
        self.announced_bytes = announced_bytes
        self.received_bytes = received_bytes


class DigestMismatch(InvalidInput):
    """The bytes that were received do not hash to what was announced."""

    def __init__(self) -> None:
        super().__init__("the received bytes differ from their announced digest")


class TooManyPacks(InvalidInput):
    """A snapshot with more packs than an entry may have."""

    hint = "cache fewer or smaller folders under one key"

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"a snapshot has at most {limit} packs")
        self.limit = limit


class ManifestMissing(InvalidInput):
    """A snapshot that was committed before its manifest was received."""

    def __init__(self) -> None:
        super().__init__("the manifest of the snapshot was never received")


class InvalidParameter(InvalidInput):
    """A parameter of a query, or a member of a body, that is missing or is not what it must be."""

    name: str = ""
    reason: str = ""
    is_missing: bool = False

    def __init__(self, name: str, reason: str, *, is_missing: bool = False) -> None:
        super().__init__(f"`{name}` {reason}")
        self.name = name
        self.reason = reason
        self.is_missing = is_missing


class InvalidCursor(InvalidInput):
    """A cursor that leads nowhere, or that belongs to a list of other entries or another order."""

    hint = "begin again with the first page"

    def __init__(self) -> None:
        super().__init__("the cursor does not belong to this list")


class InvalidLimit(InvalidInput):
    """A limit for a repository or an owner that is too small or too large to mean anything."""

    hint = "leave it out to go back to what is inherited"

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid limit: {reason}")
        self.reason = reason


class InvalidPattern(InvalidInput):
    """A pattern of file names that GitHub's library refuses, or that no file could match."""

    def __init__(self, pattern: str, reason: str) -> None:
        super().__init__(f"invalid pattern `{_beginning_of(pattern)}`: {reason}")
        self.pattern = pattern
        self.reason = reason


def _beginning_of(text: str, *, most: int = 200) -> str:
    """Return what of `text` a message can hold."""
    return text if len(text) <= most else f"{text[:most]}…"


class ExpressionError(InvalidInput):
    """An expression that cannot be read, or that failed while it was evaluated.

    `kind` is the stage that refused it: `lexing`, `parsing` or `evaluation`. `position` is the
    offset in `expression` of what is wrong. The text has a line for the reason, the line of the
    expression, and a caret below it.
    """

    def __init__(
        self,
        reason: str,
        *,
        kind: Literal["lexing", "parsing", "evaluation"],
        position: int,
        expression: str,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{reason}\n{_pointed_at(expression, position)}")
        self.reason = reason
        self.kind = kind
        self.position = position
        self.expression = expression
        self.hint = hint


def _pointed_at(text: str, position: int, *, reach: int = 50) -> str:
    """Return the line of `text` that holds `position`, cut to what is near, and a caret below."""
    begin = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    first, last = max(begin, position - reach), min(end, position + reach)
    before = ("…" if first > begin else "") + text[first:position]
    after = text[position:last] + ("…" if last < end else "")
    # What a terminal would act upon is not shown, and a tab stays one so that the caret fits.
    shown = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in before + after)
    indent = "".join("\t" if c == "\t" else " " for c in before)
    return f"  {shown}\n  {indent}^"


class InvalidWorkflow(InvalidInput):
    """A workflow file that is no YAML, or not of the form of a workflow.

    `offset` is the character of the file where the reading ended.
    """

    def __init__(self, reason: str, *, offset: int) -> None:
        super().__init__(f"not a workflow: {reason}")
        self.reason = reason
        self.offset = offset


class InvalidPreset(InvalidInput):
    """A preset that does not exist, or that cannot be chosen for a project."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class InvalidBackup(InvalidInput):
    """A folder that is no backup, that a newer runcache has written, or that is another cache's."""

    def __init__(self, folder: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"`{folder}` {reason}")
        self.folder = folder
        self.hint = hint


class EntryExists(Refused):
    """An entry with this key and version is already saved, or being saved, in the same scope."""

    hint = "entries never change: save under a new key"

    def __init__(self, key: str, *, scope: str) -> None:
        # The wording is the hosted service's: go-actions-cache looks for "already exists".
        super().__init__("cache entry with the same key, version, and scope already exists")
        self.key = key
        self.scope = scope


class PackGone(Refused):
    """A pack that is gone, never was, or belongs to entries that the job may not read."""

    hint = "save again without a base"

    def __init__(self) -> None:
        # The same for all three: a job shall not learn what others have.
        super().__init__("a pack of the snapshot is not, or no longer, there to be shared")


class UploadTooLarge(Refused):
    """An upload that exceeds `entry_limit`."""

    hint = "raise `entry_limit`, or cache less"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"an entry may have at most {limit_bytes} bytes here (`entry_limit`)")
        self.limit_bytes = limit_bytes


class NotAuthenticated(Refused):
    """No token, or one that is forged, expired, revoked or of the wrong kind."""


class NotPermitted(Refused):
    """A valid token that does not allow this."""


class ReadDenied(NotPermitted):
    """A token without any readable scope."""

    def __init__(self) -> None:
        # Clients look for this prefix (protocol §2.4).
        super().__init__("cache read denied: token has no readable scopes")


class WriteDenied(NotPermitted):
    """A token without a writable scope."""

    def __init__(self) -> None:
        # Clients look for this prefix (protocol §2.4).
        super().__init__("cache write denied: token has no writable scopes")


class FormRefused(NotPermitted):
    """A form of the web pages that did not come from a page of the same session."""

    hint = "go back, reload the page and try again; cookies must be allowed"

    def __init__(self) -> None:
        super().__init__("the form does not belong to your session")


class ReadOnlyToken(NotPermitted):
    """An API token that may look at something, and not change it."""

    hint = "`runcache token api --write` makes one that may"

    def __init__(self) -> None:
        super().__init__("the token may look at this, and not change it")


class LinkRefused(Refused):
    """A blob link that is altered, expired, unsigned or used for another purpose."""

    def __init__(self) -> None:
        super().__init__("server failed to authenticate the request")


class NotFound(Refused):
    """There is no such thing, or the caller may not know of it."""


class UploadGone(NotFound):
    """An upload that was committed, replaced or expired, or never was."""

    def __init__(self) -> None:
        super().__init__("there is no such upload: it was committed, replaced or has expired")


class EntryMissing(NotFound):
    """An entry that was forgotten, never was, or that the job may not read."""

    def __init__(self) -> None:
        super().__init__("there is no such entry")


class BlobMissing(NotFound):
    """Bytes that are not, or no longer, in the store."""

    def __init__(self, name: str) -> None:
        super().__init__("the blob does not exist")
        self.name = name


class TokenMissing(NotFound):
    """No API token has this id."""

    def __init__(self, token_id: str) -> None:
        super().__init__(f"no API token has the id `{token_id}`")
        self.token_id = token_id


class Misdirected(Refused):
    """A request for a host that this server is not: it is no proxy."""

    def __init__(self, authority: str) -> None:
        super().__init__("this server is not a proxy for other hosts")
        self.authority = authority


class ForwardingLoop(Refused):
    """What `results_upstream` names leads back to the server that forwards to it."""

    hint = "name the results service itself in `results_upstream`"

    def __init__(self, upstream: str) -> None:
        super().__init__(f"`{upstream}` leads back to this server")
        self.upstream = upstream


class FileUnreadable(Refused):
    """A file or folder that is to be read, and cannot be."""

    def __init__(self, path: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"cannot read `{path}`: {reason}")
        super().__init__(f"cannot read `{_beginning_of(path)}`: {reason}")
        self.path = path
        self.reason = reason
        self.hint = hint

    @classmethod
    def because_of(cls, error: OSError, path: str) -> Self:
        """Return the error for one of the system's."""
        return cls(path, (error.strerror or str(error)).lower())


class FileUnwritable(Refused):
    """A file or folder that is to be written, and cannot be."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot write `{path}`: {reason}")
        self.path = path
        self.reason = reason

    @classmethod
    def because_of(cls, error: OSError, path: str) -> Self:
        """Return the error for one of the system's."""
        return cls(path, (error.strerror or str(error)).lower())


class NothingToSave(Refused):
    """Paths that lead to nothing: an empty entry would be a hit without any use."""

    hint = "save after what the paths name was made, or correct them"

    def __init__(self, paths: Sequence[str]) -> None:
        listed = ", ".join(f"`{path}`" for path in paths)
        super().__init__(f"there is nothing at {listed}")
        self.paths = tuple(paths)


class FilesUnlistable(Refused):
    """A snapshot whose manifest cannot be read, or is larger than is read for a list."""

    hint = "restore it elsewhere to see its files"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the files of this entry cannot be listed: {reason}")
        self.reason = reason


class SecretsFound(Refused):
    """Files with credentials that a save would have given to everybody who can restore it."""

    hint = "exclude them with a path such as `!~/.docker/config.json`, or save other folders"

    def __init__(self, files: Sequence[str]) -> None:
        listed = ", ".join(f"`{file}`" for file in files)
        super().__init__(f"credentials are among the files to save: {listed}")
        self.files = tuple(files)


class SnapshotsUnsupported(Refused):
    """A server that speaks GitHub's protocols only, which know nothing but archives."""

    hint = "`--format archive` saves what it can keep"

    def __init__(self) -> None:
        super().__init__("the server keeps archives only")


class InvalidSettings(Refused):
    """A setting that is unknown, unreadable or contradicts another."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class BrokenEntry(CacheError):
    """An entry whose bytes are not what was saved. To who restores it, it is a miss."""


class UnsafeEntry(BrokenEntry):
    """An entry that reaches out of the paths that were asked for, or exceeds what is sane."""


class BackupDamaged(CacheError):
    """A backup whose list was changed or cut: nobody knows what else it had."""

    hint = "restore another backup, or an earlier copy of this one"

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"the backup is damaged: `{file}`: {reason}")
        self.file = file


class PartlyRestored(CacheError):
    """A restore that failed when it had replaced or removed files that were there before.

    `replaced` has their paths, and the cause is the error that it failed with. Everything that was
    not there before is gone again.
    """

    hint = "restore again, or let whatever made these files make them anew"
    _SHOWN = 5

    def __init__(self, replaced: Sequence[str], reason: str) -> None:
        listed = ", ".join(f"`{path}`" for path in replaced[: self._SHOWN])
        more = len(replaced) - self._SHOWN
        listed += f" and {more} more" if more > 0 else ""
        super().__init__(f"{reason}; by then these files were replaced: {listed}")
        self.replaced = tuple(replaced)
        self.reason = reason


class TwinLost(CacheError):
    """A second process, which did a part of the work, ended without a word."""

    hint = "try again; did the system run out of memory?"

    def __init__(self) -> None:
        super().__init__("the process that restored one half of the files was killed")


class UnexpectedAnswer(CacheError):
    """An answer that cannot be understood."""

    hint = "is the URL that of a cache server?"

    def __init__(self, server: str, what: str) -> None:
        super().__init__(f"`{server}` {what}")
        self.server = server


class ProtocolAbsent(UnexpectedAnswer):
    """A server without any of the protocols that it was asked for."""

    def __init__(self, server: str) -> None:
        super().__init__(server, "does not speak the protocol of a cache")


class PresetUnresolved(Refused):
    """Something that the paths or the key of a preset are made of cannot be found."""


class DependenciesMissing(PresetUnresolved):
    """No file of those that the key of a preset depends on, as patterns in a folder."""

    hint = "commit the lock file, or name the files that the key shall depend on"

    def __init__(self, patterns: Sequence[str], *, folder: str) -> None:
        listed = ", ".join(f"`{pattern}`" for pattern in patterns)
        super().__init__(f"no file in `{folder}` matches {listed}")
        self.patterns = tuple(patterns)
        self.folder = folder


class ToolMissing(PresetUnresolved):
    """A program that is needed, under one of these names, and is not on the `PATH`."""

    hint = "install it before, or save under a key of your own"

    def __init__(self, programs: Sequence[str], reason: str) -> None:
        names = " or ".join(f"`{program}`" for program in programs)
        super().__init__(f"there is no {names} on the `PATH`: {reason}")
        self.programs = tuple(programs)
        self.reason = reason


class ToolFailed(PresetUnresolved):
    """A program that failed, or whose answer cannot be read. `complaint` is all that it said."""

    hint = "run it in the folder of the project to see what is wrong"

    def __init__(self, command: Sequence[str], reason: str, *, complaint: str = "") -> None:
        super().__init__(f"`{_command_line(command)}` {reason}")
        self.command = tuple(command)
        self.reason = reason
        self.complaint = complaint


class ToolHung(PresetUnresolved):
    """A program that did not answer in time, and was killed."""

    hint = "run it in the folder of the project: it may wait for an answer, or for a network"

    def __init__(self, command: Sequence[str], *, seconds: float) -> None:
        super().__init__(f"`{_command_line(command)}` did not end within {seconds:g} s")
        self.command = tuple(command)
        self.seconds = seconds


def _command_line(command: Sequence[str]) -> str:
    """Return a command as it is typed, without the scripts that are among its arguments."""
    return " ".join("…" if "\n" in word else word for word in command)


class MachineUnknown(PresetUnresolved):
    """A system that presets do not know, or that does not say which it is."""


class InterpretersDiffer(PresetUnresolved):
    """A virtual environment that belongs to another Python than the one in use."""

    hint = "remove the environment, or activate it"

    def __init__(self, environment: str, *, existing: str, chosen: str) -> None:
        super().__init__(f"`{environment}` is of `{existing}`, but `{chosen}` is in use")
        self.environment = environment
        self.existing = existing
        self.chosen = chosen


class Unavailable(CacheError):
    """The server cannot do this now."""


class Draining(Unavailable):
    """The server is about to stop and takes no new uploads."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down and takes no new uploads")


class StoreFull(Unavailable):
    """The disk is full, or has less than `min_free` left."""

    hint = "free disk space, or lower `repo_limit` or `total_limit`"

    def __init__(self) -> None:
        super().__init__("the cache server's disk is full")


class StoreUnavailable(Unavailable):
    """The store failed in a way that is not the caller's fault."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class CatalogUnavailable(Unavailable):
    """The catalog failed in a way that is not the caller's fault."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UpstreamFailed(Unavailable):
    """The results service behind this server does not answer, or breaks off."""

    def __init__(self, upstream: str, reason: str) -> None:
        super().__init__(f"the results service `{upstream}` cannot be reached: {reason}")
        self.upstream = upstream
        self.reason = reason


class UpstreamSilent(UpstreamFailed):
    """The results service behind this server did not answer in time."""


class ServerFailed(Unavailable):
    """A server that answers that it cannot. `status` is that of HTTP.

    `retry_after_seconds` is how long it asks to wait, where it does.
    """

    def __init__(
        self, server: str, status: int, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(f"`{server}` answered {status}: {message}")
        self.server = server
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class ServerUnreachable(Unavailable):
    """A server that does not answer, or whose connections break."""

    hint = "is the server running, and the URL right?"

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"`{server}` cannot be reached: {reason}")
        self.server = server
        self.reason = reason


class ServerUntrusted(ServerUnreachable):
    """A server whose certificate none of this machine's authorities has signed."""

    hint = "add the authority to the system's store, or name its file in `SSL_CERT_FILE`"
