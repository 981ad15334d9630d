"""A server in front of the real one that does not know everything, such as GitHub's own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from tests.client.scripted_server import Reply, Request, ScriptedServer

NOT_FOUND = Reply(404, b'{"message":"Not Found"}', {"Content-Type": "application/json"})


@contextmanager
def front(
    url: str,
    *,
    without: Sequence[str] = (),
    absent: Reply = NOT_FOUND,
    instead: Callable[[Request, Reply], Reply] = lambda _, reply: reply,
) -> Iterator[ScriptedServer]:
    """Pass requests on to the server at `url`, but for those whose path begins with `without`.

    `instead` makes another reply of each.
    """

    def answer(request: Request) -> Reply:
        if request.target.startswith(tuple(without)):
            return absent
        return instead(request, _passed_on(url, request))

    with ScriptedServer(answer) as server:
        yield server


def _passed_on(url: str, request: Request) -> Reply:
    with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
        connection.request(request.method, request.target, request.body, dict(request.headers))
        response = connection.getresponse()
        headers = {
            name: value
            for name, value in response.getheaders()
            if name not in {"Connection", "Date", "Server", "Content-Length"}
        }
        return Reply(response.status, response.read(), headers)
