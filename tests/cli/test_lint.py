import json
from pathlib import Path

import pytest

from tests.cli.conftest import Runcache

WORKFLOWS = Path(".github/workflows")
GOOD = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/cache@v4
        with: {path: tools, key: tools-1}
"""
BAD = GOOD.replace("cache@v4", "cache@v2")
REPORT = """\
NAME:6:15: error[deprecated-release]: `v2` cannot reach GitHub's cache any more
  6 |       - uses: actions/cache@v2
    |               ^^^^^^^^^^^^^^^^
    why: it uses version 1 of the cache service, which GitHub switched off in 2025
    fix: use `v4` or newer
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_good_workflows_end_with_0_and_no_output(runcache: Runcache) -> None:
    write(WORKFLOWS / "test.yml", GOOD)

    ended = runcache("lint")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "checked 1 cache step in 1 file: 0 findings\n"


def test_findings_are_printed_with_their_lines_and_end_with_1(runcache: Runcache) -> None:
    write(WORKFLOWS / "a.yml", BAD)
    write(WORKFLOWS / "b.yaml", BAD)

    ended = runcache("lint")

    assert ended.code == 1
    reports = [REPORT.replace("NAME", f"{WORKFLOWS}/{name}") for name in ("a.yml", "b.yaml")]
    assert ended.out == "\n".join(reports)
    assert ended.err == "checked 2 cache steps in 2 files: 2 findings\n"


def test_quiet_leaves_out_the_numbers_only(runcache: Runcache) -> None:
    write(WORKFLOWS / "test.yml", BAD)

    ended = runcache("lint", "-q")

    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith(".github/workflows/test.yml:6:15: error[deprecated-release]:")


def test_the_workflows_are_those_of_the_project_around(
    runcache: Runcache, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(WORKFLOWS / "test.yml", BAD)
    folder = Path("src/deep")
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)

    ended = runcache("lint")

    assert ended.out.startswith("../../.github/workflows/test.yml:6:15:")


def test_paths_are_files_and_folders_each_once(runcache: Runcache) -> None:
    action = "runs:\n  using: composite\n  steps:\n    - {uses: actions/cache@v1, with: {key: a}}\n"
    write(Path("action/action.yml"), action)
    write(Path("action/README.md"), "no: YAML: here")
    write(Path("other/x.txt"), BAD)

    ended = runcache("lint", "other/x.txt", "action", "action/action.yml")

    assert ended.err == "checked 2 cache steps in 2 files: 2 findings\n"
    found = [line.split(" ")[0] for line in ended.out.splitlines() if "error[" in line]
    assert found == ["other/x.txt:6:15:", "action/action.yml:4:14:"]


@pytest.mark.parametrize(
    "args", [("--json",), ("--format", "json"), ("--json", "--format", "text")]
)
def test_json_is_one_object(runcache: Runcache, args: tuple[str, ...]) -> None:
    write(WORKFLOWS / "test.yml", BAD)

    ended = runcache("lint", *args)

    assert ended.code == 1
    assert json.loads(ended.out) == {
        "files": 1,
        "cache_steps": 1,
        "findings": [
            {
                "rule": "deprecated-release",
                "severity": "error",
                "path": ".github/workflows/test.yml",
                "line": 6,
                "column": 15,
                "end_line": 6,
                "end_column": 31,
                "message": "`v2` cannot reach GitHub's cache any more",
                "why": "it uses version 1 of the cache service, which GitHub switched off in 2025",
                "fix": "use `v4` or newer",
            }
        ],
    }


def test_json_of_nothing_is_an_object_too(runcache: Runcache) -> None:
    write(WORKFLOWS / "test.yml", GOOD)

    ended = runcache("lint", "--json")

    assert (ended.code, json.loads(ended.out)["findings"]) == (0, [])


def test_github_gets_a_command_a_line(runcache: Runcache) -> None:
    write(WORKFLOWS / "a.yml", BAD)
    write(WORKFLOWS / "b.yml", BAD.replace("push", "issue_comment"))

    ended = runcache("lint", "--format", "github")

    assert [line.partition(" ")[0] for line in ended.out.splitlines()] == [
        "::error",
        "::error",
        "::warning",
    ]
    assert ended.out.startswith("::error file=.github/workflows/a.yml,line=6,col=15,endLine=6,")


def test_a_file_that_is_no_workflow_is_found_and_the_others_are_checked(
    runcache: Runcache,
) -> None:
    write(WORKFLOWS / "a.yml", "on: [push\n")
    write(WORKFLOWS / "b.yml", BAD)

    ended = runcache("lint")

    assert ended.code == 1
    assert ended.err == "checked 1 cache step in 2 files: 2 findings\n"
    assert ended.out.startswith(
        ".github/workflows/a.yml:2:1: error[broken-file]: did not find expected ',' or ']'\n"
    )
    assert "Traceback" not in ended.out


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "there is no `.github/workflows` in this folder or one around it"),
        (("empty",), "there is no file that ends in .yml or .yaml in `empty`"),
        (("missing.yml",), "there is no `missing.yml`"),
        (
            ("--format", "xml", "empty"),
            "invalid value for `--format`: `xml` is not one of `text`, `json`, `github`",
        ),
    ],
)
def test_wrong_usage_ends_with_2(runcache: Runcache, args: tuple[str, ...], error: str) -> None:
    Path("empty").mkdir()

    ended = runcache("lint", *args)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [f"error: {error}", "hint: `runcache lint --help` shows how"]
