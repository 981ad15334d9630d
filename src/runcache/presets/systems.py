"""How the actions name the system in their keys; each has its own way."""

import re
from typing import Final

from runcache.errors import MachineUnknown, ToolFailed
from runcache.presets.surroundings import Surroundings

# What setup-go and setup-ruby write where JavaScript has no value.
_UNDEFINED: Final = "undefined"
_CPUS: Final = {"x64": "x86_64", "arm64": "aarch64", "ia32": "i686", "ppc64": "powerpc64le"}


def linux(around: Surroundings) -> str:
    """Return version and name of the distribution as `setup-python` does; on macOS nothing.

    They are those of `lsb_release`, else of `/etc/os-release`, and of Red Hat's the major version
    only: `-24.04-Ubuntu`, `-9-rhel` (management §4.1).

    Raises:
        MachineUnknown: neither knows.
        ToolHung: `lsb_release` does not end.
    """
    if around.machine.os != "Linux":
        return ""
    name, version = _by_lsb_release(around) or (_distribution(around), _version(around))
    if name == "rhel" or name.startswith("RedHatEnterprise"):
        name, version = "rhel", version.partition(".")[0]
    return f"-{version}-{name}"


def os_release(around: Surroundings) -> str:
    """Return name and version of the system as `setup-uv` does: `ubuntu-24.04`, `macos-15`.

    Raises:
        MachineUnknown: they cannot be found.
    """
    if around.machine.os == "macOS":
        return _macos(around)
    return f"{_distribution(around)}-{_version(around)}"


def os_release_by_ruby(around: Surroundings) -> str:
    """Return the same as `setup-ruby` does, which a distribution without versions does not mind.

    Raises:
        MachineUnknown: not even the name can be found.
    """
    if around.machine.os == "macOS":
        return _macos(around)
    return f"{_distribution(around)}-{around.machine.release.get('VERSION_ID', _UNDEFINED)}"


def cpu(around: Surroundings) -> str:
    """Return the architecture in the words of `setup-uv`, which are those of Rust."""
    return _CPUS.get(around.machine.arch, around.machine.arch)


def platform(around: Surroundings) -> str:
    """Return the rest of Rust's name of the platform, with the C library on Linux.

    Raises:
        ToolHung: `ldd` does not end.
    """
    if around.machine.os == "macOS":
        return "apple-darwin"
    try:
        told = "\n".join(around.lines("ldd", "--version") or ())
    except ToolFailed as failed:
        # That of musl does not know `--version`, but complains under its name.
        told = failed.complaint
    return "unknown-linux-musl" if "musl" in told else "unknown-linux-gnu"


def image(around: Surroundings) -> str:
    """Return the name of GitHub's image as `setup-go` does, `undefined-` on any other Linux."""
    name = around.machine.environment.get("ImageOS", _UNDEFINED)
    return f"{name}-" if around.machine.os == "Linux" else ""


def _by_lsb_release(around: Surroundings) -> tuple[str, str] | None:
    try:
        lines = around.lines("lsb_release", "-i", "-r", "-s")
    except ToolFailed:
        return None
    match lines:
        case [*_, name, version]:
            return name, version
    return None


def _distribution(around: Surroundings) -> str:
    if name := around.machine.release.get("ID"):
        return name
    raise MachineUnknown("`/etc/os-release` does not say which Linux this is")


def _version(around: Surroundings) -> str:
    # Rolling releases have no version.
    for field in ("VERSION_ID", "VERSION_CODENAME", "BUILD_ID"):
        if version := around.machine.release.get(field):
            return version
    raise MachineUnknown("`/etc/os-release` does not say which release of Linux this is")


def _macos(around: Surroundings) -> str:
    kernel = around.machine.kernel
    if found := re.match(r"[0-9]+", kernel):
        # Darwin 24 is macOS 15; Darwin 25 is macOS 26, but the actions go on counting.
        return f"macos-{int(found[0]) - 9}"
    raise MachineUnknown(f"`{kernel}` is no release of Darwin, which tells that of macOS")
