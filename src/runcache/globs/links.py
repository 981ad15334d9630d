"""The links that a search follows: what they lead to, and where they go round (management §5.2)."""

import os
from collections import Counter
from pathlib import Path
from stat import S_ISDIR
from typing import Final

from runcache.errors import FileUnreadable

# Links may lead to a folder in so many ways that a search would never end.
MAX_WAYS: Final = 10_000

# The real path of what a link leads to, and whether that is a folder.
_Target = tuple[str, bool]


class Chain:
    """The folders that a search has come through, from its root on."""

    def __init__(self) -> None:
        # Their real paths, in order.
        self._folders: dict[str, None] = {}
        # By the real paths of links: these are met again wherever others lead to their folder.
        self._targets: dict[str, _Target | None] = {}
        self._ways: Counter[str] = Counter()

    def enter(self, path: str, *, level: int, is_link: bool) -> bool | None:
        """Go to a folder or a link, and say whether it is a folder in the end.

        It is `None`, for left out, if it is a broken link, or a folder that the search is in. The
        root of a search has level 1, what is in it level 2.

        Raises:
            FileUnreadable: the link cannot be followed, or too many links lead to the folder.
        """
        while len(self._folders) >= level:
            self._folders.popitem()
        real_path = self._real_path(path)
        if is_link:
            target = self._target(real_path, path)
            if target is None or not target[1]:
                return None if target is None else False
            real_path = target[0]
            self._count(real_path, path)
        if real_path in self._folders:
            return None
        self._folders[real_path] = None
        return True

    def _real_path(self, path: str) -> str:
        """Return the real path of what is in the folder that the search is in, or of a root.

        Only the last name of it may be a link's.
        """
        folder, _, name = path.rpartition("/")
        parent = next(reversed(self._folders)) if self._folders else os.path.realpath(folder or "/")
        return f"{parent.rstrip('/')}/{name}"

    def _target(self, link: str, path: str) -> _Target | None:
        if link not in self._targets:
            try:
                is_folder = S_ISDIR(Path(link).stat().st_mode)
                self._targets[link] = os.path.realpath(link), is_folder
            except FileNotFoundError:
                self._targets[link] = None
            except OSError as exc:
                raise FileUnreadable.because_of(exc, path) from exc
        return self._targets[link]

    def _count(self, folder: str, path: str) -> None:
        self._ways[folder] += 1
        if self._ways[folder] > MAX_WAYS:
            reason = f"links lead to `{folder}` in more than {MAX_WAYS} ways"
            raise FileUnreadable(path, reason, hint="exclude some of them with `!`")
