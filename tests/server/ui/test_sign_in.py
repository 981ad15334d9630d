"""Sessions, forms and refusals, as a browser gets them to see."""

import json
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs
from yarl import URL

from runcache.catalog.opening import open_catalog
from runcache.server.ui.session import COOKIE
from runcache.service import now_ms
from tests.server.serving import Served, serving
from tests.server.ui.visitor import Visitor, visiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = ("/ui/", "/ui/sign-in", "/ui/no/such/page", "/ui/octo/hello/caches")


@pytest.mark.parametrize("path", PAGES)
async def test_every_answer_forbids_what_no_page_needs(visitor: Visitor, path: str) -> None:
    seen = await visitor.get(path)

    assert seen.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert seen.headers["X-Content-Type-Options"] == "nosniff"
    assert seen.headers["X-Frame-Options"] == "DENY"
    assert seen.headers["Referrer-Policy"] == "same-origin"
    assert seen.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert seen.headers["Cache-Control"] == "no-store"


async def test_no_page_holds_a_script_or_a_style(visitor: Visitor) -> None:
    await visitor.sign_in(is_admin=True)

    for path in (*PAGES, "/ui/octo/hello/caches?group=branch"):
        text = (await visitor.get(path)).text
        assert " style=" not in text
        assert "<style" not in text
        assert text.count("<script") == text.count('<script src="/ui/static/')


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml;q=0.9", "TEXT/HTML"])
async def test_the_root_leads_browsers_to_the_pages(visitor: Visitor, accept: str) -> None:
    seen = await visitor.get("/", Accept=accept)

    assert (seen.status, seen.location) == (303, "/ui/")


async def test_the_root_is_the_api_to_programs(visitor: Visitor) -> None:
    for path, accept in (("/", "*/*"), ("/api/v3/", "text/html")):
        seen = await visitor.get(path, Accept=accept)
        assert seen.status == 200
        assert json.loads(seen.text)


async def test_ui_without_a_slash_leads_there_too(visitor: Visitor) -> None:
    seen = await visitor.get("/ui")

    assert (seen.status, seen.location) == (303, "/ui/")


async def test_a_stranger_is_led_to_the_sign_in_page(visitor: Visitor) -> None:
    seen = await visitor.get("/ui/octo/hello/caches?query=key%3Aa%20b")

    assert seen.status == 303
    location = URL(seen.location)
    assert location.path == "/ui/sign-in"
    assert dict(location.query) == {"next": "/ui/octo/hello/caches?query=key:a%20b"}


async def test_whoever_is_signed_in_is_led_on(visitor: Visitor) -> None:
    await visitor.sign_in(is_admin=True)

    seen = await visitor.get("/ui/sign-in?next=%2Fui%2Factivity")

    assert (seen.status, seen.location) == (303, "/ui/activity")


@pytest.mark.parametrize(
    "way",
    [
        "https://evil.example/",
        "//evil.example/ui/",
        "/other",
        "/ui",
        "/ui/\\evil",
        "/ui/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "",
    ],
)
async def test_nobody_is_led_to_another_site(visitor: Visitor, way: str) -> None:
    await visitor.sign_in(is_admin=True)

    seen = await visitor.get(str(URL("/ui/sign-in").with_query(next=way)))

    assert (seen.status, seen.location) == (303, "/ui/")


async def test_a_wrong_token_is_401_and_is_not_shown(visitor: Visitor) -> None:
    form = await visitor.get("/ui/sign-in")

    with capture_logs() as logs:
        seen = await visitor.post("/ui/sign-in", {"csrf": form.csrf, "token": "rc_wrong-one"})

    assert seen.status == 401
    assert "wrong-one" not in seen.text
    assert "wrong-one" not in str(logs)


async def test_the_cookie_of_a_session_names_no_token(visitor: Visitor) -> None:
    text = await visitor.sign_in(is_admin=True)

    jar = visitor.http.cookie_jar
    (cookie,) = list(jar)
    assert text not in cookie.value
    assert text.split("_")[1] not in cookie.value
    assert (cookie["path"], cookie["samesite"]) == ("/ui/", "Strict")
    assert cookie["httponly"] is True
    assert not cookie["secure"]
    assert jar.filter_cookies(URL(visitor.server.url) / "ui/").keys() == {COOKIE}
    assert not jar.filter_cookies(URL(visitor.server.url))


