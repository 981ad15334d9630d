import json
from pathlib import Path

import pytest

from tests.cli.conftest import Runcache


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "runner.json").write_text('{"os": "Linux", "cores": 4}')
    (tmp_path / "matrix.json").write_text(
        '{"list": [1, 2.5, null, {"a": "\\u00e9"}], "half": "\\ud800x"}'
    )


CONTEXTS = ("--context", "runner=runner.json", "--context", "matrix=matrix.json")


@pytest.mark.parametrize(
    ("expression", "out"),
    [
        ("runner.os", "Linux\n"),
        ("runner.cores", "4\n"),
        ("format('{0}-{1}', runner.OS, runner.cores)", "Linux-4\n"),
        ("runner.missing", "null\n"),
        ("", "null\n"),
        ("runner.cores > 3", "true\n"),
        ("1e21", "1E+21\n"),
        ("NaN", "NaN\n"),
        ("matrix.list", '[\n  1,\n  2.5,\n  null,\n  {\n    "a": "é"\n  }\n]\n'),
        ("matrix.*[0]", "[\n  1\n]\n"),
        ("matrix.half", "\ufffdx\n"),
        ("'a\nb'", "a\nb\n"),
    ],
)
def test_a_value_is_printed(runcache: Runcache, expression: str, out: str) -> None:
    ended = runcache("eval", expression, *CONTEXTS)

    assert (ended.code, ended.out, ended.err) == (0, out, "")


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("runner.os", "String", "Linux"),
        ("runner.cores", "Number", 4),
        ("0.5", "Number", 0.5),
        ("1e300", "Number", 1e300),
        ("NaN", "Number", "NaN"),
        ("null", "Null", None),
        ("!null", "Boolean", True),
        ("runner", "Object", {"os": "Linux", "cores": 4}),
        ("fromJSON('[-Infinity, 2]')", "Array", ["-Infinity", 2]),
        ("matrix.half", "String", "\ufffdx"),
        ("matrix.list", "Array", [1, 2.5, None, {"a": "é"}]),
    ],
)
def test_a_value_is_printed_as_json(
    runcache: Runcache, expression: str, kind: str, value: object
) -> None:
    ended = runcache("eval", "--json", expression, *CONTEXTS)

    assert ended.code == 0
    assert json.loads(ended.out) == {"kind": kind, "value": value}


def test_whole_numbers_have_no_fraction_in_json(runcache: Runcache) -> None:
    assert '"value": 4\n' in runcache("eval", "--json", "runner.cores", *CONTEXTS).out


def test_files_are_hashed_below_the_current_folder(runcache: Runcache) -> None:
    digest = runcache("eval", "hashFiles('runner.json')").out

    assert len(digest) == 65
    assert runcache("eval", "hashFiles('*.txt')").out == ""


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("runner.os @", ["error: unexpected symbol `@`", "  runner.os @", "            ^"]),
        (
            "github.ref",
            [
                "error: unknown context `github`",
                "  github.ref",
                "  ^",
                "hint: known contexts: `runner`, `matrix`",
            ],
        ),
        (
            "runner.os &&\nformat('{1}', 1)",
            [
                "error: the format `{1}` names an argument that is not there",
                "  format('{1}', 1)",
                "  ^",
            ],
        ),
    ],
)
def test_an_error_has_a_caret_and_ends_with_2(
    runcache: Runcache, expression: str, lines: list[str]
) -> None:
    ended = runcache("eval", expression, *CONTEXTS)

    assert (ended.code, ended.out, ended.err.splitlines()) == (2, "", lines)


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ("runner", "`runner` is not of the form NAME=FILE"),
        ("=runner.json", "`=runner.json` is not of the form NAME=FILE"),
        ("runner=none.json", "`none.json` cannot be read: No such file or directory"),
        ("runner=broken.json", "`broken.json` is not JSON"),
        ("runner=deep.json", "`deep.json` is not JSON"),
    ],
)
def test_a_context_comes_from_a_file_with_json(
    runcache: Runcache, context: str, reason: str
) -> None:
    Path("broken.json").write_text("{")
    Path("deep.json").write_text("[" * 100_000)

    ended = runcache("eval", "1", "--context", context)

    assert ended.code == 2
    assert reason in ended.err


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_value_that_cannot_be_printed_is_refused(
    runcache: Runcache, options: tuple[str, ...]
) -> None:
    Path("deep.json").write_text("[" * 900 + "]" * 900)

    ended = runcache("eval", "deep", "--context", "deep=deep.json", *options)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: the value is too large, or nested too deep, to be printed")
