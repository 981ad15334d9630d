"""A script of `tests/node` that answers each line of JSON with one line of JSON."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.genuine import NODE_FOLDER, find_node


def answers(
    script: str, questions: Iterable[object], *, folder: Path | None = None
) -> list[dict[str, Any]]:
    """Ask one process of `tests/node/<script>` all questions, and return its answers in order.

    `folder` is the folder that it works in.

    Raises:
        CalledProcessError: the script failed; its standard error is in the terminal.
    """
    told = subprocess.run(
        [find_node(), NODE_FOLDER / script],
        input="".join(f"{json.dumps(question)}\n" for question in questions),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
        cwd=folder,
        env=os.environ | {"LANG": "C.UTF-8"},
    )
    # Not `splitlines`: JSON may hold line ends of Unicode as they are.
    return [json.loads(line) for line in told.stdout.split("\n") if line]
