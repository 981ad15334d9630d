"""A project on a machine, and how its tools are asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runcache.errors import ToolFailed
from runcache.presets.machine import Machine

_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The folder of a project, absolute and without links, and the machine that it lies on."""

    project: Path
    machine: Machine

    def lines(self, *command: str, folder: Path | None = None) -> list[str] | None:
        """Return the lines that a tool answers, run in the project or in `folder`.

        They have no colours and no blanks around them; empty ones are left out. It is None if
        there is no such tool.

        Raises:
            ToolFailed: it ended with an error.
            ToolHung: it did not end in time.
        """
        output = self.machine.run(command, folder or self.project)
        if output is None:
            return None
        stripped = (line.strip() for line in _ESCAPE.sub("", output).splitlines())
        return [line for line in stripped if line]

    def ask_folder(self, *command: str, default: str, folder: Path | None = None) -> str:
        """Return the folder that a tool answers with, or `default` if there is no such tool.

        The last line that is an absolute path counts: warnings stand before it.

        Raises:
            ToolFailed: it ended with an error, or its answer names no folder.
            ToolHung: it did not end in time.
        """
        lines = self.lines(*command, folder=folder)
        if lines is None:
            return default
        for line in reversed(lines):
            path = f"{self.machine.home}{line[1:]}" if line.startswith("~/") else line
            if path.startswith("/"):
                return path
        raise unreadable(command, lines, "a folder")

    def user_folder(self, variable: str, *, linux: str, macos: str) -> str:
        """Return a folder of the user: on Linux what an XDG variable says, or else its default.

        Both defaults are relative to the home directory.
        """
        if self.machine.os == "macOS":
            return f"{self.machine.home}/{macos}"
        return self.machine.environment.get(variable) or f"{self.machine.home}/{linux}"


def unreadable(command: Sequence[str], lines: Sequence[str], wanted: str) -> ToolFailed:
    """Return the error for a tool whose answer is not what was wanted."""
    answer = f"`{lines[-1]}`" if lines else "nothing"
    return ToolFailed(command, f"answered {answer} instead of {wanted}")
