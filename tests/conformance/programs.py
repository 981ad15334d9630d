"""Programs that tests run."""

import shutil
import sys
from pathlib import Path

import pytest


def found(name: str) -> Path:
    """Return a program that a package installed beside Python, or that the machine has.

    The test is skipped where there is none.
    """
    beside = Path(sys.executable).with_name(name)
    path = str(beside) if beside.exists() else shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return Path(path)
