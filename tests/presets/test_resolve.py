"""From a name to recipes: `auto`, named files, extras, and what is refused."""

import hashlib
from pathlib import Path

import pytest

from runcache.errors import DependenciesMissing, InvalidKey, InvalidPreset, PresetUnresolved
from runcache.presets import PRESETS, detect, resolve
from tests.presets.machines import Answer, machine, python_that_is

PYTHON: dict[str, Answer] = {"python -I": python_that_is("3.12.7")}


def write(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def digest_of(content: str) -> str:
    return hashlib.sha256(hashlib.sha256(content.encode()).digest()).hexdigest()


def test_auto_gives_the_caches_of_each_preset_that_was_detected(tmp_path: Path) -> None:
    write(tmp_path, Cargo_lock="c", pom_xml="p")
    write(tmp_path / ".mvn/wrapper", **{"maven-wrapper_properties": "w"})

    recipes = resolve("auto", project=tmp_path, machine=machine())

    assert detect(tmp_path) == ("maven", "cargo")
    assert [recipe.name for recipe in recipes] == ["maven", "maven-wrapper", "cargo"]


def test_a_preset_that_does_not_exist_is_an_error_that_lists_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidPreset, match="there is no preset `bun`") as unknown:
        resolve("bun", project=tmp_path, machine=machine())

    assert unknown.value.hint is not None
    assert all(f"`{name}`" in unknown.value.hint for name in (*PRESETS, "auto"))


def test_named_files_replace_those_of_the_preset(tmp_path: Path) -> None:
    write(tmp_path, **{"package-lock_json": "root"})
    write(tmp_path / "web", **{"package-lock_json": "web"})

    (recipe,) = resolve("npm", project=tmp_path, machine=machine(), files=["web/package-lock.json"])

    assert recipe.key == f"node-cache-Linux-x64-npm-{digest_of('web')}"
    assert recipe.dependencies == ("web/package-lock.json",)


def test_named_files_that_match_nothing_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, **{"package-lock_json": "root"})

    with pytest.raises(DependenciesMissing, match=r"matches `web/\*\.json`"):
        resolve("npm", project=tmp_path, machine=machine(), files=["web/*.json"])


def test_pip_falls_back_to_the_project_file_as_its_action_does(tmp_path: Path) -> None:
    write(tmp_path, pyproject_toml="project")

    (recipe,) = resolve("pip", project=tmp_path, machine=machine(PYTHON), files=["dev.txt"])

    assert recipe.key.endswith(f"-pip-{digest_of('project')}")
    assert recipe.dependencies == ("**/pyproject.toml",)


def test_named_files_do_not_change_what_the_wrapper_depends_on(tmp_path: Path) -> None:
    write(tmp_path, **{"own_lock": "own", "gradle-wrapper_properties": "wrapper"})

    main, wrapper = resolve("gradle", project=tmp_path, machine=machine(), files=["own.lock"])

    assert main.key.endswith(digest_of("own"))
    assert wrapper.key.endswith(digest_of("wrapper"))


def test_bundler_has_its_own_way_to_name_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidPreset, match="the preset `bundler` takes no files") as refused:
        resolve("bundler", project=tmp_path, machine=machine(), files=["Gemfile.lock"])

    assert refused.value.hint is not None
    assert "BUNDLE_GEMFILE" in refused.value.hint


def test_files_cannot_be_named_for_several_presets_at_once(tmp_path: Path) -> None:
    write(tmp_path, Cargo_lock="c", go_mod="g")

    with pytest.raises(InvalidPreset, match="several presets apply: `go`, `cargo`"):
        resolve("auto", project=tmp_path, machine=machine(), files=["go.mod"])


def test_variables_of_bundler_are_part_of_its_key(tmp_path: Path) -> None:
    write(tmp_path, Gemfile_lock="gems")
    ruby = "ruby\n3.5.0\nruby 3.5.0dev (2025-01-01T00:00:00Z master)\n3.5.0+0\n"
    environment = {"BUNDLE_WITH": "ci", "BUNDLE_WITHOUT": "dev:test", "BUNDLE_ONLY": "default"}
    hosted = machine({"ruby -e": ruby}, environment=environment)

    (recipe,) = resolve("bundler", project=tmp_path, machine=hosted)

    begin = (
        f"setup-ruby-bundler-cache-v6-ubuntu-24.04-x64-ruby-head-wd-{tmp_path.resolve()}"
        "-with-ci-without-dev:test-only-default-ABI-3.5.0+0-Gemfile.lock-"
    )
    assert recipe.key == begin + hashlib.sha256(b"gems").hexdigest()
    assert recipe.restore_keys == (begin,)


def test_a_folder_that_would_make_an_invalid_key_is_an_error(tmp_path: Path) -> None:
    project = write(tmp_path / "a,b", Gemfile_lock="gems")
    ruby = "ruby\n3.3.6\nruby 3.3.6 (2024-11-05)\n3.3.0\n"

    with pytest.raises(InvalidKey, match="it holds a comma"):
        resolve("bundler", project=project, machine=machine({"ruby -e": ruby}))


def test_the_folder_of_a_project_is_the_one_that_links_lead_to(tmp_path: Path) -> None:
    write(tmp_path / "project", pyproject_toml="x")
    (tmp_path / "link").symlink_to(tmp_path / "project")

    direct, linked = (
        resolve("venv", project=tmp_path / name, machine=machine(PYTHON))
        for name in ("project", "link")
    )

    assert linked == direct
    assert direct[0].paths == (f"{tmp_path.resolve()}/project/.venv",)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "uv"])
def test_an_empty_folder_is_an_error_that_names_files_or_a_tool(tmp_path: Path, name: str) -> None:
    with pytest.raises(PresetUnresolved) as missing:
        resolve(name, project=tmp_path, machine=machine())

    assert isinstance(missing.value, DependenciesMissing)
    assert f"`{tmp_path.resolve()}`" in str(missing.value)
    assert missing.value.hint is not None


def test_an_environment_has_all_that_it_depends_on_in_its_key_and_no_restore_keys(
    tmp_path: Path,
) -> None:
    write(tmp_path, pyproject_toml="p", uv_lock="u")
    newer = python_that_is("3.12.8", release=(3, 12, 8, "final", 0))
    pypy = python_that_is("3.12.7", implementation="pypy", release=(7, 3, 20, "final", 0))
    free_threaded = python_that_is("3.12.7", flags="t")

    def key(answer: str = python_that_is("3.12.7"), **facts: str) -> str:
        here = machine({"python -I": answer}, **facts)  # type: ignore[arg-type]
        (recipe,) = resolve("venv", project=tmp_path, machine=here)
        assert recipe.restore_keys == ()
        return recipe.key

    keys = [key(), key(newer), key(pypy), key(free_threaded), key(arch="arm64"), key(os="macOS")]
    for name in ("pyproject.toml", "uv.lock", "requirements-dev.txt", ".python-version"):
        (tmp_path / name).write_text("changed")
        keys.append(key())

    assert keys[0].startswith("venv-Linux-x64-24.04-ubuntu-cpython-3.12.7-")
    assert len(set(keys)) == len(keys)


def test_the_key_of_an_environment_does_not_change_when_it_is_made(tmp_path: Path) -> None:
    write(tmp_path, pyproject_toml="p")
    before = resolve("venv", project=tmp_path, machine=machine(PYTHON))

    package = tmp_path / ".venv/lib/python3.12/site-packages/numpy"
    write(package, pyproject_toml="theirs", requirements_txt="theirs")

    assert resolve("venv", project=tmp_path, machine=machine(PYTHON)) == before
