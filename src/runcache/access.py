"""Which scopes a job may read and write: the rules of the documents, and nothing else.

A job restores what its own ref, its base branch and the default branch saved, in this order, and
saves to its own ref alone (reference of dependency caching, "Restrictions for accessing a cache").
A fork's pull request follows the same rules in the base repository: it writes only to its merge
ref. Events that anybody can cause with code of their own must not fill the default branch's caches
(protocol §1.1).
"""

import re
from enum import Enum
from typing import Final

from runcache.errors import InvalidInput, InvalidRef, InvalidRepository
from runcache.model import Permission, ScopePermission

UNTRUSTED_EVENTS: Final = frozenset({"pull_request_target", "issue_comment", "workflow_run"})
MAX_REF_LENGTH: Final = 1024

_NAME: Final = re.compile(r"[a-z0-9_.-]{1,100}")
# What Git itself refuses (git-check-ref-format).
_NOT_IN_A_REF: Final = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|/\.|\.lock(/|$)|[/.]$"
)


class Role(Enum):
    """Why a job may read a scope."""

    OWN = "own"
    BASE = "base"
    DEFAULT = "default"
    GRANTED = "granted"  # its token says so, and no more


def roles_for(
    *, ref: str, base_ref: str | None = None, default_branch: str = "main"
) -> dict[str, Role]:
    """Return the scopes that a job may read, in search order, and why.

    What `ref`, `base_ref` and `default_branch` are is said of `scopes_for`.

    Raises:
        InvalidRef: one of them is not a ref.
    """
    roles = {_full_ref(ref): Role.OWN}
    if base_ref:
        roles.setdefault(branch_ref(base_ref), Role.BASE)
    roles.setdefault(branch_ref(default_branch), Role.DEFAULT)
    return roles


def scopes_for(
    *,
    ref: str,
    base_ref: str | None = None,
    default_branch: str = "main",
    event: str = "push",
) -> tuple[ScopePermission, ...]:
    """Return the scopes of a job in search order, each once.

    `ref` is full, such as `refs/pull/7/merge`; `base_ref`, which only pull requests have, and
    `default_branch` may be names of branches.

    Raises:
        InvalidRef: one of them is not a ref.
    """
    own, *others = roles_for(ref=ref, base_ref=base_ref, default_branch=default_branch)
    is_trusted = own != branch_ref(default_branch) or event not in UNTRUSTED_EVENTS
    return (
        ScopePermission(own, Permission.READ_WRITE if is_trusted else Permission.READ),
        *(ScopePermission(other, Permission.READ) for other in others),
    )


def branch_ref(name: str) -> str:
    """Return the full ref of a branch, which may be given as that already.

    Raises:
        InvalidRef: there can be no such branch.
    """
    return _full_ref(name if name.startswith("refs/") else f"refs/heads/{name}")


def repository_name(text: str) -> str:
    """Return `owner/name` in lower case, as caches are filed under it.

    Raises:
        InvalidRepository: `text` is something else.
    """
    owner, slash, name = text.lower().partition("/")
    if not text.isascii() or not slash or not (_is_name(owner) and _is_name(name)):
        raise InvalidRepository(text)
    return f"{owner}/{name}"


def owner_name(text: str) -> str:
    """Return the name of a user or organisation in lower case.

    Raises:
        InvalidInput: `text` is something else.
    """
    if not text.isascii() or not _is_name(text.lower()):
        raise InvalidInput(f"`{text}` is not the name of an owner")
    return text.lower()


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text not in {".", ".."}


def _full_ref(ref: str) -> str:
    if not re.match(r"refs/[^/]+/[^/]", ref):
        raise InvalidRef(ref, "it is not full")
    if len(ref) > MAX_REF_LENGTH:
        raise InvalidRef(f"{ref[:40]}…", f"it has {len(ref)} characters")
    if _NOT_IN_A_REF.search(ref):
        raise InvalidRef(ref, "Git allows no such name")
    return ref
