"""A real browser for tests: Debian's Chromium, driven by Playwright; what it shows, and how well.

Its synchronous interface keeps an event loop in the thread as long as it runs: it must not outlive
the module that uses it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

AXE: Final = Path(__file__).parent.parent / "node/node_modules/axe-core/axe.min.js"
# Where the screenshots of a run go, if anybody shall look at them. Not `RUNCACHE_…`, which would be
# an unknown setting to the commands that tests run.
SCREENSHOTS: Final = os.environ.get("SCREENSHOTS")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
GRAVE: Final = {"serious", "critical"}
HEIGHT: Final = 900
# Of a machine that has much else to do.
PATIENCE_MS: Final = 20_000
# What Chromium notes of each page with an error status, ours included.
_NOTE_OF_STATUS: Final = "Failed to load resource: the server responded with a status of 4"

Scheme = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Look:
    """How wide a window is, and which colours its owner prefers."""

    scheme: Scheme
    width: int

    def __str__(self) -> str:
        return f"{self.scheme}-{self.width}"


LOOKS: Final = tuple(Look(scheme, width) for scheme in ("light", "dark") for width in (360, 1600))


WIDE: Final = Look("light", 1600)


def find_chromium() -> str:
    """Return the program, or skip the test on a machine that has none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium")
    return program


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start the browser."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_window(
    browser: Browser, base_url: str, look: Look = WIDE, *, has_script: bool = True
) -> Iterator[Page]:
    """Open a window without any history; nothing in it may fail that no person would see."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_NOTE_OF_STATUS):
            complaints.append(message.text)

    with browser.new_context(
        base_url=base_url,
        color_scheme=look.scheme,
        java_script_enabled=has_script,
        reduced_motion="reduce",
        viewport={"width": look.width, "height": HEIGHT},
    ) as context:
        window = context.new_page()
        window.set_default_timeout(PATIENCE_MS)
        window.on("console", note)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        yield window
    assert complaints == []


def sign_in(window: Page, token: str) -> None:
    """Sign in, wherever the sign-in page leads to afterwards."""
    window.goto("/ui/sign-in")
    window.get_by_label("API token").fill(token)
    # The next key that is pressed is one for the next page.
    with window.expect_navigation():
        window.get_by_role("button", name="Sign in").click()


def findings(window: Page) -> list[str]:
    """Return what axe-core finds serious or critical on the page that is shown."""
    # Evaluated from outside of the page, which its policy does not concern.
    window.evaluate(_axe())
    result: dict[str, Any] = window.evaluate("() => axe.run(document)")
    return [
        f"{found['id']}: {node['html']} {node.get('failureSummary', '')}"
        for found in result["violations"]
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]


def look_at(window: Page, name: str) -> None:
    """Hold the page that is shown to what holds for all, in each look; the last one stays.

    It fits into the window, has a title, and axe-core finds nothing grave. Where pictures are
    wanted there is one of each look.
    """
    for look in LOOKS:
        window.emulate_media(color_scheme=look.scheme)
        window.set_viewport_size({"width": look.width, "height": HEIGHT})
        if SCREENSHOTS:
            folder = Path(SCREENSHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            window.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
        width = window.evaluate("document.documentElement.scrollWidth")
        assert width <= look.width, f"{name} is {width} pixels wide in {look}"
        found = findings(window)
        assert not found, "\n".join([f"{name} in {look}", *found])
    assert window.title()


@cache
def _axe() -> str:
    return AXE.read_text()
