"""What `/openapi.json` says is so, for requests that are right and for those that are not."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi import checks

from runcache.locations import SqliteFile
from runcache.server import openapi
from runcache.server.app import OPERATIONS
from runcache.service import now_ms
from runcache.testing import LiveServer
from tests.in_process import Clock, job, open_cache
from tests.server.caretaker import api_token

DOCUMENT: Final[dict[str, Any]] = json.loads(openapi.document(OPERATIONS))
SCHEMA: Final = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS: Final[list[CheckFunction]] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
KNOWN: Final = {"owner": "octo", "repo": "hello", "org": "octo"}
# The same requests in every run: for each operation those at the edges of what it takes, and some.
BOUNDED: Final = settings(
    max_examples=3,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ONE: Final = settings(BOUNDED, max_examples=1, phases=[Phase.generate])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with some entries of `octo/hello`."""
    with LiveServer(tmp_path_factory.mktemp("described") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def token(server: LiveServer) -> str:
    """A token that may do everything, beside a repository that keeps something."""

    async def made() -> str:
        async with open_cache(server.data, clock=Clock(now_ms())) as cache:
            for number in range(3):
                await cache.save(f"key-{number}", grant=job())
        return await api_token(
            SqliteFile(server.data / "catalog.sqlite3"), is_admin=True, can_write=True
        )

    return asyncio.run(made())


@SCHEMA.parametrize()
@BOUNDED
def test_every_answer_is_as_described(case: Case[Any], server: LiveServer, token: str) -> None:
    case.path_parameters |= {name: KNOWN[name] for name in case.path_parameters if name in KNOWN}

    case.call_and_validate(
        base_url=server.url, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS
    )


@SCHEMA.parametrize()
@ONE
def test_every_answer_to_a_stranger_is_as_described(case: Case[Any], server: LiveServer) -> None:
    case.call_and_validate(base_url=server.url, headers={"Authorization": ""}, checks=CHECKS)
