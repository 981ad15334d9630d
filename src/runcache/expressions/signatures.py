"""Which functions there are, and how many arguments they take (management §5.4)."""

from collections.abc import Mapping
from typing import Final, NamedTuple

MAX_ARGUMENTS: Final = 255


class Signature(NamedTuple):
    """The name of a function as GitHub writes it, and the numbers of arguments it can take."""

    name: str
    minimum: int
    maximum: int
    is_odd: bool = False

    def accepts(self, count: int) -> bool:
        """Say whether the function can be called with so many arguments."""
        return self.minimum <= count <= self.maximum and (not self.is_odd or count % 2 == 1)

    def __str__(self) -> str:
        """Say what it takes, such as that `join` takes 1 to 2 arguments."""
        if self.is_odd:
            range_ = f"an odd number of arguments from {self.minimum} to {self.maximum}"
        elif self.minimum < self.maximum:
            range_ = f"{self.minimum} to {self.maximum} arguments"
        else:
            range_ = f"{self.minimum} argument{'' if self.minimum == 1 else 's'}"
        return f"`{self.name}` takes {range_}"


Signatures = Mapping[str, Signature]
"""Signatures by the function's name in small letters: names are not case-sensitive."""


def _by_name(*signatures: Signature) -> Signatures:
    return {signature.name.lower(): signature for signature in signatures}


FUNCTIONS: Final = _by_name(
    Signature("contains", 2, 2),
    Signature("startsWith", 2, 2),
    Signature("endsWith", 2, 2),
    Signature("format", 1, MAX_ARGUMENTS),
    Signature("join", 1, 2),
    Signature("toJSON", 1, 1),
    Signature("fromJSON", 1, 1),
    Signature("case", 3, MAX_ARGUMENTS, is_odd=True),
    Signature("hashFiles", 1, MAX_ARGUMENTS),
)

# At a job, `success` and `failure` take the names of other jobs.
STATUS_FUNCTIONS: Final = _by_name(
    Signature("success", 0, MAX_ARGUMENTS),
    Signature("always", 0, 0),
    Signature("cancelled", 0, 0),
    Signature("failure", 0, MAX_ARGUMENTS),
)
