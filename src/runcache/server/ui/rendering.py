"""Pages out of templates, and their addresses: what all pages know, and what they may call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from runcache.server.context import REPOSITORY
from runcache.server.ui.filters import filters
from runcache.server.ui.session import SESSION
from runcache.server.ui.static import Assets
from runcache.service import now_ms

_FOLDER: Final = Path(__file__).parent / "templates"
_DIGITS: Final = 9


class Pages:
    """The templates, compiled."""

    def __init__(self, templates: Mapping[str, Template]) -> None:
        self._templates = templates

    @classmethod
    def read(cls, assets: Assets) -> Self:
        """Read and compile all templates of the package (blocks)."""
        environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        environment.filters |= filters(now_ms)
        environment.globals |= {"address": address, "static": assets.url}
        return cls({name: environment.get_template(name) for name in environment.list_templates()})

    def render(self, template: str, **values: object) -> str:
        """Return a page as HTML. Its template may use `values`, and nothing that is not there."""
        return self._templates[template].render(values)


PAGES: Final = web.AppKey("ui_pages", Pages)


def page(
    request: web.Request,
    template: str,
    *,
    title: str,
    active: str | None = None,
    status: int = 200,
    **values: object,
) -> web.Response:
    """Answer with a page.

    Besides `values` its template knows `title`; `session`, `None` for strangers; `repository`, the
    one of the address or `None`; and `active`, which names the tab that it is: `overview`,
    `caches`, `explain`, `activity` or `limits`.
    """
    text = request.app[PAGES].render(
        template,
        title=title,
        active=active,
        session=request.get(SESSION),
        repository=request.get(REPOSITORY),
        **values,
    )
    return web.Response(status=status, text=text, content_type="text/html", charset="utf-8")


def address(*path: str | int, **query: str | int | None) -> str:
    """Return an address below `/ui/`, without the parts of the query that are `None` or empty.

    Parts of the path may hold slashes: `address("octo/hello", "caches", 7)`. One that ends with a
    slash is written so: `address()` is `/ui/`.
    """
    steps = "/".join(quote(str(step)) for step in path)
    pairs = [(name, value) for name, value in query.items() if value not in {None, ""}]
    return f"/ui/{steps}" + (f"?{urlencode(pairs)}" if pairs else "")


def number_in(request: web.Request, name: str) -> int | None:
    """Return the number in the query of an address; `None` for none, or one that is too large."""
    return number_of(request.query.get(name, ""))


def number_of(text: str) -> int | None:
    """Return the number that `text` is; `None` for none, or one that is too large."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
