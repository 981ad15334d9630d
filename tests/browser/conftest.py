"""A browser, a server with caches in it, and windows of somebody who is signed in."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page

from runcache.server.keys import signing_key
from runcache.server.ui.session import Sessions
from runcache.service import now_ms
from runcache.settings import OWN_KEY
from runcache.testing import LiveServer
from tests.browser.caches import REPO_LIMIT, Tokens, fill
from tests.browser.chromium import (
    find_chromium,
    opened_window,
    running_browser,
    sign_in,
)


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    """API tokens that the server knows."""
    return Tokens.new()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[LiveServer]:
    """A server with the caches of `fill`, for all tests: what one changes no other looks at."""
    find_chromium()  # without one, nothing else is needed
    folder = tmp_path_factory.mktemp("browser") / "data"
    asyncio.run(fill(folder, tokens))
    with LiveServer(folder, repo_limit=REPO_LIMIT, min_free="1B") as server:
        yield server


@pytest.fixture(scope="session")
def past_sessions(server: LiveServer) -> Sessions:
    """Makes cookies of the server as it did half a day ago and more."""
    long_ago = now_ms() - timedelta(hours=13) // timedelta(milliseconds=1)
    return Sessions(signing_key(server.data / OWN_KEY), now=lambda: long_ago)


# After the server: the browser keeps an event loop in this thread, in which nothing of ours blocks.
@pytest.fixture(scope="module")
def browser(server: LiveServer, past_sessions: Sessions) -> Iterator[Browser]:
    del server, past_sessions
    with running_browser() as browser:
        yield browser


@pytest.fixture
def stranger(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """A wide window of somebody who is not signed in."""
    with opened_window(browser, server.url) as window:
        yield window


@pytest.fixture
def window(stranger: Page, tokens: Tokens) -> Page:
    """A wide window of somebody who may do everything."""
    sign_in(stranger, tokens.admin.text)
    return stranger
