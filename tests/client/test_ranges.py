"""Downloads that go on where they broke off, over links that are renewed."""

import itertools
import random
from collections.abc import Callable
from threading import Barrier, Thread

import pytest

from runcache.client.ranges import PIECE_BYTES, LinkedBlob, Links
from runcache.client.transports import Reader
from runcache.errors import (
    BlobMissing,
    BrokenEntry,
    LinkRefused,
    ServerFailed,
    ServerUnreachable,
    UnexpectedAnswer,
)
from tests.client.scripted_server import (
    RESET,
    SILENCE,
    Reply,
    Request,
    ScriptedServer,
    Trying,
    ranged,
)

BLOB = random.Random(1).randbytes(300_000)
LARGE = random.Random(2).randbytes(3 * PIECE_BYTES + 1234)

Answer = Callable[[Request], Reply]


def blob_at(
    trying: Trying,
    server: ScriptedServer,
    *,
    size_bytes: int | None = len(BLOB),
    renew: Callable[[], dict[str, str]] = dict,
    leads_to: str | None = None,
) -> LinkedBlob:
    leads = None if leads_to is None else {"pack": leads_to}
    links = Links({"pack": f"{server.url}/pack?sig=1"}, renew, leads=leads)
    return LinkedBlob(trying.requests(), links, "pack", size_bytes=size_bytes)


def read(reader: Reader, piece_bytes: int = 64 * 1024) -> bytes:
    """Read to the end, and close."""
    buffer = memoryview(bytearray(piece_bytes))
    data = bytearray()
    with reader:
        while count := reader.readinto(buffer):
            data += buffer[:count]
    return bytes(data)


def in_turn(*replies: Answer | Reply) -> Answer:
    """Answer each request in another way; the last one again and again."""
    left = itertools.chain(replies, itertools.repeat(replies[-1]))

    def answer(request: Request) -> Reply:
        reply = next(left)
        return reply if isinstance(reply, Reply) else reply(request)

    return answer


def good(request: Request) -> Reply:
    return ranged(BLOB, request, ETag='"1"')


def cut(after: int) -> Answer:
    """Break off after so many bytes of the range."""

    def answer(request: Request) -> Reply:
        reply = good(request)
        return Reply(reply.status, reply.body, reply.headers, cut_after=after)

    return answer


