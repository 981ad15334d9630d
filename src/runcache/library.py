"""The public functions: a client for what the environment says, opened for one act."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypedDict, Unpack

import msgspec

from runcache.client.aio import AsyncSession, RestoreOptions, SaveOptions
from runcache.client.client import Client, Machine
from runcache.client.environment import Environment, Given
from runcache.client.results import Hit, Saved
from runcache.client.transports import Transport

if TYPE_CHECKING:
    from runcache.client.management import Management


class Connection(TypedDict, total=False):
    """What goes before the environment: a server with its token, or the folder of a store."""

    url: str
    token: str
    data: str
    repo: str
    ref: str


def restore(
    paths: Iterable[str],
    *,
    key: str,
    connection: Connection | None = None,
    **options: Unpack[RestoreOptions],
) -> Hit | None:
    """Restore what was saved at `paths`, as `Client.restore` does, and return what was found.

    Expressions in `${{ }}` are given their values first, in all texts.

    Raises:
        CacheError: it failed, in one of the ways of `runcache.errors`.
    """
    with closing(_begin(connection)) as session:
        return session.restore(paths, key=key, **options)


def save(
    paths: Iterable[str],
    *,
    key: str,
    connection: Connection | None = None,
    **options: Unpack[SaveOptions],
) -> Saved:
    """Save what is at `paths`, as `Client.save` does.

    Expressions in `${{ }}` are given their values first, in all texts.

    Raises:
        CacheError: it failed, in one of the ways of `runcache.errors`.
    """
    with closing(_begin(connection)) as session:
        return session.save(paths, key=key, **options)


@contextmanager
def cached(
    paths: Iterable[str],
    *,
    key: str,
    restore_keys: Iterable[str] = (),
    connection: Connection | None = None,
) -> Iterator[Hit | None]:
    """Restore, let the block make what is missing, and save unless the key was hit exactly.

    Expressions are given their values once, before the block. A block that raises saves nothing.

    Raises:
        CacheError: it failed, in one of the ways of `runcache.errors`.
    """
    with closing(_begin(connection)) as session:
        texts, (name,) = session.evaluated(paths), session.evaluated([key])
        others = session.evaluated(restore_keys)
        hit = session.client.restore(texts, key=name, restore_keys=others)
        yield hit
        if hit is None or not hit.exact:
            session.client.save(texts, key=name)


class AsyncClient(AsyncSession):
    """`restore` and `save` as coroutines, over one connection, to be used in an `async with`."""

    def __init__(self, **connection: Unpack[Connection]) -> None:
        super().__init__(lambda: _begin(connection))


def open_client(
    environment: Environment,
    *,
    warn: Callable[[str], None] | None = None,
    may_fork: bool = False,
) -> Client:
    """Return a client of the server that the environment names, else of the embedded store.

    `warn` hears what is wrong without being in the way; by default the logger `runcache` does.
    `may_fork` is that of `Machine`.

    Raises:
        InvalidSettings: the environment contradicts itself, or the store cannot be opened.
    """
    machine = Machine(
        folder=environment.folder,
        workspace=environment.workspace,
        home=environment.home,
        memory=environment.cache_folder,
        system=environment.system,
        may_fork=may_fork,
    )
    return Client(
        _transport(environment),
        machine,
        warn=warn or _log_warning,
        may_read=environment.may_read,
        may_write=environment.may_write,
    )


def open_management(environment: Environment) -> "Management":
    """Return what looks after the server that the environment names, else the embedded store.

    Raises:
        InvalidSettings: the environment contradicts itself, or there is no store.
    """
    address = environment.address
    if address is None:
        from runcache.embedded.management import opened  # noqa: PLC0415  -- as for a transport

        return opened(environment.data)
    from runcache.client.github_rest import open_server  # noqa: PLC0415  -- not for saves

    return open_server(address, environment.proxies)


class _Session(msgspec.Struct, frozen=True):
    """A client, and what gives expressions their values (`aio.Session` is the contract)."""

    environment: Environment
    client: Client

    def restore(
        self, paths: Iterable[str], *, key: str, **options: Unpack[RestoreOptions]
    ) -> Hit | None:
        options["restore_keys"] = self.evaluated(options.get("restore_keys", ()))
        (name,) = self.evaluated([key])
        return self.client.restore(self.evaluated(paths), key=name, **options)

    def save(self, paths: Iterable[str], *, key: str, **options: Unpack[SaveOptions]) -> Saved:
        (name,) = self.evaluated([key])
        return self.client.save(self.evaluated(paths), key=name, **options)

    def evaluated(self, texts: Iterable[str]) -> list[str]:
        """Return the texts with values in place of expressions; a single text is a list of one."""
        return [
            self.environment.evaluated(t) for t in ([texts] if isinstance(texts, str) else texts)
        ]

    def close(self) -> None:
        self.client.close()


def _begin(connection: Connection | None) -> _Session:
    environment = Environment(Given(**(connection or {})))
    return _Session(environment, open_client(environment))


def _transport(environment: Environment) -> Transport:
    address = environment.address
    if address is None:
        from runcache.embedded import EmbeddedTransport  # noqa: PLC0415  -- SQL and an event loop

        return EmbeddedTransport(environment.data, environment.job.identity)
    from runcache.client.http import open_http  # noqa: PLC0415  -- not for embedded stores

    return open_http(address, environment.proxies)


def _log_warning(message: str) -> None:
    import logging  # noqa: PLC0415  -- most of the time there is nothing to say

    logging.getLogger("runcache").warning("%s", message)
