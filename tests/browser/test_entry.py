"""An entry: its facts, who saved it, who can restore it, how often that happened, and its files."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from runcache.testing import LiveServer
from runcache.testing.live_server import COMMAND
from tests.browser.caches import LONG, MARKUP, REPOSITORY, SPARE, Tokens
from tests.browser.chromium import look_at, opened_window, sign_in

FILES = "spare/files"
KEY = "Linux-node-modules-1f2e3d4c5b6a7988"


@pytest.fixture(scope="module")
def snapshot(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The key of a snapshot of 150 files that our own client has saved, and restored once."""
    folder = tmp_path_factory.mktemp("job")
    for number in range(150):
        file = folder / "modules" / f"package-{number % 7}" / f"part-{number:03}.js"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(number + 1000))
    (folder / "modules" / "latest").symlink_to("package-6")
    token = server.job_token(repository=FILES, ref="refs/heads/topic")
    for command in ("save", "restore"):
        act(server, folder, token, command, "--key", KEY, "--path", "modules")
    return KEY


def act(server: LiveServer, folder: Path, token: str, *arguments: str) -> None:
    """Let a job do something with our own client, and see to it that it works."""
    variables = {"RUNCACHE_URL": server.url, "RUNCACHE_TOKEN": token, "HOME": str(folder)}
    command = [*COMMAND, *arguments, "--on-error", "fail"]
    subprocess.run(command, cwd=folder, env=os.environ | variables, check=True, capture_output=True)


def open_entry(window: Page, repository: str, key: str) -> None:
    """Go to an entry the way people do: from the list."""
    window.goto(f"/ui/{repository}/caches")
    window.get_by_role("link", name=key, exact=True).click()
    expect(window.get_by_role("heading", name=key, exact=True)).to_be_visible()


def paths(window: Page) -> Locator:
    """Return the paths that are listed."""
    return window.locator("#files tbody td:first-child > code")


def test_an_entry_says_what_it_is_and_who_saved_it(window: Page, snapshot: str) -> None:
    open_entry(window, FILES, snapshot)

    entry = window.get_by_role("region", name="Entry")
    expect(entry).to_contain_text("snapshot")
    expect(entry).to_contain_text(re.compile(r"Version\s*[0-9a-f]{64}"))
    saver = window.get_by_role("region", name="Saved by")
    expect(saver).to_contain_text(re.compile(r"Job on\s*branch topic"))
    expect(saver).to_contain_text(re.compile(r"Paths\s*modules"))
    expect(saver).to_contain_text(re.compile(r"System\s*Linux"))
    restores = window.get_by_role("region", name="Restores")
    expect(restores).to_contain_text("1 restore in the last 30 days, the last just now.")
    expect(restores.get_by_role("img", name="1 restore in the last 30 days")).to_be_visible()
    expect(restores).to_contain_text("by job refs/heads/topic")


def test_the_files_of_a_snapshot_are_searched_and_paged(window: Page, snapshot: str) -> None:
    open_entry(window, FILES, snapshot)
    expect(paths(window)).to_have_count(100)
    expect(window.get_by_text("159 paths")).to_be_visible()

    window.get_by_role("link", name="Next").click()
    expect(paths(window)).to_have_count(59)
    window.get_by_role("link", name="First").click()
    expect(paths(window).first).to_have_text("modules/")
    window.get_by_role("searchbox", name="Search files").fill("PACKAGE-3/part-01")
    window.keyboard.press("Enter")

    expect(paths(window)).to_have_text(
        ["modules/package-3/part-010.js", "modules/package-3/part-017.js"]
    )
    expect(window.get_by_role("cell", name="1.01 KB")).to_be_visible()
    assert window.url.endswith("?search=PACKAGE-3%2Fpart-01#files")
    look_at(window, "entry")


