"""The repositories, the list of a repository's caches, and what can be done in it."""

import pytest
from playwright.sync_api import Browser, Page, expect

from runcache.testing import LiveServer
from tests.browser.caches import BULK, DOOMED, LONG, MARKUP, REPOSITORY, Tokens
from tests.browser.chromium import look_at, opened_window, sign_in

CACHES = f"/ui/{REPOSITORY}/caches"


def rows(window: Page) -> int:
    window.wait_for_load_state("domcontentloaded")
    return window.locator("tbody tr").count()


def keys(window: Page) -> list[str]:
    window.wait_for_load_state("domcontentloaded")
    return window.locator("tbody .key").all_inner_texts()


def test_the_first_page_shows_how_full_each_repository_is(window: Page) -> None:
    row = window.get_by_role("row").filter(has=window.get_by_role("link", name=REPOSITORY))

    expect(row).to_contain_text("of 16.0 MB")
    expect(row.get_by_role("img")).to_have_attribute(
        "aria-label", f"{REPOSITORY}: 15.1 MB of 16.0 MB (95 %)"
    )
    expect(row).to_contain_text("+15.1 MB")
    expect(row).to_contain_text("%")
    look_at(window, "overview")
    row.get_by_role("link", name=REPOSITORY, exact=True).click()
    expect(window).to_have_url(CACHES)


def test_a_token_of_one_repository_sees_no_other(stranger: Page, tokens: Tokens) -> None:
    sign_in(stranger, tokens.narrow.text)

    expect(stranger.get_by_role("link", name="other/private")).to_be_visible()
    assert rows(stranger) == 1
    assert "octo" not in stranger.content()


def test_the_list_is_usable_in_every_look(window: Page) -> None:
    window.goto(CACHES)

    expect(window.get_by_role("status")).to_contain_text("Approaching the storage limit")
    expect(window.get_by_text("superseded")).to_be_visible()
    expect(window.get_by_text("of idle pull requests")).to_be_visible()
    assert keys(window)[0] == MARKUP
    look_at(window, "caches")


def test_a_key_full_of_markup_is_shown_as_text(window: Page) -> None:
    window.goto(f"{CACHES}?query=branch:feature/much-faster-start")

    link = window.get_by_role("link", name=MARKUP, exact=True)
    expect(link).to_be_visible()
    assert window.locator("main img[src=x], main b").count() == 0
    window.get_by_label("Filter caches").fill(MARKUP)
    window.keyboard.press("Enter")
    expect(window.get_by_label("Filter caches")).to_have_value(
        f'key:"{MARKUP.replace(chr(34), chr(92) + chr(34))}"'
    )
    assert keys(window) == [MARKUP]


def test_the_filter_is_in_the_address(window: Page) -> None:
    window.goto(CACHES)

    window.get_by_label("Filter caches").fill("key: Linux-npm- ref:refs/pull/9/merge")
    window.get_by_role("button", name="Filter").click()

    expect(window.get_by_text("1 entry", exact=True)).to_be_visible()
    expect(window.get_by_label("Filter caches")).to_have_value("key:Linux-npm- pr:9")
    window.reload()
    assert rows(window) == 1
    window.get_by_role("link", name="Clear filter").click()
    expect(window).to_have_url(CACHES)


def test_a_branch_is_chosen_from_a_menu_with_the_keyboard(window: Page) -> None:
    window.goto(f"{CACHES}?query=key%3ALinux-")

    window.locator("summary", has_text="Branch").focus()
    window.keyboard.press("Enter")
    window.get_by_role("link", name="feature/much-faster-start").focus()
    window.keyboard.press("Enter")

    expect(window.get_by_label("Filter caches")).to_have_value(
        "key:Linux- branch:feature/much-faster-start"
    )
    assert rows(window) == 5


def test_escape_closes_a_menu_and_returns_to_it(window: Page) -> None:
    window.goto(CACHES)
    window.locator("summary", has_text="Sort").click()
    expect(window.get_by_role("link", name="Largest")).to_be_visible()

    window.keyboard.press("Escape")

    expect(window.get_by_role("link", name="Largest")).to_be_hidden()
    expect(window.locator("summary", has_text="Sort")).to_be_focused()


@pytest.mark.parametrize("menu", ["Branch", "Sort"])
def test_a_menu_opens_within_a_narrow_window(window: Page, menu: str) -> None:
    window.set_viewport_size({"width": 360, "height": 900})
    window.goto(CACHES)

    window.locator("summary", has_text=menu).click()

    box = window.locator("details[open] .menu-list").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_the_order_is_chosen_from_a_menu(window: Page) -> None:
    window.goto(CACHES)

    window.locator("summary", has_text="Sort").click()
    look_at(window, "caches-menu")
    window.get_by_role("link", name="Largest").click()

    expect(window).to_have_url(f"{CACHES}?query=sort%3Asize-desc")
    assert keys(window)[0] == LONG


@pytest.mark.parametrize(
    ("alias", "first"),
    [("sort:size-asc", MARKUP), ("sort:created-at-desc", MARKUP), ("sort:size_in_bytes", LONG)],
)
def test_orders_have_the_names_that_people_try(window: Page, alias: str, first: str) -> None:
    window.goto(f"{CACHES}?query={alias}")

    assert keys(window)[0] == first


