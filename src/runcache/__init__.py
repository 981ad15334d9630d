"""Dependency caching for CI jobs with the semantics of `actions/cache`."""

TYPE_CHECKING = False  # what type checkers take for true; to import `typing` costs more than this
if TYPE_CHECKING:
    from runcache.client.results import Hit, Saved
    from runcache.errors import ExpressionError
    from runcache.expressions import evaluate, interpolate
    from runcache.expressions.hashfiles import hash_files
    from runcache.library import AsyncClient, cached, restore, save
    from runcache.versions import cache_version

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "ExpressionError",
    "Hit",
    "Saved",
    "__version__",
    "cache_version",
    "cached",
    "evaluate",
    "hash_files",
    "interpolate",
    "restore",
    "save",
]

# The public names and where they are: each is imported when it is used for the first time.
_HOMES = {
    "AsyncClient": "runcache.library",
    "ExpressionError": "runcache.errors",
    "Hit": "runcache.client.results",
    "Saved": "runcache.client.results",
    "cache_version": "runcache.versions",
    "cached": "runcache.library",
    "evaluate": "runcache.expressions",
    "hash_files": "runcache.expressions.hashfiles",
    "interpolate": "runcache.expressions",
    "restore": "runcache.library",
    "save": "runcache.library",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    from importlib import import_module  # noqa: PLC0415  -- as above

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
