"""The native protocol for people: why a lookup finds what it finds."""

from typing import Final

import msgspec
from aiohttp import web

from runcache.access import branch_ref
from runcache.insight.explain import Explanation, Inputs, Question
from runcache.server.auth import API_TOKEN_PREFIX, token_in
from runcache.server.context import EXPLANATIONS, api_token_of, body_of, grant_of
from runcache.server.operations import Described, Operation
from runcache.server.reach import readable_repository, require_granted
from runcache.wire.explain import EXPLAIN_PATH, Explain
from runcache.wire.native import MAX_BODY_BYTES, Error


async def explain(request: web.Request) -> web.Response:
    """Explain a lookup, to a job within what it may read."""
    token = token_in(request.headers.get("Authorization"))
    explanations = request.app[EXPLANATIONS]
    if token is None or token.startswith(API_TOKEN_PREFIX):
        repository = readable_repository(request, await api_token_of(request))
        question = await _question_of(request)
        explanation = await explanations.explain(repository, question)
    else:
        grant = grant_of(request)
        require_granted(request, grant)
        explanation = await explanations.explain_to(grant, await _question_of(request))
    return web.Response(body=msgspec.json.encode(explanation), content_type="application/json")


async def _question_of(request: web.Request) -> Question:
    asked = Explain.decode(await body_of(request, MAX_BODY_BYTES))
    inputs = Inputs(
        paths=asked.paths,
        compression=asked.compression,
        system=asked.system,
        cross_os=asked.cross_os,
    )
    return Question(
        key=asked.key,
        restore_keys=asked.restore_keys,
        inputs=inputs if asked.paths else None,
        versions=asked.versions,
        ref=asked.ref or branch_ref(asked.default_branch),
        base_ref=asked.base_ref,
        default_branch=asked.default_branch,
    )


OPERATIONS: Final = (
    Operation(
        name="explain",
        method="POST",
        paths=(EXPLAIN_PATH,),
        handler=explain,
        summary="Why a lookup finds what it finds, or nothing",
        body=Explain,
        answers={
            200: Described("Here it is.", Explanation),
            403: Described("The token of the job reads nothing.", Error),
            404: Described("There is no such repository, or the token may not see it.", Error),
            413: Described("The body is too long.", Error),
        },
        dialect="native",
        prefixes=("",),
    ),
)
