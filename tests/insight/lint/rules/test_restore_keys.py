from pathlib import Path

import pytest

from tests.insight.lint.workflows import findings, found_rules, job

HASH = "${{ hashFiles('a') }}"
OS = "${{ runner.os }}"


def cache(key: str, restore_keys: str = "", *, path: str = "~/.npm", more: str = "") -> str:
    lines = "".join(f"      {line}\n" for line in restore_keys.split("; ") if line)
    return (
        f'- uses: actions/cache@v4\n  with:\n    path: {path}\n    key: "{key}"\n'
        + (f"    restore-keys: |\n{lines}" if lines else "")
        + (f"    {more}\n" if more else "")
    )


@pytest.mark.parametrize(
    ("step", "is_fault"),
    [
        (cache(f"x-{HASH}"), True),
        (cache(f"x-{OS}-{HASH}-y"), True),
        (cache(f"x-{OS}-{HASH}", path=".venv"), True),
        (cache(f"x-{OS}-py3.13-{HASH}", path=".venv"), False),
        (cache(f"x-{OS}-${{{{ env.pythonLocation }}}}-{HASH}", path=".venv"), False),
        (cache(f"x-{OS}-{HASH}", path="node_modules"), False),
        (cache(f"x-{HASH}", path="build"), False),
        (cache(f"x-{HASH}", path='"~/.npm\\nbuild"'), False),
        (cache(f"{HASH}"), False),
        (cache("x-${{ github.sha }}"), False),
        (cache(f"x-{HASH}", more="fail-on-cache-miss: true"), False),
        (cache(f"x-{HASH}", more="lookup-only: true"), False),
        (cache(f"x-{HASH}").replace("cache@", "cache/save@"), False),
        (cache(f"x-{HASH}").replace("cache@", "cache/restore@"), True),
    ],
)
def test_downloads_can_begin_with_older_ones(tmp_path: Path, step: str, *, is_fault: bool) -> None:
    assert ("no-restore-keys" in found_rules(tmp_path, job(step))) is is_fault


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        (f"x-{OS}-{HASH}", f"add `restore-keys: x-{OS}-`"),
        ("x-${{hashFiles('a')}}", "add `restore-keys: x-`"),
        ("x-${{ format('{0}-{1}', runner.os, hashFiles('a')) }}", "add `restore-keys: x-`"),
    ],
)
def test_the_beginning_of_the_key_is_what_to_add(tmp_path: Path, key: str, fix: str) -> None:
    (finding,) = findings(tmp_path, job(cache(key)))

    assert finding.fix == fix


@pytest.mark.parametrize(
    ("key", "restore_key", "is_fault"),
    [
        (f"x-{OS}-{HASH}", f"x-{OS}-", False),
        (f"x-{OS}-{HASH}", f"x-{OS}-{HASH}", False),
        (f"x-{OS}-{HASH}", "x", False),
        (f"x-{OS}-{HASH}", "x-Linux-", False),
        (f"x-{OS}-{HASH}", "x-${{ env.SYSTEM }}", False),
        ("x-${{ github.ref }}-${{ github.sha }}", "x-refs/heads/main-", False),
        (f"x-{OS}-{HASH}", "y-", True),
        (f"x-{OS}-{HASH}", "x-Windows-", True),
        (f"x-{OS}-{HASH}", f"{OS}-x-", True),
        (f"x-{OS}-{HASH}", f"x-{OS}-{HASH}-", True),
        (f"x-{HASH}", "x-y", True),
    ],
)
def test_a_restore_key_is_a_beginning_of_the_key(
    tmp_path: Path, key: str, restore_key: str, *, is_fault: bool
) -> None:
    found = found_rules(tmp_path, job(cache(key, restore_key)))

    assert ("restore-key-not-prefix" in found) is is_fault


