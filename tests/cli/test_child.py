import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runcache.cli import child

# Runs the command that follows, and prints what became of it.
CALLER = """\
import sys
from runcache.cli import child
print(child.run(sys.argv[1:]), flush=True)
"""
# Prints each signal that it gets, until one ends it well.
COMMAND = """\
import signal, sys
told = lambda number, frame: print(signal.Signals(number).name, flush=True)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, told)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
while True:
    signal.pause()
"""
# Whatever those ignore who run the tests.
NOTHING_IGNORED = """\
import signal
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
    signal.signal(number, signal.SIG_DFL)
"""


def caller() -> list[str]:
    return [sys.executable, "-c", NOTHING_IGNORED + CALLER, sys.executable, "-c", COMMAND]


@pytest.mark.parametrize("status", [0, 1, 42])
def test_the_status_is_that_of_the_command(status: int) -> None:
    ended = child.run([sys.executable, "-c", f"raise SystemExit({status})"])

    assert ended == child.Ended(status)
    assert ended.is_success == (status == 0)


def test_a_command_that_a_signal_ended_has_the_status_that_a_shell_gives() -> None:
    ended = child.run(["sh", "-c", "kill -KILL $$"])

    assert ended == child.Ended(128 + signal.SIGKILL)


def test_a_command_that_cannot_run_has_the_status_that_a_shell_gives(tmp_path: Path) -> None:
    missing = child.run(["no-such-program", "x"])
    no_program = child.run([str(tmp_path)])

    assert missing == child.Ended(127, complaint="there is no program `no-such-program`")
    assert no_program == child.Ended(126, complaint=f"cannot run `{tmp_path}`: Permission denied")


def test_its_output_can_go_elsewhere(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        child.run(["sh", "-c", "echo told"], stdout=file.fileno())

    assert (tmp_path / "out").read_text() == "told\n"


def test_signals_go_on_to_the_command_and_are_remembered() -> None:
    with subprocess.Popen(
        caller(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGHUP):
            process.send_signal(number)
            assert process.stdout.readline() == f"{number.name}\n"
        process.send_signal(signal.SIGTERM)
        ended = process.stdout.readline()

    assert "status=0, was_asked_to_stop=True" in ended


def test_what_the_caller_ignores_the_command_ignores_too() -> None:
    prepared = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{CALLER}"
    shows = "import signal; print(signal.getsignal(signal.SIGHUP).name)"

    ran = subprocess.run(
        [sys.executable, "-c", prepared, sys.executable, "-c", shows],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.startswith("SIG_IGN\n")


def test_a_terminal_tells_the_command_once_that_ctrl_c_was_typed() -> None:
    process_id, terminal = pty.fork()
    if process_id == 0:
        os.execv(sys.executable, caller())  # noqa: S606  -- our own program
    with os.fdopen(terminal, "r+b", buffering=0) as typed:
        assert b"ready" in typed.readline()
        typed.write(b"\x03")
        told = typed.readline()
        os.kill(process_id, signal.SIGUSR1)
        next_told = typed.readline()
        os.kill(process_id, signal.SIGTERM)
        ended = typed.readline()
        os.waitpid(process_id, 0)

    assert b"SIGINT" in told
    assert b"SIGUSR1" in next_told
    assert b"status=0, was_asked_to_stop=True" in ended
