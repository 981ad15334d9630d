"""The keys and paths of every preset, to the letter, on machines that are known."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest

from runcache.presets import PRESETS, Recipe, resolve
from runcache.presets.dependencies import Dependencies
from runcache.presets.segments import FINDERS
from runcache.presets.surroundings import Surroundings
from runcache.presets.table import Cache
from tests.documentation import code, only_code, table
from tests.presets.machines import HOME, machine, macos, python_that_is

# Each file of a project is an empty object here: its digest stands in management §5.3, case 1.
CONTENT = "{}\n"
HASH = "99c9eabdf3d25ff2826c4296b31961c421da47bffdeb182ab32394973114c297"
# That of setup-ruby is not hashed twice.
PLAIN_HASH = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"

NUGET = """\
http-cache: /home/runner/.local/share/NuGet/http-cache
global-packages: /home/runner/.nuget/packages/
temp: /tmp/NuGetScratchrunner
plugins-cache: /home/runner/.local/share/NuGet/plugin-cache
"""
POETRY = """\
cache-dir = "/home/runner/.cache/pypoetry"
virtualenvs.in-project = null
virtualenvs.path = "{cache-dir}/virtualenvs"  # /home/runner/.cache/pypoetry/virtualenvs
"""
RUBY = "ruby\n3.3.6\nruby 3.3.6 (2024-11-05 revision 75015d4c1f) [x86_64-linux]\n3.3.0\n"
TOOLS = {
    "npm config get cache": "/home/runner/.npm\n",
    "yarn --version": "1.22.22\n",
    "yarn cache dir": "/home/runner/.cache/yarn/v6\n",
    "yarn config get enableGlobalCache": "undefined\n",
    "pnpm store path --silent": "/home/runner/setup-pnpm/node_modules/.bin/store/v10\n",
    "python -I -c": python_that_is("3.12.7"),
    "lsb_release -i -r -s": "Ubuntu\n24.04\n",
    "pip cache dir": "/home/runner/.cache/pip\n",
    "poetry config --list": POETRY,
    "uv python find": "/usr/bin/python3\n",
    "/usr/bin/python3 --version": "Python 3.12.3\n",
    "uv cache dir": "/home/runner/.cache/uv\n",
    "ldd --version": "ldd (Ubuntu GLIBC 2.39-0ubuntu8.6) 2.39\n",
    "ruby -e": RUBY,
    "go version": "go version go1.24.9 linux/amd64\n",
    "go env GOMODCACHE GOCACHE": "/home/runner/go/pkg/mod\n/home/runner/.cache/go-build\n",
    "dotnet nuget locals all --list --force-english-output": NUGET,
}
MACHINES = {
    "hosted": machine(TOOLS, environment={"ImageOS": "ubuntu24"}),
    "own": machine(TOOLS),
    "apple": macos(TOOLS),
}


# A machine, a preset and the files of a project; then, as `shown` prints them, its caches.
EXPECTED = """
hosted npm package-lock.json
  node-cache-Linux-x64-npm-HASH
    path /home/runner/.npm
    file package-lock.json

apple npm npm-shrinkwrap.json yarn.lock
  node-cache-macOS-arm64-npm-HASH
    path /home/runner/.npm
    file npm-shrinkwrap.json

hosted npm yarn.lock
  node-cache-Linux-x64-npm-HASH
    path /home/runner/.npm
    file yarn.lock

hosted yarn yarn.lock
  node-cache-Linux-x64-yarn-HASH
    path /home/runner/.cache/yarn/v6
    file yarn.lock

hosted pnpm pnpm-lock.yaml
  node-cache-Linux-x64-pnpm-HASH
    path /home/runner/setup-pnpm/node_modules/.bin/store/v10
    file pnpm-lock.yaml

hosted pip requirements.txt
  setup-python-Linux-x64-24.04-Ubuntu-python-3.12.7-pip-HASH
    else setup-python-Linux-x64-24.04-Ubuntu-python-3.12.7-pip
    path /home/runner/.cache/pip
    file **/requirements.txt

apple pip lib/pyproject.toml
  setup-python-macOS-arm64-python-3.12.7-pip-HASH
    else setup-python-macOS-arm64-python-3.12.7-pip
    path /home/runner/.cache/pip
    file **/pyproject.toml

hosted pipenv Pipfile.lock
  setup-python-Linux-x64-24.04-Ubuntu-python-3.12.7-pipenv-HASH
    path /home/runner/.local/share/virtualenvs
    file **/Pipfile.lock

hosted poetry lib/poetry.lock
  setup-python-Linux-x64-24.04-Ubuntu-python-3.12.7-poetry-v2-HASH
    path /home/runner/.cache/pypoetry/virtualenvs
    file **/poetry.lock

