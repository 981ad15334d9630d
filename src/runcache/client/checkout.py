"""What a git checkout says of itself, read from its files: to start git takes longer."""

import re
from pathlib import Path
from typing import Final

import msgspec

_ORIGIN: Final = re.compile(r'^\[remote "origin"\]\s*$(?P<lines>(?:\n(?!\[).*)*)', re.MULTILINE)
_URL: Final = re.compile(r"^\s*url\s*=\s*(\S+)\s*$", re.MULTILINE)
# https://host/owner/name.git, ssh://git@host/owner/name, git@host:owner/name.git
_HOSTED: Final = re.compile(
    r"(?:[a-z+]+://[^/]+/|[^/:]+:)(?:.*/)?(?P<name>[^/]+/[^/]+?)(?:\.git)?/?"
)
_SYMBOLIC: Final = re.compile(r"ref: (?P<ref>refs/\S+)")
_DEFAULT_BRANCH: Final = Path("refs/remotes/origin/HEAD")


class Checkout(msgspec.Struct, frozen=True):
    """What a checkout tells, each `None` where it does not.

    `repository` is `owner/name` at its origin, `ref` that of its branch, `default_branch` a name.
    """

    repository: str | None = None
    ref: str | None = None
    default_branch: str | None = None


def checkout_around(folder: Path) -> Checkout:
    """Return what the checkout that `folder` is in tells; nothing if it is in none."""
    for candidate in (folder, *folder.parents):
        entry = candidate / ".git"
        if entry.exists():
            own, shared = _folders(entry)
            return Checkout(
                repository=_repository(_text(shared / "config")),
                ref=_symbolic(_text(own / "HEAD")),
                default_branch=_default_branch(_text(shared / _DEFAULT_BRANCH)),
            )
    return Checkout()


def _folders(entry: Path) -> tuple[Path, Path]:
    """Return the folder of a checkout, and the one that it shares with its other worktrees."""
    if entry.is_dir():
        return entry, entry
    own = entry.parent / _text(entry).strip().removeprefix("gitdir: ")
    return own, own / (_text(own / "commondir").strip() or ".")


def _repository(config: str) -> str | None:
    section = _ORIGIN.search(config)
    url = _URL.search(section["lines"]) if section else None
    found = _HOSTED.fullmatch(url[1]) if url else None
    return found["name"] if found else None


def _symbolic(text: str) -> str | None:
    found = _SYMBOLIC.fullmatch(text.strip())
    return found["ref"] if found else None


def _default_branch(text: str) -> str | None:
    ref = _symbolic(text)
    return ref.removeprefix("refs/remotes/origin/") if ref else None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
