import io
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import pytest

from runcache.cli.console import Console
from runcache.cli.progress import Bars, Lines, Meter, Stage, shown, watched
from tests.cli.terminal import Terminal

MB = 1_000_000
COMPARED = Stage(name="compare", total_files=2000, files=2000)
RESTORING = Stage(
    name="restore",
    total_files=26_840,
    total_bytes=600 * MB,
    files=6_100,
    size_bytes=200 * MB,
    seconds=2,
)


@pytest.fixture(autouse=True)
def _the_terminal_can_draw_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def stderr(stream: TextIO) -> Iterator[None]:
    """Let this stream be what `sys.stderr` is."""
    former, sys.stderr = sys.stderr, stream
    try:
        yield
    finally:
        sys.stderr = former


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (
            RESTORING,
            "restoring: 6 100 of 26 840 files, 200 MB of 600 MB, 100 MB/s, 4 s left",
        ),
        (COMPARED, "comparing: 2 000 of 2 000 files"),
        (Stage(name="compare", files=1, seconds=1), "comparing: 1 file"),
        (
            Stage(name="save", files=10, size_bytes=3 * MB, seconds=2),
            "saving: 10 files, 3.00 MB, 1.50 MB/s",
        ),
        (
            Stage(name="save", total_files=3, total_bytes=MB),
            "saving: 0 of 3 files, 0 B of 1.00 MB",
        ),
    ],
)
def test_a_line_says_how_far_it_is_how_fast_and_how_long_still(stage: Stage, line: str) -> None:
    assert stage.line() == line


def test_a_meter_adds_up_each_phase_and_times_it() -> None:
    seconds = 10.0
    meter = Meter(clock=lambda: seconds)

    meter.advance(files=1)
    assert meter.stages() == ()

    meter.phase("compare", total_files=2)
    meter.advance(files=2)
    seconds = 11.0
    meter.phase("restore", total_files=2, total_bytes=30)
    meter.advance(files=1, size_bytes=10)
    meter.advance(size_bytes=5)
    seconds = 13.0

    assert meter.stages() == (
        Stage(name="compare", total_files=2, files=2, seconds=1.0),
        Stage(name="restore", total_files=2, total_bytes=30, files=1, size_bytes=15, seconds=2.0),
    )


def test_totals_may_be_told_when_they_are_known() -> None:
    meter = Meter(clock=lambda: 0.0)

    meter.phase("save")
    meter.advance(files=1, size_bytes=10)
    meter.phase("save", total_files=2, total_bytes=30)
    meter.advance(files=1, size_bytes=20)

    assert meter.stages() == (
        Stage(name="save", total_files=2, total_bytes=30, files=2, size_bytes=30),
    )


def test_the_largest_phase_tells_how_large_the_files_are() -> None:
    meter = Meter()
    assert meter.content_bytes == 0

    meter.phase("compare", total_bytes=100)
    meter.phase("restore")
    meter.advance(size_bytes=30)

    assert meter.content_bytes == 100


def test_a_meter_loses_nothing_that_several_threads_tell_it() -> None:
    meter = Meter()
    meter.phase("save")

    def tell() -> None:
        for _ in range(2000):
            meter.advance(files=1, size_bytes=2)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (stage,) = meter.stages()
    assert (stage.files, stage.size_bytes) == (8000, 16000)


def test_in_a_log_it_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()

    lines.show(())
    lines.show((COMPARED, RESTORING))
    lines.close()

    assert capsys.readouterr() == ("", f"{RESTORING.line()}\n")


def test_on_a_terminal_every_phase_has_a_bar_and_none_is_left() -> None:
    terminal = Terminal()
    with stderr(terminal.stream):
        bars = Bars(terminal.stream)
        bars.show((COMPARED,))
        bars.show((COMPARED, RESTORING))
        bars.close()

    shown_text = terminal.shown()
    assert "2 000 of 2 000 files" in shown_text
    assert "6 100 of 26 840 files" in shown_text
    assert "200.0/600.0 MB" in shown_text
    assert "━" in shown_text
    # The cursor is there again, at the beginning of a line that was cleared.
    assert shown_text.endswith("\x1b[2K")


def test_a_phase_that_had_nothing_to_do_has_no_bar_once_it_is_over() -> None:
    terminal = Terminal()
    with stderr(terminal.stream):
        bars = Bars(terminal.stream)
        bars.show((Stage(name="compare", total_files=3), RESTORING))
        bars.close()

    shown_text = terminal.shown()
    assert "restoring" in shown_text
    assert "of 3 files" not in shown_text


@pytest.mark.parametrize("is_plain", [True, False])
def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch, *, is_plain: bool) -> None:
    monkeypatch.setenv("NO_COLOR", "1" if is_plain else "")
    terminal = Terminal()

    with stderr(terminal.stream):
        bars = Bars(terminal.stream)
        bars.show((RESTORING,))
        bars.close()

    colours = re.findall(r"\x1b\[3[0-9;]*m", terminal.shown())
    assert bool(colours) is not is_plain


def test_what_is_said_meanwhile_stands_above_the_bars() -> None:
    terminal = Terminal()
    with stderr(terminal.stream):
        bars = Bars(terminal.stream)
        bars.show((RESTORING,))
        Console().warn("a socket was left out")
        bars.close()

    assert "warning: a socket was left out\r\n" in terminal.shown()


class Noted:
    """A display that remembers what it was to show, and says when that was enough."""

    def __init__(self, enough: int) -> None:
        self.lines: list[str] = []
        self.is_enough = threading.Event()
        self.is_closed = False
        self._enough = enough

    def show(self, stages: Sequence[Stage]) -> None:
        self.lines.append(stages[-1].name if stages else "")
        if len(self.lines) >= self._enough:
            self.is_enough.set()

    def close(self) -> None:
        self.is_closed = True


def test_a_thread_shows_the_meter_again_and_again() -> None:
    noted = Noted(enough=3)

    with watched(lambda: noted, 0, 0.001) as meter:
        meter.phase("save")
        meter.advance(files=1)
        assert noted.is_enough.wait(20)
        assert not noted.is_closed

    assert noted.lines[-1] == "save"
    assert noted.is_closed


def test_work_that_is_over_at_once_makes_no_display() -> None:
    made = []

    with watched(lambda: made.append(1) or Lines(), 3600, 3600) as meter:  # type: ignore[func-returns-value]
        meter.phase("save")

    assert made == []


def test_no_thread_runs_before_there_is_something_to_show() -> None:
    def is_running() -> bool:
        return any(thread.name == "progress" for thread in threading.enumerate())

    with watched(Lines, 10, 10) as meter:
        meter.phase("save")
        before = is_running()
        meter.advance(files=1)
        meanwhile = is_running()

    assert (before, meanwhile, is_running()) == (False, True, False)


def test_who_wants_it_quiet_sees_nothing_and_no_thread_runs_for_it() -> None:
    before = threading.active_count()

    with shown(Console(is_quiet=True)) as meter:
        meter.phase("restore")

        assert threading.active_count() == before


@pytest.mark.parametrize("stream", ["pipe", "terminal"])
def test_short_work_shows_nothing_anywhere(stream: str) -> None:
    terminal = Terminal() if stream == "terminal" else None
    text = io.StringIO()

    with stderr(terminal.stream if terminal else text), shown(Console()) as progress:
        progress.phase("restore")
        progress.advance(files=1)

    assert (terminal.shown() if terminal else text.getvalue()) == ""
