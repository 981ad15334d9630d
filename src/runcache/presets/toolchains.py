"""The versions of languages that keys name."""

import hashlib
import re
from typing import Final
from urllib.parse import quote

from runcache.errors import ToolFailed, ToolMissing
from runcache.presets.interpreter import (
    ENVIRONMENT,
    default_interpreter,
    environment_interpreter,
    path_by_uv,
)
from runcache.presets.surroundings import Surroundings, unreadable

_NOT_ENCODED: Final = "!'()*-._~"  # by JavaScript's `encodeURIComponent`, nor letters and digits
_RUBY: Final = """\
puts RUBY_ENGINE, RUBY_ENGINE_VERSION, RUBY_DESCRIPTION
puts RbConfig::CONFIG['ruby_version']
"""
_RUBY_HEAD: Final = "head"
_RUBY_STAGE: Final = re.compile(r"ruby [0-9.]+(dev|preview[0-9]+|rc[0-9]+)\b")


def python(around: Surroundings) -> str:
    """Return the version of the Python on the `PATH` as `setup-python` does.

    Raises:
        ToolMissing: there is none.
        ToolFailed: it cannot say its version.
    """
    return default_interpreter(around).as_setup_python_has_it


def python_by_uv(around: Surroundings) -> str:
    """Return the version of the Python that uv finds, `unknown` where `setup-uv` has that too.

    Raises:
        ToolHung: uv or that Python does not end.
    """
    try:
        path = path_by_uv(around)
        lines = around.lines(path, "--version") if path else None
    except ToolFailed:
        return "unknown"
    words = lines[0].split(" ") if lines else []
    return quote(words[1], safe=_NOT_ENCODED) if words[:1] == ["Python"] else "unknown"


def environment(around: Surroundings) -> str:
    """Return the Python of the project's `.venv`, and a digest of where both of them lie.

    An environment holds the two paths: in its links, and in the first lines of its scripts.

    Raises:
        InterpretersDiffer: the environment is there already, and of another Python.
        ToolMissing: there is no Python.
        ToolFailed: it cannot say what it is, or uv finds none.
    """
    interpreter = environment_interpreter(around)
    places = f"{around.project / ENVIRONMENT}\0{interpreter.prefix}"
    digest = hashlib.sha256(places.encode(errors="surrogateescape")).hexdigest()
    return f"{interpreter.name}-{digest[:8]}"


def go(around: Surroundings) -> str:
    """Return the version of Go.

    Raises:
        ToolMissing: there is no Go.
        ToolFailed: it cannot say its version.
    """
    lines = around.lines("go", "version")
    if lines is None:
        raise ToolMissing(("go",), "its version is part of the key")
    for line in lines:
        if found := re.match(r"go version (?:devel )?go(\S+)", line):
            return found[1]
    raise unreadable(("go", "version"), lines, "its version")


def ruby(around: Surroundings) -> str:
    """Return engine and version of Ruby as `setup-ruby` does: `ruby-3.3.6`, `jruby-10.0.2.0`.

    Whatever was built between releases is `head`.

    Raises:
        ToolMissing: there is no Ruby.
        ToolFailed: it cannot say its version.
    """
    engine, version, _ = _about_ruby(around)
    return f"{engine}-{version}"


def ruby_interface(around: Surroundings) -> str:
    """Return `-ABI-` and the version of the binary interface for a head of Ruby, else nothing.

    Raises:
        ToolMissing: there is no Ruby.
        ToolFailed: it cannot say its version.
    """
    engine, version, interface = _about_ruby(around)
    return f"-ABI-{interface}" if version == _RUBY_HEAD and engine != "jruby" else ""


def _about_ruby(around: Surroundings) -> tuple[str, str, str]:
    lines = around.lines("ruby", "-e", _RUBY)
    if lines is None:
        raise ToolMissing(("ruby",), "its version is part of the key")
    match lines:
        case [*_, engine, version, description, interface]:
            return engine, _ruby_version(version, description), interface
    raise unreadable(("ruby", "-e", _RUBY), lines, "what it is")


def _ruby_version(version: str, description: str) -> str:
    if "-dev" in version or version.endswith("SNAPSHOT"):
        return _RUBY_HEAD
    stage = _RUBY_STAGE.match(description)
    if stage is None:
        return version
    return _RUBY_HEAD if stage[1] == "dev" else f"{version}-{stage[1]}"
