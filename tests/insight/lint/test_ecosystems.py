import pytest

from runcache.insight.lint.ecosystems import (
    GO,
    NODE,
    PYTHON,
    RUBY,
    RUST,
    Ecosystem,
    Interpreter,
    content_of,
    ecosystems_of_files,
    in_one_spelling,
)


@pytest.mark.parametrize(
    ("path", "ecosystem", "interpreter"),
    [
        ("node_modules", NODE, Interpreter.NODE),
        ("./node_modules/", NODE, Interpreter.NODE),
        ("**/node_modules", NODE, Interpreter.NODE),
        ("web/node_modules/**", NODE, Interpreter.NODE),
        ("${{ github.workspace }}/node_modules", NODE, Interpreter.NODE),
        (".venv", PYTHON, Interpreter.PYTHON),
        ("~/.npm", NODE, None),
        ("/home/runner/.npm", NODE, None),
        ("/home/runner/.cache/pip/*", PYTHON, None),
        ("~\\AppData\\Local\\pip\\Cache", PYTHON, None),
        ("/Users/runner/Library/Caches/pip", PYTHON, None),
        ("vendor/bundle", RUBY, None),
        ("~/.cargo/registry/", RUST, None),
        ("~/go/pkg/mod", GO, None),
    ],
)
def test_what_is_at_a_path_is_known_in_each_spelling(
    path: str, ecosystem: Ecosystem, interpreter: Interpreter | None
) -> None:
    content = content_of(path)

    assert content is not None
    assert (content.ecosystem, content.interpreter) == (ecosystem, interpreter)


@pytest.mark.parametrize(
    "path",
    ["build", "~/.npmrc", "my_node_modules", "node_modules/.cache", "~/x/.npm", "${{ env.DIR }}"],
)
def test_what_is_at_other_paths_is_not(path: str) -> None:
    assert content_of(path) is None


def test_paths_begin_alike() -> None:
    assert in_one_spelling(" ./a/b ") == "a/b"
    assert in_one_spelling("/home/runner/x") == "~/x"
    assert in_one_spelling("/home/runners/x") == "/home/runners/x"


def test_files_tell_whose_dependencies_they_are_about() -> None:
    assert ecosystems_of_files(["**/package-lock.json", "x/go.sum"]) == {NODE, GO}
    assert ecosystems_of_files(["pyproject.toml", "!**/package.json"]) == {PYTHON}
    assert ecosystems_of_files(["*.lock", "deps.txt"]) == set()
