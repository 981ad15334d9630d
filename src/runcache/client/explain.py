"""A question about a lookup as it is sent, and the explanation that is answered."""

import msgspec

from runcache.errors import MalformedMessage
from runcache.insight.explain import Explanation, Question
from runcache.wire.explain import EXPLAIN_PATH, Explain


def path_of(repository: str) -> str:
    """Return where lookups of a repository, which is `owner/name`, are explained."""
    owner, _, name = repository.partition("/")
    return EXPLAIN_PATH.format(owner=owner, repo=name)


def encoded(question: Question) -> bytes:
    """Return the body of the request."""
    inputs = question.inputs
    asked = Explain(
        key=question.key,
        restore_keys=question.restore_keys,
        versions=question.versions,
        ref=question.ref,
        base_ref=question.base_ref,
        default_branch=question.default_branch,
    )
    if inputs is not None:
        asked = msgspec.structs.replace(
            asked,
            paths=inputs.paths,
            compression=inputs.compression,
            system=inputs.system,
            cross_os=inputs.cross_os,
        )
    return asked.encode()


def decoded(body: bytes) -> Explanation:
    """Read the answer.

    Raises:
        MalformedMessage: it is none.
    """
    try:
        return msgspec.json.decode(body, type=Explanation)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"the body cannot be read: {error}") from error
