"""The one query of GitHub's GraphQL API that is answered: whose token is it (management §2.2)."""

from typing import Self

from runcache.wire.json_messages import JsonMessage


class GraphqlQuery(JsonMessage, frozen=True):
    """A query; only `query { viewer { login } }` is answered."""

    query: str


class Viewer(JsonMessage, frozen=True):
    """Whose token it is."""

    login: str


class Data(JsonMessage, frozen=True):
    """What was asked for."""

    viewer: Viewer


class GraphqlError(JsonMessage, frozen=True):
    """Why a query was not answered."""

    message: str


class GraphqlAnswer(JsonMessage, frozen=True):
    """The answer to a query, or why there is none."""

    data: Data | None = None
    errors: tuple[GraphqlError, ...] = ()

    @classmethod
    def to_viewer(cls, login: str) -> Self:
        """Return the answer to `query { viewer { login } }`."""
        return cls(data=Data(Viewer(login)))

    @classmethod
    def refusing(cls, message: str) -> Self:
        """Return the answer to another query, which has the status 200 as well."""
        return cls(errors=(GraphqlError(message),))
