"""The real machine: what it says of itself, and how its programs are run."""

import os
import platform
import time
from datetime import timedelta
from pathlib import Path

import pytest

from runcache.errors import MachineUnknown, ToolFailed, ToolHung
from runcache.presets import Machine, read_machine


def machine_with(folder: Path, *, seconds: float = 60) -> Machine:
    """Return this machine with the programs in `folder` besides its own."""
    environ = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), "X": "1"}
    return read_machine(environ, time_limit=timedelta(seconds=seconds))


def program(folder: Path, script: str) -> tuple[str, ...]:
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return ("tool",)


def test_a_machine_says_what_it_is_in_the_words_of_the_runner() -> None:
    machine = read_machine({"HOME": "/home/someone"})

    assert machine.os == {"Linux": "Linux", "Darwin": "macOS"}[platform.system()]
    assert machine.arch in {"x64", "arm64", platform.machine()}
    assert machine.arch not in {"x86_64", "aarch64"}
    assert machine.kernel == os.uname().release
    assert machine.home == Path("/home/someone")
    assert machine.os == "macOS" or machine.release["ID"]


def test_the_home_is_that_of_the_user_where_no_variable_names_it() -> None:
    assert read_machine({}).home.is_absolute()


def test_a_system_without_presets_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")

    with pytest.raises(MachineUnknown, match="Linux and macOS, and this is `Windows`"):
        read_machine({})


def test_a_program_runs_in_the_folder_with_the_environment_of_the_machine(tmp_path: Path) -> None:
    machine = machine_with(tmp_path)
    elsewhere = tmp_path / "project"
    elsewhere.mkdir()

    printed = machine.run((*program(tmp_path, 'echo "$PWD $X $1"'), "argument"), elsewhere)

    assert printed == f"{elsewhere} 1 argument\n"


def test_what_a_program_says_on_stderr_is_no_answer(tmp_path: Path) -> None:
    command = program(tmp_path, "echo warning >&2; echo answer")

    assert machine_with(tmp_path).run(command, tmp_path) == "answer\n"


def test_a_program_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert machine_with(tmp_path).run(("no-such-tool", "--version"), tmp_path) is None
    assert read_machine({"PATH": ""}).run(("sh", "-c", "echo x"), tmp_path) is None


def test_a_wrapper_that_finds_no_program_is_none(tmp_path: Path) -> None:
    # As the shims of pyenv and rbenv end.
    command = program(tmp_path, "echo 'pyenv: python: command not found' >&2; exit 127")

    assert machine_with(tmp_path).run(command, tmp_path) is None


def test_a_link_that_leads_nowhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(tmp_path / "removed")

    assert machine_with(tmp_path).run((str(tmp_path / "python"),), tmp_path) is None


def test_a_failing_program_is_an_error_that_says_why(tmp_path: Path) -> None:
    command = program(tmp_path, "echo 'npm error code EJSONPARSE' >&2; echo more >&2; exit 3")

    with pytest.raises(ToolFailed) as failed:
        machine_with(tmp_path).run(command, tmp_path)

    assert str(failed.value) == "`tool` ended with status 3: npm error code EJSONPARSE"
    assert failed.value.complaint == "npm error code EJSONPARSE\nmore"
    assert failed.value.hint is not None


def test_what_yarn_complains_on_stdout_is_said_too(tmp_path: Path) -> None:
    command = program(tmp_path, "echo 'Usage Error: no project'; exit 1")

    with pytest.raises(ToolFailed, match="ended with status 1: Usage Error: no project"):
        machine_with(tmp_path).run(command, tmp_path)


def test_a_program_that_is_killed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"was ended by signal 9$"):
        machine_with(tmp_path).run(program(tmp_path, "kill -9 $$"), tmp_path)


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/no/such/interpreter\n")
    (tmp_path / "tool").chmod(0o755)

    with pytest.raises(ToolFailed, match="could not be started: No such file or directory"):
        machine_with(tmp_path).run(("tool",), tmp_path)


def test_a_hanging_program_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    # The child of the child would keep the output open.
    command = program(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; wait")
    begun = time.monotonic()

    with pytest.raises(ToolHung) as hung:
        machine_with(tmp_path, seconds=1).run(command, tmp_path)

    assert str(hung.value) == "`tool` did not end within 1 s"
    assert time.monotonic() - begun < 30
    assert is_gone(int((tmp_path / "child").read_text()))


def test_a_program_that_asks_gets_no_answer_and_goes_on(tmp_path: Path) -> None:
    command = program(tmp_path, "read answer || echo nobody")

    assert machine_with(tmp_path).run(command, tmp_path) == "nobody\n"


def test_a_path_that_is_no_utf8_is_passed_on(tmp_path: Path) -> None:
    printed = machine_with(tmp_path).run(program(tmp_path, r"printf '/caf\351\n'"), tmp_path)

    assert printed is not None
    assert os.fsencode(printed) == b"/caf\xe9\n"


def is_gone(process: int) -> bool:
    """Say whether a process has ended, waiting for it; nobody may have collected its status yet."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
            state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
    return False
