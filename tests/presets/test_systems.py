"""How the system is named in keys."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from runcache.errors import MachineUnknown, ToolFailed, ToolHung
from runcache.presets import systems
from runcache.presets.surroundings import Surroundings
from tests.presets.machines import UBUNTU, Answer, machine, macos

ARCH = {"ID": "arch", "BUILD_ID": "rolling"}
DEBIAN_UNSTABLE = {"ID": "debian", "VERSION_CODENAME": "forky"}
RHEL = {"ID": "rhel", "VERSION_ID": "9.6"}
ALPINE = {"ID": "alpine", "VERSION_ID": "3.22.1"}


def linux(
    answers: Mapping[str, Answer] | None = None,
    *,
    release: Mapping[str, str] = UBUNTU,
    arch: str = "x64",
    environment: Mapping[str, str] | None = None,
) -> Surroundings:
    return Surroundings(
        Path("/project"), machine(answers, release=release, arch=arch, environment=environment)
    )


APPLE = Surroundings(Path("/project"), macos())


@pytest.mark.parametrize(
    ("lsb_release", "release", "segment"),
    [
        ("Ubuntu\n24.04\n", UBUNTU, "-24.04-Ubuntu"),
        ("No LSB modules are available.\nDebian\n12\n", {}, "-12-Debian"),
        (None, UBUNTU, "-24.04-ubuntu"),
        (ToolFailed(("lsb_release",), "ended with status 1"), UBUNTU, "-24.04-ubuntu"),
        ("unknown\n", UBUNTU, "-24.04-ubuntu"),
        (None, RHEL, "-9-rhel"),
        ("RedHatEnterprise\n9.6\n", RHEL, "-9-rhel"),
        ("RedHatEnterpriseServer\n7.9\n", RHEL, "-7-rhel"),
        (None, ALPINE, "-3.22.1-alpine"),
        (None, ARCH, "-rolling-arch"),
    ],
)
def test_setup_python_names_the_distribution_by_lsb_release_or_os_release(
    lsb_release: Answer | None, release: Mapping[str, str], segment: str
) -> None:
    answers = {} if lsb_release is None else {"lsb_release -i -r -s": lsb_release}

    assert systems.linux(linux(answers, release=release)) == segment


def test_a_hanging_lsb_release_is_an_error() -> None:
    with pytest.raises(ToolHung):
        systems.linux(linux({"lsb_release": ToolHung(("lsb_release",), seconds=60)}))


def test_setup_python_names_no_release_of_macos() -> None:
    assert systems.linux(APPLE) == ""


@pytest.mark.parametrize(
    ("release", "by_uv", "by_ruby"),
    [
        (UBUNTU, "ubuntu-24.04", "ubuntu-24.04"),
        (ALPINE, "alpine-3.22.1", "alpine-3.22.1"),
        (DEBIAN_UNSTABLE, "debian-forky", "debian-undefined"),
        (ARCH, "arch-rolling", "arch-undefined"),
    ],
)
def test_setup_uv_and_setup_ruby_name_the_release_of_os_release(
    release: Mapping[str, str], by_uv: str, by_ruby: str
) -> None:
    assert systems.os_release(linux(release=release)) == by_uv
    assert systems.os_release_by_ruby(linux(release=release)) == by_ruby


def test_macos_is_named_by_its_kernel() -> None:
    assert systems.os_release(APPLE) == systems.os_release_by_ruby(APPLE) == "macos-15"


def test_a_system_that_does_not_say_which_it_is_is_an_error() -> None:
    nothing = linux(release={})
    no_version = linux(release={"ID": "own"})
    strange = Surroundings(Path("/project"), machine(os="macOS", kernel="unknown"))

    for find, here, wanted in (
        (systems.linux, nothing, "`/etc/os-release` does not say which Linux this is"),
        (systems.os_release, nothing, "`/etc/os-release` does not say which Linux this is"),
        (systems.os_release_by_ruby, nothing, "`/etc/os-release` does not say which Linux"),
        (systems.linux, no_version, "`/etc/os-release` does not say which release"),
        (systems.os_release, no_version, "`/etc/os-release` does not say which release"),
        (systems.os_release, strange, "`unknown` is no release of Darwin"),
    ):
        with pytest.raises(MachineUnknown, match=wanted):
            find(here)


@pytest.mark.parametrize(
    ("arch", "cpu"),
    [
        ("x64", "x86_64"),
        ("arm64", "aarch64"),
        ("ia32", "i686"),
        ("ppc64", "powerpc64le"),
        ("s390x", "s390x"),
        ("riscv64", "riscv64"),
    ],
)
def test_setup_uv_names_the_architecture_as_rust_does(arch: str, cpu: str) -> None:
    assert systems.cpu(linux(arch=arch)) == cpu


@pytest.mark.parametrize(
    ("ldd", "platform"),
    [
        ("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36\n", "unknown-linux-gnu"),
        (None, "unknown-linux-gnu"),
        (
            ToolFailed(("ldd",), "ended with status 1", complaint="musl libc (x86_64)\nVersion"),
            "unknown-linux-musl",
        ),
        (ToolFailed(("ldd",), "ended with status 1", complaint="Usage"), "unknown-linux-gnu"),
    ],
)
def test_setup_uv_asks_ldd_for_the_c_library(ldd: Answer | None, platform: str) -> None:
    answers = {} if ldd is None else {"ldd --version": ldd}

    assert systems.platform(linux(answers)) == platform
    assert systems.platform(APPLE) == "apple-darwin"


def test_setup_go_names_the_image_on_linux_also_where_there_is_none() -> None:
    assert systems.image(linux(environment={"ImageOS": "ubuntu24"})) == "ubuntu24-"
    assert systems.image(linux()) == "undefined-"
    assert systems.image(APPLE) == ""
