"""Activity: sums by day as charts and tables, hit rates of families, and the log with filters."""

from playwright.sync_api import Browser, Locator, Page, expect

from runcache.testing import LiveServer
from tests.browser.caches import BULK, OTHER, REPOSITORY, Tokens
from tests.browser.chromium import look_at, opened_window, sign_in

OWN = f"/ui/{REPOSITORY}/activity"


def keys(window: Page) -> Locator:
    """Return the keys in the log."""
    return window.locator("#log tbody td:nth-child(2) code")


def kinds(window: Page) -> set[str]:
    """Return what has happened according to the log."""
    return set(window.locator("#log tbody .label").all_inner_texts())


def test_charts_are_drawn_of_the_numbers_in_the_table(window: Page) -> None:
    window.goto(OWN)

    expect(window.locator("figure canvas")).to_have_count(2)
    expect(window.get_by_role("figure", name="Lookups").get_by_role("img")).to_be_visible()
    window.get_by_text("Numbers").click()
    rows = window.locator("#days tbody tr")
    expect(rows).to_have_count(30)
    hits = [int(text) for text in window.locator("td[data-series=hits]").all_inner_texts()]
    assert sum(hits) > 0
    expect(window.locator(".tiles")).to_contain_text("Hit rate")
    window.goto(f"{OWN}?days=7&kind=saved&prefix=Linux-pip-")
    look_at(window, "activity")
    expect(window.locator("figure canvas")).to_have_count(2)


def test_a_chart_tells_the_day_under_the_pointer(window: Page) -> None:
    window.goto(f"{OWN}?days=7")
    chart = window.locator("figure").first
    box = chart.locator(".u-over").bounding_box()
    assert box is not None

    window.mouse.move(box["x"] + box["width"] * 0.93, box["y"] + box["height"] / 2)

    today = window.locator("#days tbody tr").first
    shown = chart.locator(".u-legend .u-value").all_inner_texts()
    assert shown[1:] == [
        today.locator(f"[data-series={name}]").text_content() for name in ("hits", "misses")
    ]


def test_the_period_is_part_of_the_address(window: Page) -> None:
    window.goto(OWN)
    window.get_by_role("link", name="7 days").click()

    assert window.url.endswith("/activity?days=7")
    expect(window.locator("#days tbody tr")).to_have_count(7)


def test_hit_rates_are_told_by_family_of_keys(window: Page) -> None:
    window.goto(OWN)

    families = window.get_by_role("region", name="Hit rate by family of keys")
    found = families.get_by_role("row", name="Linux-npm-")
    expect(found).to_contain_text("100 %")
    missed = families.get_by_role("row", name="Windows-nuget-")
    expect(missed).to_contain_text("0 %")


def test_the_log_is_filtered_by_kind_key_and_ref(window: Page) -> None:
    window.goto(OWN)
    window.get_by_role("checkbox", name="Hit").check()
    window.get_by_role("checkbox", name="Saved").check()
    window.get_by_label("Beginning of the key").fill("Linux-pip-")
    window.get_by_role("button", name="Filter").click()

    expect(window.get_by_role("link", name="Clear")).to_be_visible()
    assert kinds(window) == {"hit", "saved"}
    assert {key[:10] for key in keys(window).all_inner_texts()} == {"Linux-pip-"}
    expect(window.get_by_role("checkbox", name="Saved")).to_be_checked()
    window.get_by_role("link", name="Clear").click()
    expect(window.get_by_role("checkbox", name="Saved")).not_to_be_checked()
    window.get_by_label("Ref", exact=True).fill("#7")
    window.get_by_role("button", name="Filter").click()
    expect(window.get_by_label("Ref", exact=True)).to_have_value("refs/pull/7/merge")
    titles = window.locator("#log tbody .ref").evaluate_all("all => all.map(one => one.title)")
    assert set(titles) == {"refs/pull/7/merge"}


def test_the_log_goes_on_where_a_page_ended(window: Page) -> None:
    window.goto(f"{OWN}?kind=hit,miss")
    expect(keys(window)).to_have_count(50)
    newest = keys(window).all_inner_texts()

    window.get_by_role("link", name="Older").click()

    expect(window.get_by_role("link", name="Newest")).to_be_visible()
    assert "kind=hit%2Cmiss&before=" in window.url
    assert kinds(window) <= {"hit", "miss"}
    window.get_by_role("link", name="Newest").click()
    expect(keys(window)).to_have_text(newest)


def test_a_miss_leads_to_its_explanation(window: Page) -> None:
    window.goto(f"{OWN}?kind=miss&prefix=Windows-nuget-")

    window.get_by_role("link", name="Why?").first.click()

    expect(window.get_by_label("Key", exact=True)).to_have_value("Windows-nuget-3f2a9c1e")
    expect(window.get_by_label("Restore keys")).to_have_value("Windows-nuget-")
    expect(window.get_by_role("status")).to_contain_text("Nothing is restored")


def test_a_filter_that_fits_nothing_says_so(window: Page) -> None:
    window.goto(f"{OWN}?prefix=%3Cb%3E&ref=refs%2Fheads%2Fnowhere")

    expect(window.get_by_text("Nothing that fits this filter was written down.")).to_be_visible()
    expect(window.get_by_label("Beginning of the key")).to_have_value("<b>")


def test_activity_of_all_repositories_has_those_that_the_token_reaches(
    window: Page, tokens: Tokens
) -> None:
    window.goto("/ui/activity?kind=saved&prefix=secret")
    expect(window.get_by_role("link", name=OTHER)).to_be_visible()
    look_at(window, "activity-all")

    window.get_by_role("button", name="Sign out").click()
    sign_in(window, tokens.reader.text)
    window.goto("/ui/activity")
    expect(window.get_by_role("link", name=BULK).first).to_be_visible()
    window.goto("/ui/activity?kind=saved&prefix=secret")
    expect(window.get_by_text("Nothing that fits this filter")).to_be_visible()


def test_without_script_the_numbers_are_a_table(
    browser: Browser, server: LiveServer, tokens: Tokens
) -> None:
    with opened_window(browser, server.url, has_script=False) as window:
        sign_in(window, tokens.admin.text)
        window.goto(OWN)

        expect(window.locator("#days")).to_be_visible()
        expect(window.locator("figure").first).to_be_hidden()
