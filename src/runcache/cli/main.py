"""The command `runcache` as a process, whose start and end cost as little as they can."""

import atexit
import gc
import os
import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no error leaves as a traceback.

    Without `args`, which are then those of the process, `restore`, `save` and `run` end it here.
    """
    # What is left at the end of the process goes with it, rubbish or not.
    atexit.register(gc.freeze)
    # Nor is anything of what is imported rubbish.
    gc.disable()
    try:
        from runcache.cli.commands import run  # noqa: PLC0415  -- see above

        status = run(args)
        if args is None and not gc.isenabled():
            _end(status)
        return status
    finally:
        gc.enable()


def _end(status: int) -> None:
    """End the process, unless there is something to say that nobody can hear.

    All is closed by now, and to take apart what is in memory would take 15 ms.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        return  # What is closed is `None`, or complains: Python's own end is for that.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
