"""Style, script and icon: files of the package, at addresses that change with their content."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from aiohttp import web

from runcache.errors import NotFound
from runcache.server.ui.headers import PREFIX

STATIC_PATH: Final = f"{PREFIX}static/{{digest}}/{{name}}"

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    content_type: str
    digest: str


class Assets:
    """The static files by their names."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._assets = MappingProxyType(dict(assets))

    @classmethod
    def read(cls) -> Self:
        """Read all files of the package that a browser may ask for (blocks)."""
        files = (file for file in _FOLDER.iterdir() if file.suffix in _TYPES)
        return cls({file.name: _asset(file) for file in files})

    def url(self, name: str) -> str:
        """Return the address of a file with its present content."""
        return STATIC_PATH.format(digest=self._assets[name].digest, name=name)

    def get(self, digest: str, name: str) -> Asset:
        """Return a file.

        Raises:
            NotFound: there is none of this name with this content.
        """
        asset = self._assets.get(name)
        if asset is None or asset.digest != digest:
            message = "there is no such file"
            raise NotFound(message)
        return asset


ASSETS: Final = web.AppKey("ui_assets", Assets)


async def show(request: web.Request) -> web.Response:
    """Answer with a file, which browsers may keep for good."""
    asset = request.app[ASSETS].get(request.match_info["digest"], request.match_info["name"])
    return web.Response(
        body=asset.body,
        content_type=asset.content_type,
        charset="utf-8",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


def _asset(file: Path) -> Asset:
    body = file.read_bytes()
    return Asset(body, _TYPES[file.suffix], hashlib.sha256(body).hexdigest()[:_DIGITS])
