"""The store in a bucket, on a real S3: the contract, and what only a bucket can do wrong."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import obstore
import pytest
import pytest_asyncio

from runcache.errors import StoreUnavailable, UploadInterrupted
from runcache.locations import Bucket, parse_store
from runcache.model import Part
from runcache.store import layout
from runcache.store.blobs import BlobStore
from runcache.store.s3 import S3Store
from runcache.store.s3_connection import S3Connection
from runcache.store.s3_part import PIECE_BYTES
from runcache.testing.blob_store_suite import (
    BLOB,
    OTHER_BLOB,
    OTHER_PART,
    PART,
    BlobStoreSuite,
    get,
    get_range,
    names_in,
    put,
)
from tests.engines.seaweedfs import ENVIRONMENT, SETTINGS, SeaweedFS, running
from tests.server.certificate import make_certificate

pytestmark = pytest.mark.usefixtures("s3_credentials")

MIB: Final = 1024 * 1024
LARGE: Final = 2 * PIECE_BYTES + MIB
# Of anything but a page: S3 lists and deletes a thousand at a time.
MANY_PARTS: Final = 2000
MANY_BLOBS: Final = 3000


def location_of(url: str) -> Bucket:
    location = parse_store(url)
    assert isinstance(location, Bucket)
    return location


@pytest_asyncio.fixture
async def connection(s3_store_url: str) -> AsyncIterator[S3Connection]:
    with closing(await S3Connection.opened(location_of(s3_store_url))) as connection:
        yield connection


@pytest_asyncio.fixture
async def store(connection: S3Connection) -> AsyncIterator[S3Store]:
    with closing(S3Store(connection, grace=timedelta(0), upload_grace=timedelta(0))) as store:
        yield store


class TestS3Store(BlobStoreSuite):
    @pytest_asyncio.fixture
    async def store(self, connection: S3Connection) -> AsyncIterator[BlobStore]:
        with closing(S3Store(connection, grace=timedelta(0))) as store:
            yield store


@dataclass
class Sent:
    """Bytes that come from a socket (`KernelBytes` is the contract)."""

    connection: socket.socket
    size_bytes: int

    @property
    def descriptor(self) -> int:
        return self.connection.fileno()

    async def readable(self) -> None:
        loop = asyncio.get_running_loop()
        is_readable = asyncio.Event()
        loop.add_reader(self.connection, is_readable.set)
        await is_readable.wait()
        loop.remove_reader(self.connection)


async def unfinished(connection: S3Connection) -> list[str]:
    """Return the keys of uploads in pieces that nobody has completed."""
    page = await connection.call("list_multipart_uploads", Prefix=connection.key_of(""))
    return [upload["Key"] for upload in page.get("Uploads", ())]


async def test_large_parts_go_up_in_pieces_and_come_back_whole(
    store: S3Store, connection: S3Connection
) -> None:
    data = os.urandom(LARGE)
    hasher = hashlib.sha256()

    async with store.receive(BLOB, PART, hasher=hasher) as incoming:
        for start in range(0, LARGE, 3 * MIB):
            # What the writer does with its memory afterwards is its own affair.
            buffer = bytearray(data[start : start + 3 * MIB])
            await incoming.write(memoryview(buffer))
            buffer[:] = bytes(len(buffer))
        await incoming.hand_over()
    part = Part(PART, 0, incoming.size_bytes)

    assert incoming.size_bytes == LARGE
    assert hasher.digest() == hashlib.sha256(data).digest()
    assert await get(store, BLOB, part) == data
    assert await get_range(store, BLOB, part, PIECE_BYTES - 1, 2) == data[PIECE_BYTES - 1 :][:2]
    assert await unfinished(connection) == []


async def test_bytes_from_the_kernel_arrive_however_they_trickle(store: S3Store) -> None:
    data = os.urandom(PIECE_BYTES + 12_345)
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(0)

    async def send() -> None:
        await loop.sock_sendall(theirs, data[:1000])
        await asyncio.sleep(0)
        await loop.sock_sendall(theirs, data[1000:])

    with ours, theirs:
        async with store.receive(BLOB, PART, hasher=(hasher := hashlib.sha256())) as incoming:
            sending = asyncio.create_task(send())
            await incoming.write(Sent(ours, 4 * MIB))
            await incoming.write(Sent(ours, len(data) - 4 * MIB))
            await incoming.hand_over()
        await sending

    assert await get(store, BLOB, Part(PART, 0, len(data))) == data
    assert hasher.digest() == hashlib.sha256(data).digest()


async def test_a_body_that_ends_early_leaves_nothing(
    store: S3Store, connection: S3Connection
) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)

    async def receive() -> None:
        async with store.receive(BLOB, PART) as incoming:
            await incoming.write(bytes(LARGE))
            theirs.close()
            await incoming.write(Sent(ours, 10))

    with ours, pytest.raises(UploadInterrupted):
        await receive()

    assert await unfinished(connection) == []
    assert await names_in(store) == []


async def test_who_goes_away_while_a_part_is_completed_leaves_nothing(
    store: S3Store, connection: S3Connection
) -> None:
    is_written = asyncio.Event()

    async def receive() -> None:
        async with store.receive(BLOB, PART) as incoming:
            await incoming.write(bytes(LARGE))
            is_written.set()
            await incoming.hand_over()

    receiving = asyncio.create_task(receive())
    await is_written.wait()
    await asyncio.sleep(0)
    receiving.cancel()
    with suppress(asyncio.CancelledError):
        await receiving

    assert await names_in(store) == []
    assert await unfinished(connection) == []


async def test_what_a_killed_process_was_sending_is_swept_after_a_grace(
    store: S3Store, connection: S3Connection
) -> None:
    patient = S3Store(connection)
    # A process that is killed leaves its uploads as they are.
    killed = store.receive(BLOB, PART)
    incoming = await killed.__aenter__()
    await incoming.write(bytes(LARGE))

    await patient.tidy()
    before = await unfinished(connection)
    await store.tidy()

    assert before == [connection.key_of(layout.part_path(BLOB, PART).as_posix())]
    assert await unfinished(connection) == []
    await killed.__aexit__(None, None, None)
    patient.close()


async def test_a_part_that_is_new_may_yet_get_its_row_unless_its_blob_is_committed(
    connection: S3Connection,
) -> None:
    patient = S3Store(connection)
    await put(patient, BLOB, PART, b"data")

    assert await patient.unclaimed(BLOB) == []
    assert await patient.unclaimed(BLOB, is_committed=True) == [PART]
    patient.close()


async def test_thousands_of_objects_are_listed_looked_for_read_and_deleted(
    store: S3Store, connection: S3Connection
) -> None:
    parts = [Part(f"{number:016x}", number, 1) for number in range(MANY_PARTS)]
    blobs = [f"{number:032x}" for number in range(1, MANY_BLOBS + 1)]
    places = [(BLOB, part.name) for part in parts] + [(blob, PART) for blob in blobs]
    await fill(connection, [layout.part_path(*place).as_posix() for place in places])

    assert len(places) == 5000
    assert sorted(await names_in(store)) == [BLOB, *blobs]
    assert await store.first_incomplete({BLOB: parts}) is None
    assert await store.first_incomplete({BLOB: [*parts, Part("f" * 16, 0, 1)]}) == BLOB
    assert await store.unclaimed(BLOB) == [part.name for part in parts]
    await store.delete_parts(BLOB, [part.name for part in parts[:1500]])
    assert await store.unclaimed(BLOB) == [part.name for part in parts[1500:]]
    await store.delete(BLOB)
    assert await store.unclaimed(BLOB) == []
    assert sorted(await names_in(store)) == blobs


async def fill(connection: S3Connection, paths: list[str]) -> None:
    """Put one byte at each path, many at once."""
    turns = asyncio.Semaphore(64)

    async def fill_one(path: str) -> None:
        async with turns:
            await obstore.put_async(connection.objects, path, b"x")

    await asyncio.gather(*map(fill_one, paths))


async def test_stores_in_one_bucket_do_not_know_each_other(
    seaweedfs: SeaweedFS, store: S3Store, connection: S3Connection
) -> None:
    # A prefix of the other's, as text.
    name = connection.bucket.prefix
    beside = await S3Connection.opened(location_of(seaweedfs.store_url(f"{name}-2")))
    with closing(beside):
        neighbour = S3Store(beside, grace=timedelta(0), upload_grace=timedelta(0))
        await put(store, BLOB, PART, b"one")
        part = await put(neighbour, OTHER_BLOB, OTHER_PART, b"another")
        assert await store.claim("one")
        assert await neighbour.claim("another")
        uploading = store.receive(BLOB, OTHER_PART)
        await (await uploading.__aenter__()).write(bytes(LARGE))

        await neighbour.tidy()
        await neighbour.delete(BLOB)

        assert await names_in(store) == [BLOB]
        assert await names_in(neighbour) == [OTHER_BLOB]
        assert await get(neighbour, OTHER_BLOB, part) == b"another"
        assert len(await unfinished(connection)) == 1
        await uploading.__aexit__(None, None, None)


async def test_what_else_is_in_a_bucket_is_left_alone(
    store: S3Store, connection: S3Connection
) -> None:
    foreign = (f"00/{'1' * 32}/{PART}", f"00/{BLOB}/notes", f"{BLOB}/{PART}", "README")
    for path in foreign:
        await obstore.put_async(connection.objects, path, b"not ours")
    key = connection.key_of("backup.tar")
    begun = await connection.call("create_multipart_upload", Key=key)
    await put(store, BLOB, PART, b"data")

    await store.tidy()
    names, unclaimed = await names_in(store), await store.unclaimed(BLOB)

    assert (names, unclaimed) == ([BLOB], [PART])
    assert await unfinished(connection) == [key]
    await connection.call("abort_multipart_upload", Key=key, UploadId=begun["UploadId"])


async def refusal_of(url: str) -> StoreUnavailable:
    """Return what a store says to whoever asks whether a blob is whole, and to all others."""
    with closing(await S3Connection.opened(location_of(url))) as connection:
        store = S3Store(connection)
        acts: list[Awaitable[object]] = [
            store.first_incomplete({BLOB: [Part(PART, 0, 1)]}),
            store.claim("catalog"),
            store.unclaimed(BLOB),
            store.delete(BLOB),
            store.delete_parts(BLOB, [PART]),
            get(store, BLOB, Part(PART, 0, 1)),
            put(store, BLOB, PART, b"data"),
            names_in(store),
            store.tidy(),
        ]
        said = await asyncio.gather(*acts, return_exceptions=True)
        store.close()
    errors = [error for error in said if isinstance(error, StoreUnavailable)]
    assert len(errors) == len(acts), said
    for error in errors:
        shown = f"{error!r} {error.hint} {error.__cause__!r}"
        assert not any(secret in shown for secret in ENVIRONMENT.values())
        assert "://" not in shown
        assert "X-Amz" not in shown
        assert error.__suppress_context__
    return errors[0]


async def test_a_bucket_that_is_not_there_is_no_miss(seaweedfs: SeaweedFS) -> None:
    error = await refusal_of(seaweedfs.store_url("prefix", bucket="absent"))

    assert str(error) == "the store refuses: `NoSuchBucket`"
    assert error.hint == "make the bucket, or correct `store`"


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
async def test_wrong_credentials_are_named(
    variable: str, s3_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "wrong")

    error = await refusal_of(s3_store_url)

    assert str(error) == "the store refuses: `403`"
    assert error.hint is not None
    assert variable in error.hint


async def test_an_endpoint_where_nobody_listens_is_named() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]

        error = await refusal_of(f"s3://cache/?endpoint=http://127.0.0.1:{port}")

    assert str(error) == "the store cannot be reached"
    assert error.hint == "check the endpoint in `store`"


async def test_no_credentials_are_asked_for(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(StoreUnavailable, match="there are no credentials") as raised:
        await S3Connection.opened(location_of(s3_store_url))

    assert raised.value.hint is not None
    assert "AWS_ACCESS_KEY_ID" in raised.value.hint


async def test_a_certificate_of_a_private_authority_is_trusted_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(range(256)) * 50_000
    certificate, key = await asyncio.to_thread(make_certificate, tmp_path)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    flags = (f"-s3.port.https={port}", f"-s3.cert.file={certificate}", f"-s3.key.file={key}")
    url = f"s3://cache/?endpoint=https://127.0.0.1:{port}"

    with ExitStack() as stack:
        server = running(tmp_path, settings=(*SETTINGS, *flags))
        await asyncio.to_thread(stack.enter_context, server)
        distrusted = await refusal_of(url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        with closing(await S3Connection.opened(location_of(url))) as connection:
            store = S3Store(connection, grace=timedelta(0))
            part = await put(store, BLOB, PART, data)
            read = await get(store, BLOB, part)
            unclaimed = await store.unclaimed(BLOB)
            store.close()

    assert str(distrusted) == "the certificate of the store is not trusted"
    assert distrusted.hint is not None
    assert "AWS_CA_BUNDLE" in distrusted.hint
    assert (read, unclaimed) == (data, [PART])


async def test_certificates_that_cannot_be_read_are_named(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/absent.pem")

    with pytest.raises(StoreUnavailable, match=r"`/absent\.pem`") as raised:
        await S3Connection.opened(location_of(s3_store_url))

    assert raised.value.hint == "correct `AWS_CA_BUNDLE`"
