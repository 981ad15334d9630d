"""The command `runcache` with an event log that SIGUSR1 turns off, and on again.

Nothing but the benchmark needs such a server, so that there is no setting for it.
"""

import signal
import sys
from typing import Any, Final

from runcache.catalog import references
from runcache.cli.main import main
from runcache.service import Observer, Records

_HEARD: Final = ("found", "missed", "restored")
_WRITTEN: Final = ("record_save", "record_removal")


def _nothing(*_: object, **__: object) -> None:
    """Record nothing."""


def _switch(others: dict[tuple[Any, str], Any]) -> None:
    """Exchange what records for what does not, or the other way round."""
    for (where, name), other in others.items():
        others[where, name] = where.__dict__[name]
        setattr(where, name, other)


if __name__ == "__main__":
    others: dict[tuple[Any, str], Any] = {
        **{(Records, name): getattr(Observer, name) for name in _HEARD},
        **{(references, name): _nothing for name in _WRITTEN},
    }
    signal.signal(signal.SIGUSR1, lambda *_: _switch(others))
    sys.exit(main())