async def test_the_cookie_is_secure_where_the_server_is_reached_over_tls(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, public_url="https://cache.example.com") as server,
        visiting(server) as visitor,
    ):
        seen = await visitor.get("/ui/sign-in")

    assert "; secure" in seen.headers["Set-Cookie"].lower()


async def test_signing_in_changes_the_session(visitor: Visitor) -> None:
    before = (await visitor.get("/ui/sign-in")).csrf
    await visitor.sign_in(is_admin=True)

    after = (await visitor.get("/ui/")).csrf

    assert before != after


@pytest.mark.parametrize("csrf", [None, "", "0" * 64])
async def test_a_form_without_the_secret_of_its_session_is_refused(
    visitor: Visitor, csrf: str | None
) -> None:
    await visitor.sign_in(is_admin=True, can_write=True)
    form = {} if csrf is None else {"csrf": csrf}

    for path in ("/ui/sign-in", "/ui/sign-out", "/ui/octo/hello/caches/delete"):
        seen = await visitor.post(path, form | {"all": "1"})
        assert seen.status == 403
    assert (await visitor.get("/ui/")).status == 200


async def test_the_form_of_a_stranger_is_refused_in_another_session(
    visitor: Visitor, server: Served
) -> None:
    async with visiting(server) as attacker:
        foreign = (await attacker.get("/ui/sign-in")).csrf
    await visitor.get("/ui/sign-in")

    seen = await visitor.post("/ui/sign-in", {"csrf": foreign, "token": "rc_mine"})

    assert seen.status == 403


async def test_a_body_that_is_no_form_is_refused(visitor: Visitor) -> None:
    await visitor.sign_in(is_admin=True)
    url = f"{visitor.server.url}ui/sign-out"

    async with visitor.http.post(url, json={"csrf": "x"}) as answer:
        assert answer.status == 400
    async with visitor.http.post(url, data={"a": "x" * 300_000}) as answer:
        assert answer.status == 413
    form = {f"field{number}": "" for number in range(1001)}
    assert (await visitor.post("/ui/sign-out", form)).status == 400


async def test_a_session_ends_with_its_token(visitor: Visitor, server: Served) -> None:
    text = await visitor.sign_in(is_admin=True)
    async with open_catalog(server.settings.catalog) as catalog:
        await catalog.tokens.revoke(text.split("_")[1], now_ms=now_ms())

    seen = await visitor.get("/ui/")

    assert (seen.status, seen.location) == (303, "/ui/sign-in?next=%2Fui%2F&ended=1")
    assert len(visitor.http.cookie_jar) == 0


async def test_what_was_sent_without_a_session_leads_back_to_its_page(visitor: Visitor) -> None:
    page = f"{visitor.server.url}ui/octo/hello/limits?size=1GB"

    seen = await visitor.post("/ui/octo/hello/caches/delete", {"all": "1"}, Referer=page)
    foreign = await visitor.post("/ui/sign-out/x", {}, Referer="http://evil.example/ui/")

    assert URL(seen.location).query["next"] == "/ui/octo/hello/limits?size=1GB"
    assert foreign.status == 404


async def test_a_link_of_another_site_is_led_on_from_a_page_of_ours(visitor: Visitor) -> None:
    seen = await visitor.get("/ui/octo/hello/caches", **{"Sec-Fetch-Site": "cross-site"})

    assert seen.status == 200
    assert 'content="0; url=/ui/sign-in?next=%2Fui%2Focto%2Fhello%2Fcaches"' in seen.text


async def test_what_is_not_there_is_a_page(visitor: Visitor) -> None:
    await visitor.sign_in(is_admin=True)

    missing = await visitor.get("/ui/no/such/page")
    wrong_method = await visitor.post("/ui/octo/hello/caches", {})

    assert missing.status == 404
    assert missing.headers["Content-Type"] == "text/html; charset=utf-8"
    assert wrong_method.status == 405
    assert wrong_method.headers["Allow"] == "GET,HEAD"


async def test_a_crash_is_a_page_without_a_trace(tmp_path: Path) -> None:
    async def crash(_request: aiohttp.web.Request) -> aiohttp.web.Response:
        message = "secret detail"
        raise ZeroDivisionError(message)

    async with (
        serving(tmp_path, routes=[aiohttp.web.get("/ui/crash", crash)]) as server,
        visiting(server) as visitor,
    ):
        with capture_logs():
            seen = await visitor.get("/ui/crash")

    assert seen.status == 500
    assert "Internal Server Error" in seen.text
    assert "secret detail" not in seen.text
    assert "Traceback" not in seen.text
