"""Limits: what counts, what new ones would evict, and who may set them."""

from playwright.sync_api import Page, expect

from tests.browser.caches import OTHER, REPOSITORY, SPARE, Tokens
from tests.browser.chromium import look_at, sign_in

OWN = f"/ui/{SPARE}/limits"


def row(window: Page, name: str) -> list[str]:
    """Return what the table has for a limit: set here, inherited, in effect."""
    cells = window.get_by_role("row", name=name).get_by_role("cell")
    return cells.all_inner_texts()[1:]


def test_the_limits_in_effect_are_shown_with_where_they_come_from(window: Page) -> None:
    window.goto(f"/ui/{REPOSITORY}/limits")

    assert row(window, "Storage") == ["not set", "16.0 MB", "16.0 MB"]
    assert row(window, "Kept without an access for") == ["not set", "7 days", "7 days"]
    look_at(window, "limits")


def test_a_preview_says_what_would_go_and_changes_nothing(window: Page) -> None:
    window.goto(OWN)
    window.get_by_label("Storage").fill("450KB")
    window.get_by_label("Kept without").fill("6d")
    window.get_by_role("button", name="Preview").click()

    expect(window.get_by_text("2 entries would be evicted, 200 KB freed.")).to_be_visible()
    expect(window.get_by_role("link", name="room-0")).to_be_visible()
    expect(window.get_by_role("link", name="room-1")).to_be_visible()
    expect(window.get_by_role("link", name="room-2")).to_have_count(0)
    assert "size=450KB&unused_for=6d" in window.url
    look_at(window, "limits-preview")
    window.get_by_role("link", name="Cancel").click()
    expect(window.get_by_label("Storage")).to_have_value("")
    assert row(window, "Storage") == ["not set", "16.0 MB", "16.0 MB"]
    window.goto(f"/ui/{SPARE}/caches")
    expect(window.get_by_role("link", name="room-0")).to_be_visible()


def test_limits_that_were_previewed_are_saved_and_taken_back(window: Page) -> None:
    window.goto(f"{OWN}?size=1MB&unused_for=")
    expect(window.get_by_text("Nothing would be evicted.")).to_be_visible()

    window.get_by_role("button", name="Save").click()

    expect(window.get_by_role("status")).to_contain_text("Saved")
    assert row(window, "Storage") == ["1.00 MB", "16.0 MB", "1.00 MB"]
    expect(window.get_by_label("Storage")).to_have_value("1MB")
    window.get_by_label("Storage").fill("")
    window.get_by_role("button", name="Preview").click()
    window.get_by_role("button", name="Save").click()
    expect(window.get_by_label("Storage")).to_have_value("")
    assert row(window, "Storage") == ["not set", "16.0 MB", "16.0 MB"]


def test_an_owner_can_only_tighten_what_its_repositories_inherit(window: Page) -> None:
    window.goto("/ui/owners/other/limits?size=2MB&unused_for=30d")
    expect(window.get_by_text("2.00 MB, 7 days in effect")).to_be_visible()
    look_at(window, "limits-owner")

    window.get_by_role("button", name="Save").click()

    expect(window.get_by_role("status")).to_contain_text("Saved")
    assert row(window, "Kept without an access for") == ["30 days", "7 days", "7 days"]
    window.goto(f"/ui/{OTHER}/limits")
    assert row(window, "Storage") == ["not set", "2.00 MB", "2.00 MB"]


def test_what_is_no_limit_is_said_beside_its_field(window: Page) -> None:
    window.goto(OWN)
    window.get_by_label("Storage").fill("a lot")
    window.get_by_label("Kept without").fill("7 fortnights")
    window.get_by_role("button", name="Preview").click()

    expect(window.get_by_label("Storage")).to_have_attribute("aria-invalid", "true")
    expect(window.get_by_text("a lot is not a size such as")).to_be_visible()
    expect(window.get_by_text("7 fortnights is not a duration such as")).to_be_visible()
    expect(window.get_by_role("button", name="Save")).to_have_count(0)
    look_at(window, "limits-mistake")


def test_a_read_only_token_sees_limits_and_sets_none(stranger: Page, tokens: Tokens) -> None:
    sign_in(stranger, tokens.reader.text)
    stranger.goto(f"/ui/{REPOSITORY}/limits?size=1KB&unused_for=1d")

    expect(stranger.get_by_text("This token may look at limits, and change none.")).to_be_visible()
    expect(stranger.get_by_role("button", name="Preview")).to_have_count(0)
    csrf = stranger.locator("input[name=csrf]").first.input_value()
    answer = stranger.request.post(
        f"/ui/{REPOSITORY}/limits", form={"csrf": csrf, "size": "1KB", "unused_for": ""}
    )
    assert answer.status == 403
    stranger.goto(f"/ui/{REPOSITORY}/limits")
    assert row(stranger, "Storage")[0] == "not set"


def test_limits_are_not_saved_without_the_secret_of_the_form(window: Page) -> None:
    window.goto(f"{OWN}?size=1KB&unused_for=")
    window.evaluate("document.querySelectorAll('input[name=csrf]').forEach(e => e.value = '0')")

    window.get_by_role("button", name="Save and evict").click()

    expect(window.get_by_role("heading", name="Forbidden")).to_be_visible()
    window.goto(OWN)
    assert row(window, "Storage")[0] == "not set"
