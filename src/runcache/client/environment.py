"""What the client finds in its environment. Besides `config.py`, no other module reads it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from runcache.client.address import Address, Dialect
from runcache.client.job import Job
from runcache.client.proxies import Proxies
from runcache.errors import InvalidSettings

_READING: Final = frozenset({"read", "write"})
_WRITING: Final = frozenset({"write", "write-only"})
_MODES: Final = _READING | _WRITING | {"none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the caller says, which goes before all that the environment says.

    `token` is the text, `token_file` a file that holds it, `-` for stdin. `contexts` are values for
    expressions by the names of their contexts.
    """

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    data: str | None = None
    repo: str | None = None
    ref: str | None = None
    contexts: Mapping[str, Any] = field(default_factory=dict)


class Environment:
    """What is given, else what the variables say, read when it is asked for.

    `folder` is where relative paths begin.

    Raises:
        InvalidSettings: something in them cannot be, or contradicts something else.
    """

    def __init__(
        self,
        given: Given | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._given = given or Given()
        self._variables = os.environ if variables is None else variables
        self.folder = (folder or Path.cwd()).resolve()

    @cached_property
    def address(self) -> Address | None:
        """The server, or `None` for the embedded store."""
        given = self._given
        if given.url is not None and given.data is not None:
            raise InvalidSettings("both a server (`url`) and an embedded store (`data`) are given")
        if given.data is not None:
            return None
        url = given.url or self._variable("RUNCACHE_URL")
        token = self._token()
        if url is not None:
            origin = _origin(url)
            if token is None:
                raise InvalidSettings(
                    f"there is no token for `{origin}`",
                    hint="set `RUNCACHE_TOKEN` to what `runcache token job` or `token api` prints",
                )
            dialects = ((Dialect.TWIRP, origin), (Dialect.ARTIFACTCACHE, origin))
            return Address(origin, dialects, token)
        if token is not None:
            raise InvalidSettings(
                "there is a token, but no server for it", hint="set `RUNCACHE_URL`"
            )
        return self._address_of_job()

    @cached_property
    def data(self) -> str | None:
        """The folder of the embedded store that the caller named."""
        return self._given.data

    @cached_property
    def may_read(self) -> bool:
        """Whether the job may restore; only GitHub's runner ever says no (protocol §1)."""
        return self._mode is None or self._mode in _READING

    @cached_property
    def may_write(self) -> bool:
        """Whether the job may save."""
        return self._mode is None or self._mode in _WRITING

    @cached_property
    def workspace(self) -> Path:
        """The folder that names in archives are relative to."""
        return Path(self._variable("GITHUB_WORKSPACE") or self.folder).resolve()

    @cached_property
    def home(self) -> Path:
        """What `~` stands for."""
        return Path(self._variable("HOME") or Path.home())

    @cached_property
    def cache_folder(self) -> Path:
        """Where this machine remembers what it saved and restored."""
        if sys.platform == "darwin":
            return self.home / "Library" / "Caches" / "runcache"
        return Path(self._variable("XDG_CACHE_HOME") or self.home / ".cache") / "runcache"

    @property
    def variables(self) -> Mapping[str, str]:
        """All variables, as programs that are asked something get them."""
        return self._variables

    @cached_property
    def output_file(self) -> Path | None:
        """The file in which a step tells the next ones something."""
        file = self._variable("GITHUB_OUTPUT")
        return Path(file) if file else None

    @cached_property
    def system(self) -> str:
        """`Linux`, `macOS` or `Windows`."""
        return self.job.system

    @cached_property
    def proxies(self) -> Proxies:
        """The proxies, in the variables that most programs know."""
        by_scheme = {}
        for scheme in ("http", "https"):
            for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
                if proxy := self._variable(name):
                    by_scheme[scheme] = proxy
                    break
        exceptions = self._variable("no_proxy") or self._variable("NO_PROXY") or ""
        return Proxies(by_scheme, tuple(filter(None, map(str.strip, exceptions.split(",")))))

    @cached_property
    def job(self) -> Job:
        """What is known of the job: the embedded store and expressions ask for it."""
        return Job(
            self._variables,
            self.folder,
            repository=self._given.repo or self._variable("RUNCACHE_REPO"),
            ref=self._given.ref or self._variable("RUNCACHE_REF"),
        )

    def evaluated(self, text: str) -> str:
        """Return a key or path with a value in place of each `${{ expression }}` (management §5.4).

        Raises:
            ExpressionError: an expression cannot be read or has no value.
        """
        if "${{" not in text:
            return text
        from runcache.expressions import interpolate  # noqa: PLC0415  -- most keys come evaluated

        contexts = {
            "runner": self.job.runner(),
            "github": self.job.github(self.workspace),
            "env": dict(self._variables),
            "matrix": {},
            **self._given.contexts,
        }
        return interpolate(text, contexts, root=self.workspace)

    @cached_property
    def _mode(self) -> str | None:
        mode = (self._variable("ACTIONS_CACHE_MODE") or "").strip().lower()
        is_of_job = self._given.url is None and self._variable("RUNCACHE_URL") is None
        return mode if mode in _MODES and is_of_job else None

    def _address_of_job(self) -> Address | None:
        token = self._variable("ACTIONS_RUNTIME_TOKEN")
        results, cache = self._variable("ACTIONS_RESULTS_URL"), self._variable("ACTIONS_CACHE_URL")
        base = results or cache
        if token is None or base is None:
            return None
        is_v2 = self._variable("ACTIONS_CACHE_SERVICE_V2") is not None and results is not None
        if is_v2 and _is_hosted(self._variable("GITHUB_SERVER_URL")):
            # The path of the base does not count there (protocol §1).
            return Address(_top_of(base), ((Dialect.TWIRP, _top_of(base)),), token)
        base = cache or base
        return Address(_top_of(base), ((Dialect.ARTIFACTCACHE, base.rstrip("/")),), token)

    def _token(self) -> str | None:
        given = self._given
        if given.token is not None:
            return _checked_token(given.token)
        file = given.token_file
        if file is None and (text := self._variable("RUNCACHE_TOKEN")):
            return _checked_token(text)
        file = file or self._variable("RUNCACHE_TOKEN_FILE")
        if file is None:
            return None
        try:
            text = sys.stdin.read() if file == "-" else (self.folder / file).read_text("utf-8")
        except (OSError, ValueError) as exc:
            raise InvalidSettings(f"the token in `{file}` cannot be read: {exc}") from exc
        return _checked_token(text)

    def _variable(self, name: str) -> str | None:
        # Empty is what a workflow sets a variable to that it has no value for.
        return self._variables.get(name) or None


def _origin(url: str) -> str:
    try:
        split = urlsplit(url.strip())
        is_origin = split.scheme in {"http", "https"} and split.hostname and split.port != 0
    except ValueError:
        is_origin = False
    if (
        not is_origin
        or split.path.strip("/")
        or split.query
        or split.fragment
        or "@" in split.netloc
    ):
        raise InvalidSettings(
            f"`{url}` is not the URL of a server such as `https://cache.example.com`"
        )
    return f"{split.scheme}://{split.netloc}"


def _top_of(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"


def _is_hosted(server_url: str | None) -> bool:
    """Say whether GitHub's client takes a host for GitHub's own, which speaks v2 (protocol §1)."""
    host = (urlsplit(server_url or "https://github.com").hostname or "").lower()
    return host == "github.com" or host.endswith((".ghe.com", ".localhost"))


def _checked_token(text: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSettings("the token is empty, or holds characters that no token has")
    return token