def test_an_unknown_order_is_told(window: Page) -> None:
    window.goto(f"{CACHES}?query=sort:colour")

    expect(window.get_by_text("“sort:colour” is not an order")).to_be_visible()


def test_a_long_list_has_pages(window: Page) -> None:
    window.goto(f"/ui/{BULK}/caches?query=sort:created-asc")
    first = keys(window)

    window.get_by_role("link", name="Next").click()

    expect(window.get_by_text("51\N{EN DASH}60 of 60")).to_be_visible()
    window.get_by_role("link", name="Previous").click()
    expect(window.get_by_text("1\N{EN DASH}50 of 60")).to_be_visible()
    assert keys(window) == first == [f"bulk-{number:03}" for number in range(50)]


@pytest.mark.parametrize(
    ("group", "first", "filtered"),
    [
        ("By branch", "main", "branch:main"),
        ("By key family", "Linux-npm-<hash>", "family:Linux-npm-<hash>"),
    ],
)
def test_groups_lead_to_their_entries(window: Page, group: str, first: str, filtered: str) -> None:
    window.goto(CACHES)

    window.get_by_role("link", name=group).click()

    row = window.locator("tbody tr").first
    expect(row.locator(".key")).to_have_text(first)
    expect(row).to_contain_text("%")
    count = int(row.locator("td").nth(1).inner_text())
    look_at(window, f"caches-{group.lower().replace(' ', '-')}")
    row.locator(".key").click()
    expect(window.get_by_label("Filter caches")).to_have_value(filtered)
    assert rows(window) == count


def test_nothing_that_matches_is_said(window: Page) -> None:
    window.goto(f"{CACHES}?query=key:nothing-like-it")

    expect(window.get_by_role("heading", name="No caches match")).to_be_visible()
    look_at(window, "caches-none-match")


def test_a_repository_without_caches_says_so(window: Page) -> None:
    window.goto("/ui/octo/new/caches")

    expect(window.get_by_role("heading", name="No caches yet")).to_be_visible()


def test_selected_entries_are_deleted_after_a_preview(window: Page) -> None:
    window.goto(f"/ui/{DOOMED}/caches?query=branch:main sort:created-asc")
    expect(window.get_by_role("button", name="Delete selected")).to_be_disabled()

    window.get_by_role("checkbox", name="Select old-0").check()
    window.get_by_role("checkbox", name="Select old-1").check()
    window.get_by_role("button", name="Delete selected (2)").click()
    expect(window.get_by_role("heading", name="Delete 2 entries?")).to_be_visible()
    assert keys(window) == ["old-0", "old-1"]
    look_at(window, "delete")
    window.get_by_role("button", name="Delete 2 entries").click()

    expect(window.get_by_role("status")).to_have_text("Deleted 2 entries.")
    assert keys(window) == ["old-2", "old-3", "old-4", "old-5"]


def test_one_box_selects_all_of_a_page(window: Page) -> None:
    window.goto(f"/ui/{BULK}/caches")

    window.get_by_role("checkbox", name="Select all on this page").check()

    expect(window.get_by_role("button", name="Delete selected (50)")).to_be_enabled()
    window.get_by_role("checkbox", name="Select bulk-059").uncheck()
    expect(window.get_by_role("button", name="Delete selected (49)")).to_be_enabled()


def test_all_that_match_are_deleted_after_a_preview(window: Page) -> None:
    window.goto(f"/ui/{DOOMED}/caches?query=branch:old")

    window.get_by_role("link", name="Delete all 6").click()
    expect(window.get_by_text("All that match")).to_contain_text("branch:old")
    window.get_by_role("link", name="Cancel").click()
    window.get_by_role("link", name="Delete all 6").click()
    window.get_by_role("button", name="Delete 6 entries").click()

    expect(window.get_by_role("status")).to_have_text("Deleted 6 entries.")
    expect(window.get_by_role("heading", name="No caches match")).to_be_visible()


def test_without_script_everything_works(
    browser: Browser, server: LiveServer, tokens: Tokens
) -> None:
    with opened_window(browser, server.url, has_script=False) as window:
        sign_in(window, tokens.admin.text)
        window.goto(f"/ui/{BULK}/caches?query=sort:created-asc")
        expect(window.get_by_role("checkbox", name="Select all on this page")).to_be_hidden()

        window.get_by_role("checkbox", name="Select bulk-001").check()
        window.get_by_role("button", name="Delete selected").click()

        expect(window.get_by_role("heading", name="Delete 1 entry?")).to_be_visible()
        assert keys(window) == ["bulk-001"]
        window.goto(f"/ui/{BULK}/caches")
        window.get_by_role("button", name="Delete selected").click()
        expect(window.get_by_role("heading", name="Nothing to delete")).to_be_visible()


def test_a_token_that_only_reads_is_offered_no_deletion(stranger: Page, tokens: Tokens) -> None:
    sign_in(stranger, tokens.reader.text)
    stranger.goto(CACHES)

    expect(stranger.get_by_text("read-only")).to_be_visible()
    assert stranger.get_by_role("checkbox").count() == 0
    assert "Delete" not in stranger.locator("main").inner_text()
    stranger.goto(f"{CACHES}/delete?all=1")
    expect(stranger.get_by_role("heading", name="Forbidden")).to_be_visible()
