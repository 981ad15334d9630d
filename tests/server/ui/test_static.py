"""Files of the package: at addresses that change with them, and for everybody to keep."""

from pathlib import Path

import pytest

from runcache.server.ui.static import ASSETS
from tests.server.ui.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLDER = Path(__file__).parents[3] / "src/runcache/server/ui/static"


async def test_every_file_is_kept_for_good(visitor: Visitor) -> None:
    assets = visitor.server.wired.app[ASSETS]

    for name, content_type in (
        ("style.css", "text/css; charset=utf-8"),
        ("pages.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml; charset=utf-8"),
    ):
        seen = await visitor.get(assets.url(name))
        assert seen.status == 200
        assert seen.text == (FOLDER / name).read_text()
        assert seen.headers["Content-Type"] == content_type
        assert seen.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert seen.headers["X-Content-Type-Options"] == "nosniff"


async def test_another_content_has_another_address(visitor: Visitor) -> None:
    seen = await visitor.get("/ui/static/0123456789abcdef/style.css")

    assert seen.status == 404
    assert "immutable" not in seen.headers["Cache-Control"]


async def test_nothing_else_of_the_package_is_served(visitor: Visitor) -> None:
    style = visitor.server.wired.app[ASSETS].url("style.css")

    for name in ("../session.py", "..%2Fsession.py", "none.css"):
        seen = await visitor.get(style.replace("style.css", name))
        assert seen.status == 404
