import gc
import io
import subprocess
import sys

import pytest

from runcache import __version__
from tests.cli.conftest import Runcache

COMMANDS = [
    "restore",
    "save",
    "run",
    "serve",
    "token job",
    "token api",
    "token list",
    "token revoke",
    "env",
    "config show",
    "list",
    "show",
    "delete",
    "usage",
    "forget",
    "prune",
    "check",
    "lint",
    "hash-files",
    "version-of",
]


def test_starting_imports_nothing_that_a_command_may_not_need() -> None:
    script = "import sys, runcache.cli.main; print(*sorted({m.split('.')[0] for m in sys.modules}))"

    started = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    late = {"aiohttp", "alembic", "asyncio", "joserfc", "msgspec", "platformdirs", "sqlalchemy"}
    assert not late & set(started.stdout.split())


@pytest.mark.parametrize("arguments", [("--version",), ("save",), ("config", "show"), ("no-such",)])
def test_rubbish_is_collected_again_afterwards(runcache: Runcache, arguments: tuple[str]) -> None:
    runcache(*arguments)

    assert gc.isenabled()


def test_the_module_is_a_program() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "runcache.cli.main", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"runcache {__version__}\n", "")


def test_a_process_that_ends_at_once_tells_its_status_and_all_that_it_said() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "runcache.cli.main", "save", "--path", "deps"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: missing option `--key`\n")
    assert ended.stderr.endswith("shows how\n")


def test_help_lists_every_command(runcache: Runcache) -> None:
    ended = runcache("--help")

    assert ended.code == 0
    assert ended.err == ""
    for name in {command.split()[0] for command in COMMANDS}:
        assert f"\n  {name} " in ended.out


def test_no_command_at_all_is_wrong_usage_with_the_list(runcache: Runcache) -> None:
    for args in ((), ("token",), ("config",)):
        ended = runcache(*args)

        assert (ended.code, ended.out) == (2, "")
        assert "Commands:" in ended.err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_of_each_command_ends_with_an_example(runcache: Runcache, command: str) -> None:
    ended = runcache(*command.split(), "--help")

    *_, before, example = ended.out.rstrip().splitlines()
    assert ended.code == 0
    assert before == "  Example:"
    assert f"runcache {command}".strip() in example


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_prints_json_says_less_and_says_more(runcache: Runcache, command: str) -> None:
    text = runcache(*command.split(), "--help").out

    assert all(option in text for option in ("--json", "-q, --quiet", "-v, --verbose"))


JOB = "token job --repo o/r --ref refs/heads/main"


@pytest.mark.parametrize(
    ("args", "error", "hint"),
    [
        ("sevre", "no such command `sevre`", "`runcache --help` shows how"),
        ("check --bad", "no such option `--bad`", "`runcache check --help` shows how"),
        (
            "token job --ref refs/heads/main",
            "missing option `--repo`",
            "`runcache token job --help` shows how",
        ),
        (
            f"{JOB} --ttl 6",
            "invalid value for `--ttl`: `6` is not a duration such as `30s`, `5m`, `1h` or `7d`",
            "`runcache token job --help` shows how",
        ),
        (
            f"{JOB} --ttl 0s",
            "invalid value for `--ttl`: `0s` is no time at all",
            "`runcache token job --help` shows how",
        ),
        (
            "serve --port x",
            "`port` (--port): `x` is not a port from 0 (any that is free) to 65535",
            None,
        ),
    ],
)
def test_wrong_usage_ends_with_2_what_is_wrong_and_a_way_out(
    runcache: Runcache, args: str, error: str, hint: str | None
) -> None:
    ended = runcache(*args.split())

    expected = [f"error: {error}", *([f"hint: {hint}"] if hint else [])]
    assert (ended.code, ended.out, ended.err.splitlines()) == (2, "", expected)


class Breaks(io.StringIO):
    """A stream that raises on the first write."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def write(self, _: str) -> int:
        raise self._error


def test_a_mistake_of_ours_is_owned_up_to_and_shown_on_request(
    runcache: Runcache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Breaks(RuntimeError("no way")))

    short = runcache("config", "show")
    long = runcache("config", "show", "-v")

    assert short.code == long.code == 1
    assert short.err.splitlines() == [
        "error: this is a mistake in runcache: RuntimeError: no way",
        "hint: please report it with the output of `-v`",
    ]
    assert long.err.startswith("Traceback (most recent call last):")
    assert long.err.splitlines()[-1] == "hint: please report it"


def test_an_interrupted_command_ends_with_130(
    runcache: Runcache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Breaks(KeyboardInterrupt()))

    ended = runcache("config", "show")

    assert ended.code == 130
    assert "Traceback" not in ended.err
