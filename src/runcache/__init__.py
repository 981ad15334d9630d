"""Dependency caching for CI jobs with the semantics of `actions/cache`."""

__version__ = "0.1.0"
__all__ = ["__version__"]