def test_a_search_without_a_result_leads_back_to_all_files(window: Page, snapshot: str) -> None:
    open_entry(window, FILES, snapshot)
    window.get_by_role("searchbox", name="Search files").fill("<b>nothing</b>")
    window.keyboard.press("Enter")

    expect(window.get_by_text("No path in this snapshot has <b>nothing</b> in it.")).to_be_visible()
    window.get_by_role("link", name="All files").click()
    expect(paths(window)).to_have_count(100)


def test_an_archive_has_no_list_and_says_why(window: Page) -> None:
    open_entry(window, SPARE, "room-0")

    expect(window.get_by_role("region", name="Files")).to_contain_text("This is an archive")
    expect(window.get_by_role("region", name="Restores")).to_contain_text("0 restores in the last")


def test_who_can_restore_an_entry_depends_on_its_ref(window: Page) -> None:
    window.goto(f"/ui/{REPOSITORY}/caches?query=pr%3A9")
    window.locator("main").get_by_role("link", name="Linux-npm-").first.click()
    readers = window.get_by_role("region", name="Who can restore this")
    expect(readers).to_contain_text("Jobs on pull request #9 itself")
    expect(readers).to_contain_text("Nobody else")
    expect(readers.get_by_role("listitem")).to_have_count(1)

    window.goto(f"/ui/{REPOSITORY}/caches?query=branch%3Amain")
    window.locator("main").get_by_role("link", name="Linux-npm-").first.click()
    expect(readers).to_contain_text("Pull requests into branch main, those of forks included.")
    expect(readers).to_contain_text("Every job of the repository, if branch main is its default")


def test_a_key_full_of_markup_is_text(window: Page) -> None:
    open_entry(window, REPOSITORY, MARKUP)

    assert MARKUP in window.title()
    expect(window.locator("main img, main b")).to_have_count(0)
    look_at(window, "entry-markup")
    window.get_by_role("link", name="Explain a lookup").click()
    expect(window.get_by_label("Key", exact=True)).to_have_value(MARKUP)
    expect(window.get_by_role("region", name="What the job gets")).to_contain_text(MARKUP)


def test_an_entry_leads_to_its_activity_and_its_deletion(window: Page, snapshot: str) -> None:
    open_entry(window, FILES, snapshot)
    entry_url = window.url

    window.get_by_role("link", name="All of its activity").click()
    log = window.get_by_role("region", name="Log")
    expect(log.get_by_role("row")).to_have_count(1 + len(["saved", "hit", "restored"]))

    window.goto(entry_url)
    window.get_by_role("link", name="Delete…").click()
    expect(window.get_by_role("heading", name="Delete")).to_be_visible()
    expect(window.locator("main")).to_contain_text(snapshot)
    window.goto(entry_url)
    expect(window.get_by_role("heading", name=snapshot)).to_be_visible()


def test_a_read_only_token_is_not_offered_to_delete(stranger: Page, tokens: Tokens) -> None:
    sign_in(stranger, tokens.reader.text)
    open_entry(stranger, REPOSITORY, LONG)

    expect(stranger.get_by_role("link", name="Delete…")).to_have_count(0)


def test_an_entry_is_not_found_below_another_repository(window: Page, snapshot: str) -> None:
    open_entry(window, FILES, snapshot)
    number = window.url.rpartition("/")[2]

    for path in (f"/ui/{REPOSITORY}/caches/{number}", f"/ui/{FILES}/caches/none"):
        window.goto(path)
        expect(window.get_by_role("heading", name="Not Found")).to_be_visible()


def test_without_script_everything_is_there(
    browser: Browser, server: LiveServer, tokens: Tokens, snapshot: str
) -> None:
    with opened_window(browser, server.url, has_script=False) as window:
        sign_in(window, tokens.admin.text)
        open_entry(window, FILES, snapshot)

        window.get_by_role("searchbox", name="Search files").fill("latest")
        window.get_by_role("button", name="Search").click()

        expect(window.get_by_role("cell", name="modules/latest link to package-6")).to_be_visible()
