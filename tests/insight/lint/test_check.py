from pathlib import Path

import pytest

from runcache.insight.lint.check import MAX_MESSAGE, check, root_of
from runcache.insight.lint.source import Position
from tests.insight.lint.workflows import findings, job


@pytest.mark.parametrize(
    ("file", "root"),
    [
        (".github/workflows/a.yml", "."),
        (".github/actions/setup/action.yml", "."),
        ("ci/a.yml", None),
        ("action.yml", None),
    ],
)
def test_the_repository_is_the_folder_around_that_of_github(
    tmp_path: Path, file: str, root: str | None
) -> None:
    found = root_of(tmp_path / file)

    assert found == (None if root is None else (tmp_path / root).resolve())


def test_files_that_cannot_be_read_are_findings_and_the_others_are_checked(
    tmp_path: Path,
) -> None:
    missing, bytes_, good = (tmp_path / name for name in ("missing.yml", "bytes.yml", "good.yml"))
    bytes_.write_bytes(b"on: push\n\xff")
    good.write_text(job("- {uses: actions/cache@v1, with: {path: a, key: b-1}}\n"))

    report = check([missing, bytes_, tmp_path, good])

    assert (report.file_count, report.step_count) == (4, 1)
    assert [(one.rule, Path(one.path).name, one.message) for one in report.findings] == [
        ("broken-file", "missing.yml", "it cannot be opened: no such file or directory"),
        ("broken-file", "bytes.yml", "it is not UTF-8: byte 10 is wrong"),
        ("broken-file", tmp_path.name, "it cannot be opened: is a directory"),
        ("deprecated-release", "good.yml", "`v1` cannot reach GitHub's cache any more"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_bytes(b"\xef\xbb\xbfa: [\n")

    (finding,) = check([file]).findings

    assert finding.start == Position(2, 1)


def test_a_step_that_several_jobs_share_is_found_fault_with_once(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        "x: &s {uses: actions/cache@v1, with: {path: a, key: b-1}}\n"
        "jobs: {one: {steps: [*s, *s]}, two: {steps: [*s]}}\n",
    )

    assert [(one.rule, one.start) for one in found] == [("deprecated-release", Position(1, 14))]


def test_findings_are_in_the_order_of_their_lines(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        job(
            """
            - uses: actions/cache@v1
              with:
                key: a,b
                save-always: true
                path: ~/.netrc
            """
        ),
    )

    assert [one.rule for one in found] == [
        "deprecated-release",
        "key-with-comma",
        "deprecated-input",
        "sensitive-path",
    ]


def test_steps_of_several_files_of_a_repository_are_looked_at_together(tmp_path: Path) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    key = "key: 'x-${{ github.sha }}'"
    step = "- {{uses: actions/cache/{}@v4, with: {{path: {}, {}}}}}\n"
    (folder / "save.yml").write_text(job(step.format("save", "a", key)))
    (folder / "restore.yml").write_text(job(step.format("restore", "b", key)))
    files = sorted(folder.iterdir())

    alone, together = check(files[:1]), check(files)

    assert alone.findings == ()
    (finding,) = together.findings
    assert finding.rule == "path-mismatch"
    assert finding.message == f"`{folder / 'save.yml'}`, line 6, saves this key with other paths"


def test_a_message_is_cut_before_it_fills_the_screen(tmp_path: Path) -> None:
    path = "~/" + "x" * 1000 + "/.netrc"

    (finding,) = findings(
        tmp_path, job(f"- {{uses: actions/cache@v4, with: {{path: {path}, key: b-1}}}}\n")
    )

    assert len(finding.message) == MAX_MESSAGE + 1


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("path: ~/.netrc", 8, 17),
        ("path: '~/.netrc'", 8, 18),
        ('path: "\\u007e/.netrc"', 8, 18),
        ("path: |\n  a\n    ~/.netrc\n", 10, 15),
        ("path: >-\n  ~/.netrc\n", 9, 13),
        ("path:\n  ~/.netrc", 9, 13),
        ('path: "a\\n\\\n    ~/.netrc"', 9, 15),
        ("path: &p ~/.netrc", 8, 20),
    ],
)
def test_a_finding_is_where_it_was_written_in_each_style(
    tmp_path: Path, written: str, line: int, column: int
) -> None:
    inputs = "\n".join(f"    {text}" for text in written.split("\n"))

    (finding,) = findings(
        tmp_path, job(f"- uses: actions/cache@v4\n  with:\n{inputs}\n    key: b-1\n")
    )

    assert (finding.rule, finding.start) == ("sensitive-path", Position(line, column))
    below = finding.excerpt.split("\n")[1]
    assert below == " " * (column - 1) + "^" * (finding.end.column - column)
    shown = finding.excerpt[column - 1 :][: finding.end.column - column]
    assert shown.replace("\\u007e", "~") == "~/.netrc"
