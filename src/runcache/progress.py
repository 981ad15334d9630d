"""How far a long piece of work is: what the engines tell, and whoever shows it hears."""

from typing import Protocol


class Progress(Protocol):
    """Hears of one save or restore. Any method may be called from several threads at once."""

    def phase(
        self, name: str, *, total_files: int | None = None, total_bytes: int | None = None
    ) -> None:
        """Begin the phase `name`, which ends the one before; or tell the totals of this one.

        `None` stands for a total that is not known yet. A save is the phase `save`, while more
        files are found; a restore is `compare`, to look what is here, and `restore`, to fetch and
        write what is not.
        """

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """Add what was done since the last call."""


class Silence:
    """Tells nobody (`Progress` is the contract)."""

    def phase(
        self, name: str, *, total_files: int | None = None, total_bytes: int | None = None
    ) -> None:
        """See `Progress.phase`."""

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """See `Progress.advance`."""
