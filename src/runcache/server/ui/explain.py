"""Why a lookup found what it found: a form, whose address holds the question, and the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from aiohttp import web
from multidict import MultiMapping

from runcache.errors import InvalidInput
from runcache.insight.explain import Cause, Inputs, Question
from runcache.server.context import EXPLANATIONS, MANAGEMENT
from runcache.server.reach import readable_repository
from runcache.server.ui.queries import full_ref
from runcache.server.ui.rendering import page
from runcache.server.ui.session import require_session
from runcache.versions import paths_of_input

COMPRESSIONS: Final[Mapping[str, str]] = {
    "": "runcache",
    "zstd-without-long": "actions/cache with zstd",
    "gzip": "actions/cache with gzip",
}
SYSTEMS: Final = ("Linux", "macOS", "Windows")
DEFAULT_BRANCH: Final = "main"
REFS: Final = 200
GONE: Final = frozenset({Cause.EVICTED, Cause.EXPIRED, Cause.DELETED, Cause.DAMAGED})
"""The causes that leave no entry to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The form as it was filled in."""

    key: str
    restore_keys: str
    paths: str
    version: str
    compression: str
    system: str
    is_cross_os: bool
    ref: str
    base_ref: str
    default_branch: str

    @classmethod
    def read(cls, query: MultiMapping[str]) -> Self:
        """Read them from the query of an address; whatever is missing has its default."""
        return cls(
            key=query.get("key", ""),
            # An address that a program wrote may name each of them by itself.
            restore_keys="\n".join(query.getall("restore_keys", [])),
            paths="\n".join(query.getall("paths", [])),
            version=query.get("version", "").strip(),
            compression=query.get("compression", ""),
            system=query.get("system", SYSTEMS[0]),
            is_cross_os="cross_os" in query,
            ref=query.get("ref", "").strip(),
            base_ref=query.get("base_ref", "").strip(),
            default_branch=query.get("default_branch", "").strip(),
        )

    @property
    def is_question(self) -> bool:
        """Whether anything was asked yet."""
        return bool(self.key or self.restore_keys)

    def question(self) -> Question:
        """Return what is asked.

        Raises:
            InvalidInput: there are neither paths nor a version.
        """
        paths = tuple(paths_of_input(self.paths))
        if not paths and not self.version:
            raise InvalidInput("a lookup is for paths or for a version: neither is given")
        default_branch = self.default_branch or DEFAULT_BRANCH
        return Question(
            key=self.key,
            restore_keys=tuple(paths_of_input(self.restore_keys)),
            inputs=self._inputs(paths) if paths and not self.version else None,
            versions=(self.version,) if self.version else (),
            ref=full_ref("branch", self.ref or default_branch) or default_branch,
            base_ref=self.base_ref or None,
            default_branch=default_branch,
        )

    def _inputs(self, paths: tuple[str, ...]) -> Inputs:
        if self.compression not in COMPRESSIONS or self.system not in SYSTEMS:
            raise InvalidInput("the compression or the system is none of those that there are")
        return Inputs(
            paths=paths,
            compression=self.compression or None,
            system=self.system,
            cross_os=self.is_cross_os,
        )


async def show(request: web.Request) -> web.Response:
    """Show the form and, if something is asked, the lookup step by step."""
    session = await require_session(request)
    repository = readable_repository(request, session.token)
    asked = Fields.read(request.query)
    explanation, mistake = None, None
    if asked.is_question:
        try:
            question = asked.question()
            explanation = await request.app[EXPLANATIONS].explain(repository, question)
        except InvalidInput as exc:
            mistake = exc
    refs = await request.app[MANAGEMENT].refs(repository)
    return page(
        request,
        "explain.html",
        title="Explain",
        active="explain",
        status=422 if mistake else 200,
        asked=asked,
        compressions=COMPRESSIONS,
        systems=SYSTEMS,
        refs=[usage.ref for usage in refs[:REFS]],
        explanation=explanation,
        gone=GONE,
        mistake=mistake,
    )
