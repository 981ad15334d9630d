"""What `/openapi.json` says: the tables of operations, as OpenAPI 3.1 has them.

Types of bodies are those that the handlers encode and decode, so the schemas are theirs.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from runcache import __version__
from runcache.server.operations import ENTERPRISE_PREFIX, Described, Operation, Parameter
from runcache.wire import github_rest, native

PATH: Final = "/openapi.json"
DOCUMENT: Final = web.AppKey("openapi_document", bytes)

_REF_TEMPLATE: Final = "#/components/schemas/{name}"
_IN_BRACES: Final = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
# Types of the same name have longer ones in the document.
_Refs = Mapping[type, Mapping[str, Any]]

_ERRORS: Final[Mapping[str, type]] = {"github": github_rest.BasicError, "native": native.Error}
# What any operation may answer. There is no 5xx but this one: the cache cannot now.
_ALWAYS: Final = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    421: "The request is meant for another server.",
    503: "The server cannot do it now.",
}
_PATH_PARAMETERS: Final[Mapping[str, tuple[str, str]]] = {
    "cache_id": ("integer", "The id of a cache."),
    "enterprise": ("string", "Any name: the server is the one enterprise that there is."),
    "entry_id": ("integer", "The id of an entry."),
    "org": ("string", "An organisation, or any other owner, in any case of letters."),
    "owner": ("string", "The owner of a repository, in any case of letters."),
    "repo": ("string", "The name of a repository, in any case of letters."),
}
_HEADERS: Final[Mapping[str, str]] = {
    "ETag": "What `If-None-Match` may say the next time.",
    "Link": "The URLs of other pages, if there are any.",
}


async def show(request: web.Request) -> web.Response:
    """Answer with the description of all operations."""
    return web.Response(body=request.app[DOCUMENT], content_type="application/json")


def document(operations: Iterable[Operation]) -> bytes:
    """Return the description of `operations` as JSON."""
    table = tuple(operations)
    types = _types(table)
    found, schemas = msgspec.json.schema_components(types, ref_template=_REF_TEMPLATE)
    refs = dict(zip(types, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        for number, path in enumerate(operation.paths):
            item = paths.setdefault(_IN_BRACES.sub(r"{\1}", operation.prefixes[0] + path), {})
            item[operation.method.lower()] = _described(operation, path, refs, is_first=number == 0)
            if ENTERPRISE_PREFIX not in operation.prefixes:
                item["servers"] = [{"url": "/"}]
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "runcache", "version": __version__},
            "servers": [{"url": "/"}, {"url": ENTERPRISE_PREFIX}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer"},
                    "password": {"type": "http", "scheme": "basic"},
                },
            },
        }
    )


def _described(operation: Operation, path: str, refs: _Refs, *, is_first: bool) -> dict[str, Any]:
    error = _ERRORS[operation.dialect]
    always = {status: Described(reason, error) for status, reason in _ALWAYS.items()}
    answers = sorted((always | dict(operation.answers)).items())
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [
            *map(_path_parameter, _IN_BRACES.findall(path)),
            *map(_query_parameter, operation.query),
        ],
        "responses": {str(status): _response(answer, refs) for status, answer in answers},
        "security": [*([{}] if operation.is_open else []), {"token": []}, {"password": []}],
    }
    if is_first:
        described["operationId"] = operation.name
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(refs[operation.body])}
    return described


def _response(answer: Described, refs: _Refs) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description}
    if answer.body is not None:
        response["content"] = _content(refs[answer.body])
    if answer.headers:
        response["headers"] = {
            name: {"description": _HEADERS[name], "schema": {"type": "string"}}
            for name in answer.headers
        }
    return response


def _content(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path_parameter(name: str) -> dict[str, Any]:
    kind, description = _PATH_PARAMETERS[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": kind},
    }


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _types(operations: Iterable[Operation]) -> list[type]:
    found: set[type] = set()
    for operation in operations:
        bodies = [operation.body, *(answer.body for answer in operation.answers.values())]
        found |= {body for body in (*bodies, _ERRORS[operation.dialect]) if body is not None}
    return sorted(found, key=lambda body: body.__name__)
