"""The description of all operations, against the table that it is made of."""

import json
import re
from typing import Any, Final

from aiohttp import web

from runcache.server import openapi
from runcache.server.app import OPERATIONS
from runcache.server.operations import Described, Operation, routes
from runcache.wire import github_rest, native

DOCUMENT: Final[dict[str, Any]] = json.loads(openapi.document(OPERATIONS))


async def nothing(_: web.Request) -> web.Response:
    return web.Response()


def operation(name: str, *paths: str, **more: Any) -> Operation:  # noqa: ANN401  -- any field
    return Operation(
        name=name,
        method="GET",
        paths=paths,
        handler=nothing,
        summary="",
        answers={200: Described("Here it is.")},
        **more,
    )


def test_every_operation_is_described_below_each_of_its_paths() -> None:
    described = {
        (method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method != "servers"
    }

    assert described == {
        (operation.method, operation.prefixes[0] + path)
        for operation in OPERATIONS
        for path in operation.paths
    }


def test_every_schema_that_is_referred_to_is_there() -> None:
    text = json.dumps(DOCUMENT)

    assert set(re.findall('"#/components/schemas/([^"]+)"', text)) == set(
        DOCUMENT["components"]["schemas"]
    )


def test_every_parameter_in_a_path_is_described() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, described in item.items():
            if method != "servers":
                names = [p["name"] for p in described["parameters"] if p["in"] == "path"]
                assert names == re.findall(r"\{(\w+)\}", path)


def test_an_operation_with_a_prefix_of_its_own_says_so() -> None:
    paths = json.loads(
        openapi.document(
            [operation("one", "/one"), operation("two", "/two", prefixes=("",), dialect="native")]
        )
    )["paths"]

    assert "servers" not in paths["/one"]
    assert paths["/two"]["servers"] == [{"url": "/"}]


def test_errors_are_those_of_the_dialect() -> None:
    document = json.loads(
        openapi.document([operation("one", "/one"), operation("two", "/two", dialect="native")])
    )

    refs = [
        document["paths"][path]["get"]["responses"]["401"]["content"]["application/json"]["schema"]
        for path in ("/one", "/two")
    ]
    assert [ref["$ref"].rpartition("/")[2] for ref in refs] == [
        github_rest.BasicError.__name__,
        native.Error.__name__,
    ]


def test_only_what_is_open_may_be_asked_without_a_token() -> None:
    without = {
        described["operationId"]
        for item in DOCUMENT["paths"].values()
        for described in item.values()
        if isinstance(described, dict) and {} in described["security"]
    }

    assert without == {"getRoot", "getRateLimit"}


def test_each_spelling_of_a_path_has_a_route_below_each_prefix() -> None:
    made = routes([operation("one", "/orgs/{org}", "/organizations/{org}")])

    assert [route.path for route in made] == [
        "/orgs/{org}",
        "/organizations/{org}",
        "/api/v3/orgs/{org}",
        "/api/v3/organizations/{org}",
    ]