hosted uv lib/uv.lock
  setup-uv-2-x86_64-unknown-linux-gnu-ubuntu-24.04-3.12.3-HASH
    path /home/runner/.cache/uv
    file **/*requirements*.txt
    file **/*requirements*.in
    file **/*constraints*.txt
    file **/*constraints*.in
    file **/pyproject.toml
    file **/uv.lock
    file **/*.py.lock

apple uv README.md
  setup-uv-2-aarch64-apple-darwin-macos-15-3.12.3-no-dependency-glob
    path /home/runner/.cache/uv

hosted maven lib/pom.xml
  setup-java-Linux-x64-maven-HASH
    path /home/runner/.m2/repository
    file **/pom.xml
    file **/.mvn/wrapper/maven-wrapper.properties
    file **/.mvn/extensions.xml

hosted maven .mvn/wrapper/maven-wrapper.properties
  setup-java-Linux-x64-maven-HASH
    path /home/runner/.m2/repository
    file **/pom.xml
    file **/.mvn/wrapper/maven-wrapper.properties
    file **/.mvn/extensions.xml
  setup-java-Linux-x64-maven-wrapper-HASH
    path /home/runner/.m2/wrapper/dists
    file **/.mvn/wrapper/maven-wrapper.properties

apple gradle gradle/wrapper/gradle-wrapper.properties
  setup-java-macOS-arm64-gradle-HASH
    path /home/runner/.gradle/caches
    file **/*.gradle*
    file **/gradle.properties
    file **/gradle-wrapper.properties
    file buildSrc/**/Versions.kt
    file buildSrc/**/Dependencies.kt
    file gradle/*.versions.toml
    file **/versions.properties
  setup-java-macOS-arm64-gradle-wrapper-HASH
    path /home/runner/.gradle/wrapper
    file **/gradle-wrapper.properties

hosted sbt build.sbt
  setup-java-Linux-x64-sbt-HASH
    path /home/runner/.ivy2/cache
    path /home/runner/.sbt
    path /home/runner/.cache/coursier
    path !/home/runner/.sbt/*.lock
    path !/home/runner/**/ivydata-*.properties
    file **/*.sbt
    file **/project/build.properties
    file **/project/**.scala
    file **/project/**.sbt

apple sbt project/build.properties
  setup-java-macOS-arm64-sbt-HASH
    path /home/runner/.ivy2/cache
    path /home/runner/.sbt
    path /home/runner/Library/Caches/Coursier
    path !/home/runner/.sbt/*.lock
    path !/home/runner/**/ivydata-*.properties
    file **/*.sbt
    file **/project/build.properties
    file **/project/**.scala
    file **/project/**.sbt

hosted bundler Gemfile Gemfile.lock
  setup-ruby-bundler-cache-v6-ubuntu-24.04-x64-ruby-3.3.6-wd-PROJECT\
-with--without--only--Gemfile.lock-PLAIN
    else setup-ruby-bundler-cache-v6-ubuntu-24.04-x64-ruby-3.3.6-wd-PROJECT\
-with--without--only--Gemfile.lock-
    path vendor/bundle
    file Gemfile.lock

apple bundler gems.rb gems.locked
  setup-ruby-bundler-cache-v6-macos-15-arm64-ruby-3.3.6-wd-PROJECT\
-with--without--only--gems.locked-PLAIN
    else setup-ruby-bundler-cache-v6-macos-15-arm64-ruby-3.3.6-wd-PROJECT\
-with--without--only--gems.locked-
    path vendor/bundle
    file gems.locked

hosted go go.mod
  setup-go-Linux-x64-ubuntu24-go-1.24.9-HASH
    path /home/runner/go/pkg/mod
    path /home/runner/.cache/go-build
    file go.mod

own go go.mod
  setup-go-Linux-x64-undefined-go-1.24.9-HASH
    path /home/runner/go/pkg/mod
    path /home/runner/.cache/go-build
    file go.mod

apple go go.mod
  setup-go-macOS-arm64-go-1.24.9-HASH
    path /home/runner/go/pkg/mod
    path /home/runner/.cache/go-build
    file go.mod

hosted nuget packages.lock.json
  dotnet-cache-Linux-HASH
    path /home/runner/.nuget/packages/
    file packages.lock.json

hosted cargo lib/Cargo.lock
  Linux-cargo-HASH
    else Linux-cargo-
    path ~/.cargo/bin/
    path ~/.cargo/registry/index/
    path ~/.cargo/registry/cache/
    path ~/.cargo/git/db/
    path target/
    file **/Cargo.lock
