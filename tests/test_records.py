"""What is remembered, and the families that keys are of."""

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.records import (
    CHANGES,
    DATE,
    HASH,
    LOOKUPS,
    NUMBER,
    OTHERS,
    REMOVALS,
    VERSION,
    EventKind,
    Families,
    HitRate,
    entry_name,
    family_of,
    job_name,
)

SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SHA1: Final = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
MD5: Final = "d41d8cd98f00b204e9800998ecf8427e"
RUBY: Final = "-wd-/home/runner/work/app/app-with--without--only--Gemfile.lock-"

# `#` stands for a digest. The first ones are the keys of the setup actions (management §4.1) and of
# the recipes of actions/cache (§4.3).
FAMILIES: Final = {
    f"node-cache-Linux-x64-npm-{SHA256}": "node-cache-Linux-x64-npm-#",
    f"node-cache-Windows-x64-pnpm-{SHA256}": "node-cache-Windows-x64-pnpm-#",
    f"node-cache-macOS-arm64-yarn-{SHA256}": "node-cache-macOS-arm64-yarn-#",
    "node-cache-macOS-arm64-yarn": "node-cache-macOS-arm64-yarn",
    f"setup-python-Linux-x64-24.04-Ubuntu-python-3.12.4-pip-{SHA256}": (
        f"setup-python-Linux-x64-{VERSION}-Ubuntu-python-{VERSION}-pip-#"
    ),
    f"setup-python-Linux-x64-9-rhel-python-3.9.21-pipenv-{SHA256}": (
        f"setup-python-Linux-x64-9-rhel-python-{VERSION}-pipenv-#"
    ),
    f"setup-python-macOS-arm64-python-3.13.0rc2-poetry-v2-{SHA256}": (
        f"setup-python-macOS-arm64-python-{VERSION}-poetry-v2-#"
    ),
    f"setup-java-Linux-x64-maven-{SHA256}": "setup-java-Linux-x64-maven-#",
    f"setup-java-Linux-x64-maven-wrapper-{SHA256}": "setup-java-Linux-x64-maven-wrapper-#",
    f"setup-java-Linux-arm64-gradle-{SHA256}": "setup-java-Linux-arm64-gradle-#",
    f"setup-java-Linux-arm64-sbt-{SHA256}": "setup-java-Linux-arm64-sbt-#",
    f"setup-java-jdk-v1-Linux-x64-{SHA256}": "setup-java-jdk-v1-Linux-x64-#",
    f"setup-java-jdkres-v2-Linux-x64-{SHA256}-2026-11-19": (
        f"setup-java-jdkres-v2-Linux-x64-#-{DATE}"
    ),
    f"setup-go-Linux-x64-ubuntu24-go-1.23.4-{SHA256}": (
        f"setup-go-Linux-x64-ubuntu24-go-{VERSION}-#"
    ),
    f"setup-go-Linux-x64-undefined-go-1.22.0-{SHA256}": (
        f"setup-go-Linux-x64-undefined-go-{VERSION}-#"
    ),
    f"dotnet-cache-Windows-{SHA256}": "dotnet-cache-Windows-#",
    f"setup-ruby-bundler-cache-v6-ubuntu-24.04-x64-ruby-3.3.6{RUBY}{SHA256}": (
        f"setup-ruby-bundler-cache-v6-ubuntu-{VERSION}-x64-ruby-{VERSION}{RUBY}#"
    ),
    f"setup-uv-2-x86_64-unknown-linux-gnu-ubuntu-24.04-3.12.4-pruned-{SHA256}": (
        f"setup-uv-2-x86_64-unknown-linux-gnu-ubuntu-{VERSION}-{VERSION}-pruned-#"
    ),
    "setup-uv-2-aarch64-apple-darwin-macos-15-unknown-no-dependency-glob": (
        "setup-uv-2-aarch64-apple-darwin-macos-15-unknown-no-dependency-glob"
    ),
    f"Linux-cargo-{SHA256}": "Linux-cargo-#",
    f"Linux-build-my-cache-{SHA256}": "Linux-build-my-cache-#",
    "Linux-npm-": "Linux-npm-",
    f"venv-Linux-x64-24.04-Ubuntu-cpython-3.11.7-{SHA256}": (
        f"venv-Linux-x64-{VERSION}-Ubuntu-cpython-{VERSION}-#"
    ),
    # Commits, whole and abbreviated, and what `git describe` says.
    f"build-{SHA1}": "build-#",
    "build-3f2a91c": "build-#",
    "build-3f2a91c4d": "build-#",
    "build-DA39A3EE": "build-#",
    "build-1234567": "build-#",
    "release-v1.2.3-14-g3f2a1b4": f"release-{VERSION}-14-#",
    # Digests that nothing parts from a word, and of other kinds.
    f"deps{SHA256}": "deps#",
    f"{MD5}-x": "#-x",
    f"a-{SHA256}{SHA256}": "a-#",
    "nix-0c1k8r9q2v5w7x3z4a6b8d0f1g2h3i4j": "nix-#",
    "go-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=": "go-#",
    "job-3e25960a-79db-4b69-8d10-5a2e5c5e5b5f-x": "job-#-x",
    "vite-k2j4h5g6f7": "vite-#",
    # Versions.
    "v1.2.3": VERSION,
    "tool-18.x-y": f"tool-{VERSION}-y",
    "sccache-Linux-1.76.0-nightly": f"sccache-Linux-{VERSION}",
    "jdk-21.0.5+11": f"jdk-{VERSION}",
    "go1.22.3": f"go{VERSION}",
    # Dates, and times.
    "daily-2026-11-22": f"daily-{DATE}",
    "daily-20261122": f"daily-{DATE}",
    "weekly-2026-W47": f"weekly-{DATE}",
    "monthly-2026-11-x": f"monthly-{DATE}-x",
    "at-2026-11-22T09:00:05Z": f"at-{DATE}",
    "at-20261122-090005": f"at-{DATE}",
    # Runs and other counters.
    "run-12345678901-1": f"run-{NUMBER}-1",
    "build-482": f"build-{NUMBER}",
    "at-1795338005": f"at-{NUMBER}",
    # What tells caches of one time apart stays.
    "node-20-deps": "node-20-deps",
    "shard-3-of-12": "shard-3-of-12",
    "cp311-manylinux2014_x86_64": "cp311-manylinux2014_x86_64",
    "android-arm64v8a": "android-arm64v8a",
    "cache-v2": "cache-v2",
    "defaced-facade": "defaced-facade",
    "ключ-é-日本": "ключ-é-日本",
}


