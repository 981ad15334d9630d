"""What the words in braces of the table's keys stand for."""

from collections.abc import Callable, Mapping
from typing import Final

from runcache.presets import systems, toolchains
from runcache.presets.dependencies import Dependencies
from runcache.presets.surroundings import Surroundings


class Segments(dict[str, str]):
    """The segments of a key, as a mapping for `str.format_map`.

    Each is found when a key asks for it, and not before: not every preset needs a Python. Words in
    capitals are variables of the environment, empty where they are not set.
    """

    def __init__(self, around: Surroundings, dependencies: Dependencies) -> None:
        super().__init__(
            hash=dependencies.hash,
            lock=next(iter(dependencies.patterns), ""),
            os=around.machine.os,
            arch=around.machine.arch,
            project=str(around.project),
        )
        self._around = around

    def __missing__(self, word: str) -> str:
        if word.isupper():
            return self._around.machine.environment.get(word, "")
        value = self[word] = FINDERS[word](self._around)
        return value


FINDERS: Final[Mapping[str, Callable[[Surroundings], str]]] = {
    "linux": systems.linux,
    "system": systems.os_release,
    "ruby_system": systems.os_release_by_ruby,
    "cpu": systems.cpu,
    "platform": systems.platform,
    "image": systems.image,
    "python": toolchains.python,
    "uv_python": toolchains.python_by_uv,
    "environment": toolchains.environment,
    "go": toolchains.go,
    "ruby": toolchains.ruby,
    "ruby_abi": toolchains.ruby_interface,
}