class TestRange:
    """Some bytes of a blob."""

    def test_has_its_bytes_and_no_others(self, trying: Trying) -> None:
        with ScriptedServer(good) as server:
            assert read(blob_at(trying, server).read(1000, 250_000)) == BLOB[1000:250_000]

        assert [request.headers["Range"] for request in server.requests] == ["bytes=1000-249999"]

    def test_goes_on_where_the_connection_broke(self, trying: Trying) -> None:
        with ScriptedServer(in_turn(cut(100_000), cut(70_000), good)) as server:
            assert read(blob_at(trying, server).read(10, 290_000)) == BLOB[10:290_000]

        ranges = [request.headers["Range"] for request in server.requests]
        assert ranges == ["bytes=10-289999", "bytes=100010-289999", "bytes=170010-289999"]

    @pytest.mark.parametrize("trouble", [RESET, SILENCE, Reply(503), Reply(500), Reply(429)])
    def test_outlasts_what_passes(self, trying: Trying, trouble: Reply) -> None:
        trying.silent_seconds = 1.0
        with ScriptedServer(in_turn(trouble, cut(1000), trouble, good)) as server:
            assert read(blob_at(trying, server).read(0, 5000)) == BLOB[:5000]

        assert trying.pauses == [0.5, 1.0, 2.0]

    def test_waits_as_long_as_it_is_asked_to(self, trying: Trying) -> None:
        busy = Reply(503, headers={"Retry-After": "9"})
        with ScriptedServer(in_turn(busy, good)) as server:
            read(blob_at(trying, server).read(0, 5000))

        assert trying.pauses == [9]

    def test_gives_up_in_the_end(self, trying: Trying) -> None:
        with (
            ScriptedServer(in_turn(RESET)) as server,
            pytest.raises(ServerUnreachable),
        ):
            read(blob_at(trying, server).read(0, 5000))

        assert len(trying.pauses) == 4

    def test_gives_up_with_the_servers_own_words(self, trying: Trying) -> None:
        with (
            ScriptedServer(in_turn(Reply(500, b"out of order"))) as server,
            pytest.raises(ServerFailed, match="out of order"),
        ):
            read(blob_at(trying, server).read(0, 5000))

    def test_does_not_give_up_as_long_as_it_moves(self, trying: Trying) -> None:
        with ScriptedServer(cut(70_000)) as server:
            assert read(blob_at(trying, server).read(0, 280_000)) == BLOB[:280_000]

        assert trying.pauses == [0.5, 0.5, 0.5]

    def test_gives_up_if_it_only_crawls(self, trying: Trying) -> None:
        with ScriptedServer(cut(10)) as server, pytest.raises(ServerUnreachable):
            read(blob_at(trying, server).read(0, 280_000))

    def test_of_a_host_without_ranges_is_cut_out_of_the_whole(self, trying: Trying) -> None:
        whole = Reply(200, BLOB, {"ETag": '"1"'})
        with ScriptedServer(lambda _: whole) as server:
            assert read(blob_at(trying, server).read(1000, 5000)) == BLOB[1000:5000]

    def test_goes_on_at_a_host_without_ranges_too(self, trying: Trying) -> None:
        broken = Reply(200, BLOB, cut_after=200_000)
        with ScriptedServer(in_turn(broken, Reply(200, BLOB))) as server:
            assert read(blob_at(trying, server).read(1000, 290_000)) == BLOB[1000:290_000]

    def test_of_a_blob_that_changes_meanwhile_is_broken(self, trying: Trying) -> None:
        other = in_turn(cut(100_000), lambda request: ranged(BLOB, request, ETag='"2"'))
        with ScriptedServer(other) as server, pytest.raises(BrokenEntry, match="changed"):
            read(blob_at(trying, server).read(0, 290_000))

    def test_that_ends_before_its_end_is_broken(self, trying: Trying) -> None:
        with (
            ScriptedServer(lambda request: ranged(BLOB[:1000], request)) as server,
            pytest.raises(BrokenEntry, match="ends at byte 1000"),
        ):
            read(blob_at(trying, server).read(0, 5000))

    def test_behind_the_end_is_broken(self, trying: Trying) -> None:
        with (
            ScriptedServer(lambda request: ranged(BLOB[:1000], request)) as server,
            pytest.raises(BrokenEntry),
        ):
            read(blob_at(trying, server).read(2000, 5000))

    @pytest.mark.parametrize(
        "content_range", [None, "bytes 1-5000/300000", "bytes */300000", "pages 0-4999/300000"]
    )
    def test_that_is_another_one_is_not_taken(
        self, trying: Trying, content_range: str | None
    ) -> None:
        headers = {} if content_range is None else {"Content-Range": content_range}
        with (
            ScriptedServer(lambda _: Reply(206, BLOB[:5000], headers)) as server,
            pytest.raises(UnexpectedAnswer),
        ):
            read(blob_at(trying, server).read(0, 5000))

    @pytest.mark.parametrize("status", [404, 410])
    def test_of_a_blob_that_was_evicted_is_missing(self, trying: Trying, status: int) -> None:
        with ScriptedServer(lambda _: Reply(status)) as server, pytest.raises(BlobMissing):
            read(blob_at(trying, server).read(0, 5000))

    def test_can_be_left_in_the_middle(self, trying: Trying) -> None:
        with ScriptedServer(good) as server:
            reader = blob_at(trying, server).read(0, 200_000)
            reader.readinto(memoryview(bytearray(10)))
            reader.close()
            reader.close()