@pytest.mark.parametrize(("key", "family"), FAMILIES.items())
def test_keys_that_differ_in_what_changes_by_itself_are_of_one_family(
    key: str, family: str
) -> None:
    assert family_of(key) == family.replace("#", HASH)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_any_two_digests_are_of_one_family(one: bytes, other: bytes) -> None:
    assert family_of(f"Linux-npm-{one.hex()}") == family_of(f"Linux-npm-{other.hex()}")


@given(st.text(max_size=512))
def test_a_family_is_its_own_family(key: str) -> None:
    family = family_of(key)

    assert family_of(family) == family


@given(st.from_regex(r"[A-Za-z]{1,6}([-_/. ][g-zG-Z]{1,9}){0,5}", fullmatch=True))
def test_words_alone_are_a_family_of_their_own(key: str) -> None:
    assert family_of(key) == key


@given(st.text(alphabet="0123456789abcdef+/=-.vx", max_size=512))
def test_every_family_is_found_in_an_instant(key: str) -> None:
    assert re.fullmatch(r"[-+/=.0-9a-z<>]*", family_of(key))


def test_every_kind_is_a_lookup_or_a_change() -> None:
    assert {*LOOKUPS, *CHANGES} == set(EventKind)
    assert not {*LOOKUPS} & {*CHANGES}
    assert {*REMOVALS} < {*CHANGES}


def test_a_job_is_called_by_what_is_known_of_it() -> None:
    assert job_name("refs/heads/main", "push", "17") == "job refs/heads/main, push, run 17"
    assert job_name("refs/heads/main", None, None) == "job refs/heads/main"
    assert entry_name(17) == "entry 17"


def test_a_hit_rate_is_a_share_of_what_was_looked_up() -> None:
    assert HitRate(3, 1).share == pytest.approx(0.75)
    assert HitRate(0, 0).share is None


def test_a_repository_has_a_bounded_number_of_families_a_day() -> None:
    families = Families()

    found = [families.of(1, 20_000, f"word{'x' * number}") for number in range(600)]

    assert len(set(found)) == 501
    assert found[-1] == OTHERS
    # Known ones go on, and so do other repositories and days.
    assert families.of(1, 20_000, "word") == "word"
    assert families.of(2, 20_000, "new") == "new"
    assert families.of(1, 20_001, "new") == "new"


def test_days_that_are_over_are_not_remembered_for_ever() -> None:
    families = Families()

    for day in range(5_000):
        families.of(1, day, f"word-{'x' * (day % 7)}")

    assert len(families._known) <= 1_000  # noqa: SLF001  -- memory is what this is about
