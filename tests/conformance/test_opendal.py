"""OpenDAL's `ghac` service, which speaks both protocols, v2 in protobuf."""

import os

import opendal
import pytest
from opendal.exceptions import AlreadyExists, NotFound

from tests.conformance.jobs import Repository

MIB = 1024 * 1024


@pytest.fixture(params=["v2", "v1"])
def storage(
    request: pytest.FixtureRequest, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> opendal.Operator:
    job = repository.job()
    monkeypatch.setenv("ACTIONS_RESULTS_URL", job.url)
    monkeypatch.setenv("ACTIONS_CACHE_URL", job.url)
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", job.token)
    monkeypatch.setenv("ACTIONS_CACHE_SERVICE_V2", "true" if request.param == "v2" else "")
    return opendal.Operator("ghac", version="v1", root="/cargo/")


def test_what_is_written_is_read_whole_and_in_part(storage: opendal.Operator) -> None:
    body = os.urandom(MIB)

    storage.write("registry/index", body)

    assert storage.read("registry/index") == body
    assert storage.read("registry/index", offset=1000, size=24) == body[1000:1024]
    assert storage.stat("registry/index").content_length == MIB


def test_what_is_written_in_pieces_is_read_as_one(storage: opendal.Operator) -> None:
    pieces = [os.urandom(MIB) for _ in range(5)]

    with storage.open("target/debug", "wb") as file:
        for piece in pieces:
            file.write(piece)

    assert storage.read("target/debug") == b"".join(pieces)


def test_a_second_write_is_refused_and_changes_nothing(storage: opendal.Operator) -> None:
    storage.write("key", b"first")

    with pytest.raises(AlreadyExists):
        storage.write("key", b"second")

    assert storage.read("key") == b"first"


def test_what_was_never_written_does_not_exist(storage: opendal.Operator) -> None:
    # A path that others begin with would be found: a key is a prefix, too.
    storage.write("key", b"another")

    assert not storage.exists("key/of-another")
    with pytest.raises(NotFound):
        storage.read("other")