class TestLinks:
    """Links, which expire."""

    def test_a_refused_link_is_renewed(self, trying: Trying) -> None:
        def answer(request: Request) -> Reply:
            return good(request) if request.target.endswith("sig=2") else Reply(403)

        with ScriptedServer(answer) as server:
            blob = blob_at(trying, server, renew=lambda: {"pack": f"{server.url}/pack?sig=2"})
            assert read(blob.read(0, 5000)) == BLOB[:5000]
            assert read(blob.read(0, 5000)) == BLOB[:5000]

        assert len(server.requests) == 3
        assert trying.pauses == []

    def test_one_that_expires_between_two_connections_is_too(self, trying: Trying) -> None:
        numbers = itertools.count(2)
        valid = ["1"]

        def answer(request: Request) -> Reply:
            if not request.target.endswith(f"sig={valid[0]}"):
                return Reply(401)
            valid[0] = str(int(valid[0]) + 1)
            return cut(100_000)(request)

        with ScriptedServer(answer) as server:
            blob = blob_at(
                trying, server, renew=lambda: {"pack": f"{server.url}/pack?sig={next(numbers)}"}
            )
            assert read(blob.read(0, 290_000)) == BLOB[:290_000]

    def test_one_that_nobody_renews_is_refused(self, trying: Trying) -> None:
        with ScriptedServer(lambda _: Reply(403)) as server, pytest.raises(LinkRefused):
            read(blob_at(trying, server).read(0, 5000))

        assert len(server.requests) == 1

    def test_one_that_is_refused_though_it_is_new_is_refused(self, trying: Trying) -> None:
        with ScriptedServer(lambda _: Reply(403)) as server:
            blob = blob_at(trying, server, renew=lambda: {"pack": f"{server.url}/other"})
            with pytest.raises(LinkRefused):
                read(blob.read(0, 5000))

        assert len(server.requests) == 2

    def test_many_that_find_it_refused_at_once_renew_it_once(self) -> None:
        renewals = []
        barrier = Barrier(8)

        def renew() -> dict[str, str]:
            renewals.append(1)
            return {"pack": "new"}

        links = Links({"pack": "old"}, renew)
        found: list[str] = []

        def ask() -> None:
            barrier.wait()
            found.append(links.renewed("pack", "old"))

        threads = [Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert found == ["new"] * 8
        assert len(renewals) == 1

    def test_redirects_are_followed(self, trying: Trying) -> None:
        def answer(request: Request) -> Reply:
            if request.target.startswith("/pack"):
                return Reply(302, headers={"Location": "/elsewhere"})
            return good(request)

        with ScriptedServer(answer) as server:
            assert read(blob_at(trying, server).read(0, 5000)) == BLOB[:5000]

    def test_redirects_without_an_end_are_not(self, trying: Trying) -> None:
        round_and_round = Reply(302, headers={"Location": "/pack"})
        with (
            ScriptedServer(lambda _: round_and_round) as server,
            pytest.raises(UnexpectedAnswer),
        ):
            read(blob_at(trying, server).read(0, 5000))


class TestStream:
    """A whole blob, in order."""

    @pytest.mark.parametrize("size_bytes", [len(LARGE), None])
    def test_comes_in_ranges_over_several_connections(
        self, trying: Trying, size_bytes: int | None
    ) -> None:
        with ScriptedServer(lambda request: ranged(LARGE, request, ETag='"1"')) as server:
            data = read(blob_at(trying, server, size_bytes=size_bytes).stream(), 1_000_003)

        assert data == LARGE
        assert len(server.requests) == 4
        assert len({request.connection for request in server.requests}) > 1

    def test_that_is_small_is_one_request(self, trying: Trying) -> None:
        with ScriptedServer(good) as server:
            data = read(blob_at(trying, server, size_bytes=None).stream())

        assert data == BLOB
        assert len(server.requests) == 1

    @pytest.mark.parametrize("chunked", [False, True])
    def test_of_a_host_without_ranges_is_one_request(
        self, trying: Trying, *, chunked: bool
    ) -> None:
        with ScriptedServer(lambda _: Reply(200, LARGE, chunked=chunked)) as server:
            data = read(blob_at(trying, server, size_bytes=None).stream())

        assert data == LARGE
        assert len(server.requests) == 1

    def test_goes_on_wherever_a_connection_broke(self, trying: Trying) -> None:
        chance = random.Random(3)

        def answer(request: Request) -> Reply:
            reply = ranged(LARGE, request)
            if chance.random() < 0.5:
                return Reply(reply.status, reply.body, reply.headers, cut_after=1_000_000)
            return reply

        with ScriptedServer(answer) as server:
            assert read(blob_at(trying, server, size_bytes=None).stream()) == LARGE

    def test_of_another_size_than_it_was_said_to_be_is_broken(self, trying: Trying) -> None:
        with ScriptedServer(good) as server, pytest.raises(BrokenEntry):
            blob_at(trying, server, size_bytes=len(BLOB) + 1).stream()

    def test_that_changes_between_two_ranges_is_broken(self, trying: Trying) -> None:
        tags = itertools.count()
        with (
            ScriptedServer(
                lambda request: ranged(LARGE, request, ETag=f'"{next(tags)}"')
            ) as server,
            pytest.raises(BrokenEntry, match="changed"),
        ):
            read(blob_at(trying, server, size_bytes=len(LARGE)).stream())

    def test_that_breaks_for_good_says_why(self, trying: Trying) -> None:
        def answer(request: Request) -> Reply:
            is_last = request.headers["Range"].startswith(f"bytes={3 * PIECE_BYTES}-")
            return RESET if is_last else ranged(LARGE, request)

        with ScriptedServer(answer) as server, pytest.raises(ServerUnreachable):
            read(blob_at(trying, server, size_bytes=len(LARGE)).stream())

    def test_can_be_left_in_the_middle(self, trying: Trying) -> None:
        with ScriptedServer(lambda request: ranged(LARGE, request)) as server:
            reader = blob_at(trying, server, size_bytes=len(LARGE)).stream()
            reader.readinto(memoryview(bytearray(10)))
            reader.close()
            trying.close()


class TestLeadElsewhere:
    """Links of a server that lead to its store."""

    def test_is_asked_once_and_the_store_is_from_then_on(self, trying: Trying) -> None:
        with ScriptedServer(good) as store:
            lead = Reply(307, headers={"Location": f"{store.url}/object?X-Amz-Signature=1"})
            with ScriptedServer(in_turn(lead)) as server:
                blob = blob_at(trying, server)

                pieces = [read(blob.read(start, start + 100)) for start in range(0, 300, 100)]

        assert b"".join(pieces) == BLOB[:300]
        assert len(server.requests) == 1
        assert [request.headers["Range"] for request in store.requests] == [
            "bytes=0-99",
            "bytes=100-199",
            "bytes=200-299",
        ]

    def test_need_not_be_asked_where_the_server_has_said_at_once_where_they_lead(
        self, trying: Trying
    ) -> None:
        with ScriptedServer(in_turn(good, Reply(403), good)) as store:
            lead = Reply(307, headers={"Location": f"{store.url}/object?X-Amz-Signature=2"})
            with ScriptedServer(in_turn(lead)) as server:
                blob = blob_at(trying, server, leads_to=f"{store.url}/object?X-Amz-Signature=1")

                pieces = [read(blob.read(start, start + 100)) for start in (0, 100)]

        assert b"".join(pieces) == BLOB[:200]
        assert [request.target[-1] for request in store.requests] == ["1", "1", "2"]
        assert len(server.requests) == 1

    def test_is_asked_again_when_the_store_refuses(self, trying: Trying) -> None:
        with ScriptedServer(in_turn(good, Reply(403), good)) as store:
            leads = [
                Reply(307, headers={"Location": f"{store.url}/object?X-Amz-Signature={number}"})
                for number in (1, 2)
            ]
            with ScriptedServer(in_turn(*leads)) as server:
                blob = blob_at(trying, server)

                pieces = [read(blob.read(start, start + 100)) for start in (0, 100)]

        assert b"".join(pieces) == BLOB[:200]
        assert [request.target[-1] for request in store.requests] == ["1", "1", "2"]

    @pytest.mark.parametrize("is_known", [False, True])
    def test_sends_the_bytes_itself_when_nobody_is_there(
        self, trying: Trying, *, is_known: bool
    ) -> None:
        with ScriptedServer(good) as store:
            nobody = store.url
        lead = Reply(307, headers={"Location": f"{nobody}/object"})

        def answer(request: Request) -> Reply:
            return good(request) if request.headers.get("X-Runcache-Direct") == "no" else lead

        with ScriptedServer(answer) as server:
            blob = blob_at(trying, server, leads_to=f"{nobody}/object" if is_known else None)
            pieces = [read(blob.read(start, start + 100)) for start in (0, 100)]

        assert b"".join(pieces) == BLOB[:200]
        assert len(server.requests) == (2 if is_known else 3)
        assert trying.pauses == []

    def test_may_have_another_tag_than_the_server(self, trying: Trying) -> None:
        with ScriptedServer(good) as store:
            lead = Reply(307, headers={"Location": f"{store.url}/object"})
            streamed = ranged(BLOB[:100], Request("GET", "", {"Range": "bytes=0-99"}, b"", 0))
            here = Reply(
                206,
                streamed.body,
                {"Content-Range": "bytes 0-99/300000", "ETag": '"of the server"'},
            )
            with ScriptedServer(in_turn(here, lead)) as server:
                blob = blob_at(trying, server)

                pieces = [read(blob.read(start, start + 100)) for start in (0, 100)]

        assert b"".join(pieces) == BLOB[:200]