def test_a_restore_key_may_be_for_what_another_step_saves(tmp_path: Path) -> None:
    other = cache("y-${{ github.sha }}", "y-")

    alone = found_rules(tmp_path, job(cache("x-${{ github.sha }}", "x-; y-")))
    together = found_rules(tmp_path, job(cache("x-${{ github.sha }}", "x-; y-") + other))
    elsewhere = found_rules(
        tmp_path, job(cache("x-${{ github.sha }}", "x-; y-") + other.replace("~/.npm", "build"))
    )

    assert (alone, together) == ({"restore-key-not-prefix"}, set())
    assert elsewhere == {"restore-key-not-prefix"}


@pytest.mark.parametrize(
    ("restore_keys", "lines"),
    [
        ("x-a-b-; x-a-; x-", []),
        ("x-; x-a-", [2]),
        ("x-a-; x-; x-a-b-", [3]),
        ("x-; x-", []),
        ("x-a-; x-b-", []),
        (f"x-; x-{OS}-", [2]),
        (f"x-{OS}-; x-Linux-a-", [2]),
        ("x-${{ github.ref }}-; x-refs/heads/main-", []),
        ("x-${{ github.ref }}-; x-${{ github.ref }}-a-", [2]),
    ],
)
def test_the_most_specific_restore_key_comes_first(
    tmp_path: Path, restore_keys: str, lines: list[int]
) -> None:
    found = findings(tmp_path, job(cache("x-${{ github.run_id }}", restore_keys)))

    in_order = [one for one in found if one.rule == "restore-key-order"]
    assert [finding.start.line - 10 for finding in in_order] == lines


@pytest.mark.parametrize(
    ("key", "restore_keys", "is_fault"),
    [
        (f"{OS}-x-{HASH}", f"{OS}-", True),
        (f"{OS}-{HASH}", f"{OS}-", True),
        (f"{OS}-${{{{ runner.arch }}}}-x-{HASH}", f"{OS}-${{{{ runner.arch }}}}-", True),
        (f"ubuntu-24.04-x-{HASH}", "ubuntu-24.04-", True),
        (f"{OS}-x-{HASH}", f"{OS}-x-{HASH}; {OS}-", True),
        (f"{OS}-x-{HASH}", f"{OS}-x-; {OS}-", False),
        (f"{OS}-x-{HASH}", f"{OS}-x", False),
        (f"{OS}-20-x-{HASH}", f"{OS}-20-", False),
        (f"{OS}-${{{{ env.TOOL }}}}-{HASH}", f"{OS}-${{{{ env.TOOL }}}}-", False),
        (f"{OS}-${{{{ github.ref }}}}-{HASH}", f"{OS}-${{{{ github.ref }}}}-", False),
    ],
)
def test_the_first_restore_key_says_what_it_is_for(
    tmp_path: Path, key: str, restore_keys: str, *, is_fault: bool
) -> None:
    found = found_rules(tmp_path, job(cache(key, restore_keys)))

    assert ("restore-key-too-short" in found) is is_fault


@pytest.mark.parametrize(
    ("other", "is_fault"),
    [
        (cache("ci-b-${{ hashFiles('go.sum') }}", "ci-b-", path="x"), True),
        (cache("ci-b-${{ hashFiles('go.sum') }}", "ci-b-", path="y"), False),
        (cache("ci-b-${{ hashFiles('yarn.lock') }}", "ci-b-", path="x"), False),
        (cache("cd-b-${{ hashFiles('go.sum') }}", "cd-b-", path="x"), False),
        (cache("ci-b-${{ hashFiles('unknown') }}", "ci-b-", path="x"), False),
    ],
)
def test_a_restore_key_finds_nothing_of_another_tool(
    tmp_path: Path, other: str, *, is_fault: bool
) -> None:
    step = cache("ci-a-${{ hashFiles('yarn.lock') }}", "ci-a-; ci-", path="x")

    found = found_rules(tmp_path, job(step + other))

    assert ("restore-key-too-short" in found) is is_fault
