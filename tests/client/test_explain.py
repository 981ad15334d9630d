"""Asking a server about lookups: what is sent, and what answers mean."""

import json

import msgspec
import pytest

from runcache.access import Role
from runcache.client.github_rest import RestManagement
from runcache.errors import (
    CacheError,
    NotAuthenticated,
    NotPermitted,
    ProtocolAbsent,
    Refused,
    UnexpectedAnswer,
)
from runcache.insight.explain import (
    Cause,
    Difference,
    Explanation,
    Input,
    Inputs,
    NearMiss,
    Question,
    ReadableScope,
    Rival,
    StepOutcome,
)
from runcache.matching import Outcome
from runcache.model import Entry, MatchKind
from tests.client.scripted_server import Reply, ScriptedServer, Trying, scripted

JSON = {"Content-Type": "application/json; charset=utf-8"}
MAIN = "refs/heads/main"
INPUTS = Inputs(paths=("~/.npm",), compression="gzip", system="Windows", cross_os=True)
QUESTION = Question(key="npm-1", restore_keys=("npm-",), inputs=INPUTS, base_ref="next")
ENTRY = Entry(7, "octo/hello", MAIN, "npm-0", "v", 4, created_at=1, last_accessed_at=2)
EXPLANATION = Explanation(
    repository="octo/hello",
    asked_at=3,
    question=QUESTION,
    versions=("v",),
    headline="`npm-0` is restored.",
    scopes=(ReadableScope(MAIN, Role.OWN, "It is searched."),),
    steps=(
        StepOutcome(
            scope=MAIN,
            role=Role.OWN,
            key="npm-1",
            kind=MatchKind.EXACT,
            is_exact=True,
            outcome=Outcome.ANSWERED,
            entry=ENTRY,
            sentence="There.",
        ),
    ),
    answer=ENTRY,
    kind=MatchKind.RESTORE_KEY,
    rivals=(Rival(ENTRY, "Older."),),
    nearest=(
        NearMiss(
            cause=Cause.OTHER_VERSION,
            also=(Cause.UNREADABLE_SCOPE,),
            differences=(Difference(Input.PATHS, "a", None),),
            sentence="Near.",
        ),
    ),
)


def management(trying: Trying, server: ScriptedServer) -> RestManagement:
    return RestManagement(trying.requests(), server.url, "token")


def test_a_question_is_sent_and_its_answer_read_whole(trying: Trying) -> None:
    with scripted(Reply(200, msgspec.json.encode(EXPLANATION), JSON)) as server:
        explanation = management(trying, server).explain("Octo/Hello", QUESTION)

    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/runcache/v1/repos/octo/hello/explain")
    assert json.loads(request.body) == {
        "key": "npm-1",
        "restore_keys": ["npm-"],
        "paths": ["~/.npm"],
        "compression": "gzip",
        "system": "Windows",
        "cross_os": True,
        "ref": MAIN,
        "base_ref": "next",
    }
    assert explanation == EXPLANATION


def test_versions_may_be_sent_instead_of_paths(trying: Trying) -> None:
    with scripted(Reply(200, msgspec.json.encode(EXPLANATION), JSON)) as server:
        management(trying, server).explain("octo/hello", Question(key="k", versions=("v", "w")))

    (request,) = server.requests
    assert json.loads(request.body) == {"key": "k", "versions": ["v", "w"], "ref": MAIN}


@pytest.mark.parametrize(
    ("reply", "meant"),
    [
        (Reply(404, b'{"code": "not_found", "message": "no"}', JSON), NotPermitted),
        (Reply(404, b'{"code": "bad_route", "message": "no"}', JSON), ProtocolAbsent),
        (Reply(404, b"<html>", {}), ProtocolAbsent),
        (Reply(401, b'{"code": "unauthenticated", "message": "no"}', JSON), NotAuthenticated),
        (Reply(400, b'{"code": "invalid_argument", "message": "no"}', JSON), Refused),
        (Reply(200, b'{"repository": "octo/hello"}', JSON), UnexpectedAnswer),
        (Reply(200, b"[" * 10_000, JSON), UnexpectedAnswer),
    ],
)
def test_answers_that_explain_nothing_are_errors(
    trying: Trying, reply: Reply, meant: type[CacheError]
) -> None:
    with scripted(reply) as server, pytest.raises(meant):
        management(trying, server).explain("octo/hello", QUESTION)
