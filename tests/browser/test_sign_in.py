"""Signing in and out, sessions that end, and forms that nobody may send for somebody else."""

import re
import subprocess

from playwright.sync_api import Browser, Page, expect

from runcache.server.auth import digest_of
from runcache.server.ui.session import COOKIE, Sessions, new_ticket
from runcache.testing import LiveServer
from runcache.testing.live_server import COMMAND
from tests.browser.caches import REPOSITORY, Tokens
from tests.browser.chromium import look_at, opened_window, sign_in

SIGN_IN = re.compile(r"/ui/sign-in\b")
CACHES = f"/ui/{REPOSITORY}/caches"


def test_the_page_to_sign_in_is_usable_in_every_look(stranger: Page) -> None:
    stranger.goto("/")

    expect(stranger).to_have_url("/ui/sign-in?next=%2Fui%2F")
    expect(stranger.get_by_label("API token")).to_be_focused()
    look_at(stranger, "sign-in")


def test_signing_in_leads_back_to_the_page_that_was_asked_for(
    stranger: Page, tokens: Tokens
) -> None:
    stranger.goto(f"{CACHES}?query=key%3ALinux-")

    stranger.get_by_label("API token").fill(tokens.admin.text)
    stranger.keyboard.press("Enter")

    expect(stranger).to_have_url(f"{CACHES}?query=key%3ALinux-")
    expect(stranger.get_by_role("heading", name="Caches")).to_be_visible()


def test_a_wrong_token_is_refused_and_not_repeated(stranger: Page) -> None:
    sign_in(stranger, "rc_0123456789ab_not-a-token")

    expect(stranger.get_by_role("alert")).to_contain_text("wrong, has expired, or was revoked")
    expect(stranger.get_by_label("API token")).to_have_value("")
    look_at(stranger, "sign-in-refused")
    stranger.goto("/ui/")
    expect(stranger).to_have_url(SIGN_IN)


def test_the_cookie_is_for_these_pages_alone_and_holds_no_token(
    window: Page, tokens: Tokens
) -> None:
    cookies = window.context.cookies()

    (cookie,) = cookies
    assert (cookie["name"], cookie["path"]) == (COOKIE, "/ui/")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert cookie["expires"] == -1
    assert tokens.admin.text not in cookie["value"]


def test_signing_out_ends_the_session(window: Page) -> None:
    window.get_by_role("button", name="Sign out").click()

    expect(window).to_have_url("/ui/sign-in")
    window.goto("/ui/")
    expect(window).to_have_url(SIGN_IN)


def test_an_expired_session_leads_to_the_sign_in_page_and_back(
    stranger: Page, server: LiveServer, tokens: Tokens, past_sessions: Sessions
) -> None:
    expired = past_sessions.seal(new_ticket(digest_of(tokens.admin.text)))
    stranger.context.add_cookies(
        [{"name": COOKIE, "value": expired, "url": f"{server.url}ui/", "sameSite": "Strict"}]
    )

    stranger.goto(CACHES)

    expect(stranger.get_by_role("status")).to_contain_text("Your session has ended")
    stranger.get_by_label("API token").fill(tokens.admin.text)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger).to_have_url(CACHES)


def test_a_revoked_token_ends_its_session_at_once(
    stranger: Page, server: LiveServer, tokens: Tokens
) -> None:
    sign_in(stranger, tokens.doomed.text)
    expect(stranger.get_by_role("heading", name="Repositories")).to_be_visible()

    revoke = [*COMMAND, "token", "revoke", tokens.doomed.token.id, "--data", str(server.data)]
    subprocess.run(revoke, check=True, capture_output=True)
    stranger.get_by_role("link", name=REPOSITORY).click()

    expect(stranger.get_by_role("status")).to_contain_text("Your session has ended")


def test_a_link_on_another_site_finds_the_session_again(window: Page, server: LiveServer) -> None:
    elsewhere = f'<a href="{server.url.rstrip("/")}{CACHES}">caches</a>'
    window.route(
        "http://elsewhere.test/",
        lambda route: route.fulfill(body=elsewhere, content_type="text/html"),
    )
    window.goto("http://elsewhere.test/")

    window.get_by_role("link", name="caches").click()

    expect(window.get_by_role("heading", name="Caches")).to_be_visible()


def test_a_form_without_its_secret_changes_nothing(window: Page) -> None:
    window.evaluate("document.querySelector('input[name=csrf]').value = 'guessed'")

    window.get_by_role("button", name="Sign out").click()

    expect(window.get_by_role("heading", name="Forbidden")).to_be_visible()
    look_at(window, "refused-form")
    window.goto("/ui/")
    expect(window.get_by_role("heading", name="Repositories")).to_be_visible()


def test_a_form_of_another_session_changes_nothing(
    window: Page, browser: Browser, server: LiveServer, tokens: Tokens
) -> None:
    with opened_window(browser, server.url) as other:
        sign_in(other, tokens.admin.text)
        foreign = other.locator("input[name=csrf]").first.input_value()
    window.evaluate("csrf => document.querySelector('input[name=csrf]').value = csrf", foreign)

    window.get_by_role("button", name="Sign out").click()

    expect(window.get_by_role("heading", name="Forbidden")).to_be_visible()


def test_what_a_token_may_not_see_looks_like_what_is_not_there(
    stranger: Page, tokens: Tokens
) -> None:
    sign_in(stranger, tokens.narrow.text)

    texts = []
    for path in ("/ui/octo/hello/caches", "/ui/octo/nothing/caches", "/ui/no/such/page"):
        stranger.goto(path)
        expect(stranger.get_by_role("heading", name="Not Found")).to_be_visible()
        texts.append(stranger.locator("main").inner_text())

    assert texts[0] == texts[1]
    look_at(stranger, "not-found")


def test_keys_alone_lead_to_the_content(window: Page) -> None:
    window.keyboard.press("Tab")

    skip = window.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    window.keyboard.press("Enter")
    expect(window.locator("main")).to_be_focused()
