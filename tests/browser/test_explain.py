"""Explain: a form whose address can be shared, the walk, and what comes nearest."""

from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.caches import BULK, REPOSITORY, Tokens
from tests.browser.chromium import look_at, sign_in
from tests.in_process import VERSION

OWN = f"/ui/{REPOSITORY}/explain"


def ask(window: Page, **answers: str) -> None:
    """Fill in fields of the form by their labels, with blanks for underscores, and send it."""
    for label, text in answers.items():
        window.get_by_label(label.replace("_", " "), exact=True).fill(text)
    window.get_by_role("button", name="Explain", exact=True).click()


def test_the_form_says_what_it_is_for(window: Page) -> None:
    window.goto(f"/ui/{REPOSITORY}/caches")
    window.get_by_role("link", name="Explain", exact=True).click()

    expect(window.get_by_text("What would a restore find, and why?")).to_be_visible()
    look_at(window, "explain")


def test_a_hit_is_shown_with_each_step_that_led_to_it(window: Page) -> None:
    window.goto(OWN)
    ask(
        window,
        Key="Linux-npm-unseen",
        Restore_keys="Linux-yarn-\nLinux-npm-",
        Or_the_version=VERSION,
        Ref_of_the_job="topic",
        Base_branch="main",
    )

    expect(window.get_by_role("status")).to_contain_text("it is found by the restore key")
    found = window.get_by_role("region", name="What the job gets")
    expect(found.get_by_role("link", name="Linux-npm-")).to_be_visible()
    steps = window.get_by_role("region", name="The lookup, step by step")
    expect(steps.get_by_role("heading")).to_have_text(
        ["The lookup, step by step", "branch topic", "branch main"]
    )
    expect(steps.locator(".steps > li")).to_have_count(12)
    expect(steps.locator(".steps > .answered")).to_have_count(1)
    look_at(window, "explain-hit")


def test_the_address_of_an_answer_holds_the_question(window: Page) -> None:
    window.goto(OWN)
    ask(window, Key="Linux-npm-unseen", Restore_keys="Linux-npm-", Paths="~/.npm\n!~/.npm/_logs")
    address = window.url

    query = parse_qs(urlsplit(address).query)
    assert query["key"] == ["Linux-npm-unseen"]
    assert query["paths"] == ["~/.npm\r\n!~/.npm/_logs"]
    window.goto("/ui/")
    window.goto(address)
    expect(window.get_by_label("Paths")).to_have_value("~/.npm\n!~/.npm/_logs")
    expect(window.get_by_role("region", name="What comes nearest")).to_be_visible()


def test_a_miss_names_what_comes_nearest_and_what_was_in_its_way(window: Page) -> None:
    window.goto(OWN)
    ask(window, Key="Linux-cargo-00", Or_the_version=VERSION, Ref_of_the_job="main")

    nearest = window.get_by_role("region", name="What comes nearest").get_by_role("listitem")
    expect(nearest.first).to_contain_text("unreadable scope")
    expect(nearest.first).to_contain_text("refs/heads/feature/much-faster-start")
    look_at(window, "explain-miss")
    nearest.first.get_by_role("link", name="Look at the entry").click()
    expect(window.get_by_role("heading", name="Linux-cargo-")).to_be_visible()


def test_what_cannot_be_asked_is_said_and_the_form_keeps_its_answers(window: Page) -> None:
    window.goto(OWN)
    ask(window, Key="one,two", Paths="~/.npm")

    expect(window.get_by_role("alert")).to_contain_text("Invalid key: it holds a comma.")
    expect(window.get_by_label("Paths")).to_have_value("~/.npm")
    look_at(window, "explain-mistake")
    ask(window, Key="plain", Paths="")
    expect(window.get_by_role("alert")).to_contain_text("paths or for a version")
    ask(window, Paths="~/.npm", Ref_of_the_job="no..such")
    expect(window.get_by_role("alert")).to_contain_text("Invalid ref refs/heads/no..such")


def test_a_token_of_another_repository_learns_nothing(stranger: Page, tokens: Tokens) -> None:
    sign_in(stranger, tokens.narrow.text)

    stranger.goto(f"/ui/{BULK}/explain?key=bulk-000&version={VERSION}")

    expect(stranger.get_by_role("heading", name="Not Found")).to_be_visible()