"""
CASES = EXPECTED.strip("\n").split("\n\n")


def shown(recipes: Iterable[Recipe]) -> Iterator[str]:
    for recipe in recipes:
        yield f"  {recipe.key}"
        yield from (f"    else {key}" for key in recipe.restore_keys)
        yield from (f"    path {path}" for path in recipe.paths)
        yield from (f"    file {pattern}" for pattern in recipe.dependencies)


def project_with(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(CONTENT)
    return folder


def caches() -> list[Cache]:
    return [cache for preset in PRESETS.values() for cache in (preset, *preset.extras)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.partition("\n")[0])
def test_a_preset_has_the_keys_and_paths_of_its_action(case: str, tmp_path: Path) -> None:
    begin, _, expected = case.partition("\n")
    on, name, *files = begin.split()
    project = project_with(tmp_path, *files)

    recipes = resolve(name, project=project, machine=MACHINES[on])

    text = "\n".join(shown(recipes)).replace(str(tmp_path.resolve()), "PROJECT")
    assert text.replace(HASH, "HASH").replace(PLAIN_HASH, "PLAIN") == expected


def test_every_preset_but_our_own_is_compared_with_its_action() -> None:
    compared = {case.split()[1] for case in CASES}

    assert compared == set(PRESETS) - {"venv"}
    assert [name for name, preset in PRESETS.items() if preset.action is None] == ["venv"]


def test_there_is_a_preset_for_every_name_that_users_may_give() -> None:
    names = "npm yarn pnpm pip pipenv poetry uv venv maven gradle sbt bundler go nuget cargo"

    assert list(PRESETS) == names.split()


@pytest.mark.parametrize("cache", caches(), ids=lambda cache: cache.name)
def test_every_word_in_a_key_can_be_found(cache: Cache) -> None:
    known = {*FINDERS, "hash", "lock", "os", "arch", "project"}

    for template in (cache.key, *cache.restore_keys):
        words = {word for _, word, _, _ in Formatter().parse(template) if word}
        assert {word for word in words if not word.isupper()} <= known
    assert cache.key.endswith("-{hash}")


@pytest.mark.parametrize("cache", caches(), ids=lambda cache: cache.name)
def test_a_restore_key_is_a_beginning_of_the_key_without_the_hash(cache: Cache) -> None:
    for template in cache.restore_keys:
        assert cache.key.removesuffix("{hash}").removesuffix("-") == template.removesuffix("-")


def test_no_two_presets_share_a_key() -> None:
    begins = [cache.key.removesuffix("{hash}") for cache in caches()]

    assert len(set(begins)) == len(begins)


def test_the_page_has_every_preset_with_its_key_and_files() -> None:
    documented = [
        (
            only_code(row["preset"]),
            code(row["as"]),
            only_code(row["key"]),
            code(row["restore keys"]),
            [code(group) for group in row["hashed files"].split("*or*")],
        )
        for row in table("presets.md", "preset", "as")
    ]

    actual = [
        (
            cache.name,
            [preset.action] if preset.action else [],
            cache.key,
            list(cache.restore_keys),
            [list(group) for group in (*cache.files, *backup_files)],
        )
        for preset in PRESETS.values()
        for cache, backup_files in (
            (preset, preset.backup_files),
            *((e, ()) for e in preset.extras),
        )
    ]
    assert documented == actual


def test_the_page_explains_every_word_in_keys() -> None:
    explained = {
        word for row in table("presets.md", "in keys", "is") for word in code(row["in keys"])
    }

    used = {
        word
        for cache in caches()
        for _, word, _, _ in Formatter().parse(cache.key)
        if word and not word.startswith("BUNDLE_WITHOUT") and word != "BUNDLE_ONLY"
    }
    assert explained == used


def test_the_page_has_the_marks_of_every_preset() -> None:
    documented = {
        only_code(row["preset"]): tuple(code(row["files"]))
        for row in table("presets.md", "preset", "files")
    }

    assert documented == {name: preset.marks for name, preset in PRESETS.items() if preset.marks}


@pytest.mark.parametrize("lock", ["# yarn lockfile v1\n", "__metadata:\n  version: 8\n"])
def test_the_page_has_the_command_that_asks_and_the_folder_that_counts_otherwise(
    tmp_path: Path, lock: str
) -> None:
    rows = {
        only_code(row["preset"]): row for row in table("presets.md", "preset", "how it is found")
    }
    assert list(rows) == list(PRESETS)
    for file in ("yarn.lock", "poetry.lock"):
        (tmp_path / file).write_text(lock)
    asked: list[str] = []

    def run(command: Sequence[str], _: Path, /) -> None:
        asked.append(" ".join(command))

    here = Surroundings(tmp_path, replace(machine(), run=run))
    for name in set(PRESETS) - {"go", "venv", "bundler"}:
        asked.clear()
        for cache in (PRESETS[name], *PRESETS[name].extras):
            paths = cache.paths(here, Dependencies(("*.lock",), "…"))
            shown = {path.removeprefix("!").replace(str(HOME), "~") for path in paths}
            assert shown <= set(code(rows[name]["without the tool"]))
        for command in asked:
            assert any(command.startswith(said) for said in code(rows[name]["how it is found"]))
