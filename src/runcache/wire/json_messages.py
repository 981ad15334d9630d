"""Messages that are JSON objects, whichever dialect they are of."""

from typing import Self

import msgspec

from runcache.errors import MalformedMessage


class JsonMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A body; members that it does not name are ignored."""

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the JSON object `body`.

        Raises:
            MalformedMessage: it is none, or a member is absent or of the wrong type.
        """
        try:
            return msgspec.json.decode(body, type=cls)
        except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
            raise MalformedMessage(f"the body cannot be read: {error}") from error

    def encode(self) -> bytes:
        """Write the message; members with their default value are left out."""
        return msgspec.json.encode(self)
