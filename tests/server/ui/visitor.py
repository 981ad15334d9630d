"""Somebody who looks at pages without a browser: cookies are kept, redirects are not followed."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Unpack

import aiohttp
from multidict import CIMultiDictProxy

from tests.server.caretaker import Rights, api_token
from tests.server.serving import Served

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer."""

    status: int
    text: str
    headers: CIMultiDictProxy[str]

    @property
    def location(self) -> str:
        return self.headers["Location"]

    @property
    def csrf(self) -> str:
        """What the forms of the page send back."""
        found = _CSRF.search(self.text)
        assert found is not None, self.text
        return found[1]


@dataclass(frozen=True, slots=True)
class Visitor:
    """A session of HTTP with a server. Paths begin with a slash."""

    http: aiohttp.ClientSession
    server: Served

    async def get(self, path: str, **headers: str) -> Seen:
        return await self._seen("GET", path, headers)

    async def post(self, path: str, form: Mapping[str, str], **headers: str) -> Seen:
        return await self._seen("POST", path, headers, form)

    async def sign_in(self, **rights: Unpack[Rights]) -> str:
        """Sign in with a new token, and return its text."""
        token = await api_token(self.server.settings.catalog, **rights)
        form = await self.get("/ui/sign-in")
        answer = await self.post("/ui/sign-in", {"csrf": form.csrf, "token": token})
        assert answer.status == 303, answer
        return token

    async def _seen(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> Seen:
        url = self.server.url.rstrip("/") + path
        async with self.http.request(
            method, url, headers=headers, data=form, allow_redirects=False
        ) as answer:
            return Seen(answer.status, await answer.text(), answer.headers)


@asynccontextmanager
async def visiting(server: Served) -> AsyncIterator[Visitor]:
    """Open a session without any cookie."""
    # Unsafe is only that the server has a number instead of a name.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Visitor(http, server)
