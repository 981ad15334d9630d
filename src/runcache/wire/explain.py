"""The native protocol for people: a question about a lookup.

A request has an API token in its `Authorization`, or the token of a job, which asks about lookups
of its own and hears of no other scopes. The answer is an `insight.explain.Explanation` in JSON.
"""

from typing import Annotated, Final, Literal

import msgspec

from runcache.model import MAX_KEYS
from runcache.wire.json_messages import JsonMessage
from runcache.wire.native import MAX_VERSIONS, PREFIX

# A template: what is in braces is for `str.format`, and for the server's routes.
EXPLAIN_PATH: Final = PREFIX + "repos/{owner}/{repo}/explain"

MAX_PATHS: Final = 256

_Paths = Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_PATHS)]
_RestoreKeys = Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_KEYS)]
_Versions = Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_VERSIONS)]


class Explain(JsonMessage, frozen=True, kw_only=True):
    """Asks why a lookup finds what it finds, or nothing.

    `paths` and what follows them make the version that is looked for; without `compression` it is
    what runcache's own client looks for. Otherwise `versions` has it. A job says nothing of refs.
    """

    key: str
    restore_keys: _RestoreKeys = ()
    paths: _Paths = ()
    compression: str | None = None
    system: Literal["Linux", "macOS", "Windows"] = "Linux"
    cross_os: bool = False
    versions: _Versions = ()
    ref: str | None = None
    base_ref: str | None = None
    default_branch: str = "main"
