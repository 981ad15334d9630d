"""What `import runcache` offers, and what it costs."""

import subprocess
import sys

import pytest

import runcache


def test_the_public_names_are_there() -> None:
    assert callable(runcache.evaluate)
    assert callable(runcache.interpolate)
    assert callable(runcache.hash_files)
    assert callable(runcache.cache_version)
    assert issubclass(runcache.ExpressionError, Exception)
    assert set(runcache.__all__) <= set(dir(runcache))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute `evaluat`"):
        runcache.evaluat  # noqa: B018


def modules_after(statement: str) -> set[str]:
    """Return the modules that a new interpreter has imported."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(told.stdout.split())


def test_importing_runcache_imports_nothing_else() -> None:
    ours = {name for name in modules_after("import runcache") if name.startswith("runcache")}

    assert ours == {"runcache"}


def test_an_expression_needs_no_more_than_the_language() -> None:
    imported = modules_after("import runcache; runcache.interpolate('${{ 1 }}-${{ null || 2 }}')")

    assert not imported & {
        "asyncio",
        "click",
        "dataclasses",
        "json",
        "pathlib",
        "threading",
        "yaml",
    }
    assert not {name for name in imported if name.startswith("runcache.globs")}
