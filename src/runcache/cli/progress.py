"""How far a save or restore is: bars on a terminal, elsewhere a line every ten seconds.

A thread looks at a meter from time to time, so that work which is over at once shows nothing and
costs nothing. Colours are left to rich, which respects `NO_COLOR`.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TextIO

import click
import msgspec

from runcache.cli.console import Console, counted, grouped
from runcache.quantities import print_about

if TYPE_CHECKING:
    from rich.progress import TaskID

LINES_EVERY_SECONDS: Final = 10.0
# What is over sooner needs no bar, nor the tenth of a second that importing rich takes.
BARS_AFTER_SECONDS: Final = 0.5
BARS_EVERY_SECONDS: Final = 0.1
DOING: Final = {
    "save": "saving",
    "compare": "comparing",
    "restore": "restoring",
}


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of the work, and what of it was done within `seconds`."""

    name: str
    total_files: int | None = None
    total_bytes: int | None = None
    files: int = 0
    size_bytes: int = 0
    seconds: float = 0.0

    @property
    def doing(self) -> str:
        """What a person calls it."""
        return DOING.get(self.name, self.name)

    @property
    def files_text(self) -> str:
        """How many files are done, of how many."""
        if self.total_files is None:
            return counted(self.files, "file")
        return f"{grouped(self.files)} of {counted(self.total_files, 'file')}"

    def line(self) -> str:
        """Return how far it is, with rate and time left where they are known."""
        parts = [self.files_text]
        if self.size_bytes or self.total_bytes:
            done = print_about(self.size_bytes)
            whole = "" if self.total_bytes is None else f" of {print_about(self.total_bytes)}"
            parts.append(f"{done}{whole}")
        rate = self.size_bytes / self.seconds if self.seconds else 0.0
        if rate:
            parts.append(f"{print_about(round(rate))}/s")
            if self.total_bytes is not None:
                left_bytes = max(self.total_bytes - self.size_bytes, 0)
                parts.append(f"{left_bytes / rate:.0f} s left")
        return f"{self.doing}: {', '.join(parts)}"


class Meter:
    """Adds up what it is told (`runcache.progress` has the contract), for whoever looks.

    `begin` is called once, when something was done for the first time.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        begin: Callable[[], None] | None = None,
    ) -> None:
        self._clock = clock
        self._begin = begin
        self._lock = threading.Lock()
        self._ended: list[Stage] = []
        self._stage: Stage | None = None
        self._since = 0.0
        self._files = 0
        self._size_bytes = 0

    def phase(
        self, name: str, *, total_files: int | None = None, total_bytes: int | None = None
    ) -> None:
        """See `Progress.phase`."""
        stage = Stage(name=name, total_files=total_files, total_bytes=total_bytes)
        with self._lock:
            if self._stage is None or self._stage.name != name:
                if self._stage is not None:
                    self._ended.append(self._now(self._stage))
                self._since = self._clock()
                self._files = self._size_bytes = 0
            self._stage = stage

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """See `Progress.advance`."""
        with self._lock:
            self._files += files
            self._size_bytes += size_bytes
            begin, self._begin = self._begin, None
        if begin is not None:
            begin()

    def stages(self) -> Sequence[Stage]:
        """Return all phases up to now, the running one last."""
        with self._lock:
            running = () if self._stage is None else (self._now(self._stage),)
            return (*self._ended, *running)

    @property
    def content_bytes(self) -> int:
        """How large the files of the largest phase are, as far as that is known."""
        sizes = [max(stage.size_bytes, stage.total_bytes or 0) for stage in self.stages()]
        return max(sizes, default=0)

    def _now(self, stage: Stage) -> Stage:
        seconds = self._clock() - self._since
        return msgspec.structs.replace(
            stage, files=self._files, size_bytes=self._size_bytes, seconds=seconds
        )


class Display(Protocol):
    """Shows stages, as often as it is asked to, in one thread."""

    def show(self, stages: Sequence[Stage]) -> None:
        """Show how far the work is."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Lines:
    """Writes a line each time: for logs."""

    def show(self, stages: Sequence[Stage]) -> None:
        """Write how far the running stage is."""
        if stages:
            click.echo(stages[-1].line(), err=True)

    def close(self) -> None:
        """Do nothing: what was written stays."""


class Bars:
    """Draws a bar for each stage, and removes them at the end."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console as Terminal  # noqa: PLC0415  -- late: it is slow
        from rich.progress import (  # noqa: PLC0415  -- as above
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as Drawing  # noqa: PLC0415  -- as above

        self._tasks: list[TaskID] = []
        self._drawing = Drawing(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[files]}"),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Terminal(file=stream),
            auto_refresh=False,
            transient=True,
            # What is said meanwhile appears above the bars; data on stdout is none of theirs.
            redirect_stdout=False,
            redirect_stderr=True,
        )
        self._drawing.start()

    def show(self, stages: Sequence[Stage]) -> None:
        """Draw all bars anew."""
        for stage in stages[len(self._tasks) :]:
            task = self._drawing.add_task(stage.doing, total=stage.total_bytes, files="")
            self._tasks.append(task)
        for task, stage in zip(self._tasks, stages, strict=True):
            self._drawing.update(
                task,
                total=stage.total_bytes,
                completed=stage.size_bytes,
                files=stage.files_text,
                # There may have been nothing to do.
                visible=stage.files > 0 or stage is stages[-1],
            )
        self._drawing.refresh()

    def close(self) -> None:
        """Remove the bars."""
        self._drawing.stop()


@contextmanager
def shown(console: Console) -> Iterator[Meter]:
    """Yield what to tell of a piece of work, and show it on stderr while the block runs."""
    if console.is_quiet:
        yield Meter()
    elif sys.stderr.isatty():
        bars = watched(lambda: Bars(sys.stderr), BARS_AFTER_SECONDS, BARS_EVERY_SECONDS)
        with bars as meter:
            yield meter
    else:
        with watched(Lines, LINES_EVERY_SECONDS, LINES_EVERY_SECONDS) as meter:
            yield meter


@contextmanager
def watched(
    display: Callable[[], Display], after_seconds: float, every_seconds: float
) -> Iterator[Meter]:
    """Yield a meter that a thread shows, on a display that it makes when it is first needed."""
    is_over = threading.Event()

    def watch() -> None:
        if is_over.wait(after_seconds):
            return
        shows = display()
        try:
            shows.show(meter.stages())
            while not is_over.wait(every_seconds):
                shows.show(meter.stages())
        finally:
            shows.close()

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    # Not before: saves and restores fork as long as there is no other thread.
    meter = Meter(begin=thread.start)
    try:
        yield meter
    finally:
        is_over.set()
        if thread.ident is not None:
            thread.join()
