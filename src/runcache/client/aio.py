"""The client for programs with an event loop: the same, in threads."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self, TypedDict, Unpack

from runcache.client.results import Format, Hit, Saved


class RestoreOptions(TypedDict, total=False):
    """What a restore can be told besides paths and key (`Client.restore`)."""

    restore_keys: Iterable[str]
    cross_os: bool
    lookup_only: bool
    exact: bool
    verify: bool


class SaveOptions(TypedDict, total=False):
    """What a save can be told besides paths and key (`Client.save`)."""

    format: Format
    level: int | None
    base: str
    cross_os: bool
    refuse_secrets: bool


class Session(Protocol):
    """What restores and saves, and waits meanwhile."""

    def restore(
        self, paths: Iterable[str], *, key: str, **options: Unpack[RestoreOptions]
    ) -> Hit | None:
        """See `Client.restore`."""

    def save(self, paths: Iterable[str], *, key: str, **options: Unpack[SaveOptions]) -> Saved:
        """See `Client.save`."""
        ...

    def close(self) -> None:
        """See `Client.close`."""


class AsyncSession:
    """A session whose methods are coroutines, to be used in an `async with`.

    A call that is cancelled goes on in its thread until it ends.
    """

    def __init__(self, begin: Callable[[], Session]) -> None:
        self._begin = begin
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        from asyncio import to_thread  # noqa: PLC0415  -- who comes here has it already

        self._session = await to_thread(self._begin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from asyncio import to_thread  # noqa: PLC0415  -- as above

        session, self._session = self._begun, None
        await to_thread(session.close)

    async def restore(
        self, paths: Iterable[str], *, key: str, **options: Unpack[RestoreOptions]
    ) -> Hit | None:
        """Restore as `runcache.restore` does."""
        from asyncio import to_thread  # noqa: PLC0415  -- as above

        return await to_thread(self._begun.restore, paths, key=key, **options)

    async def save(
        self, paths: Iterable[str], *, key: str, **options: Unpack[SaveOptions]
    ) -> Saved:
        """Save as `runcache.save` does."""
        from asyncio import to_thread  # noqa: PLC0415  -- as above

        return await to_thread(self._begun.save, paths, key=key, **options)

    @property
    def _begun(self) -> Session:
        if self._session is None:
            raise RuntimeError("use the client in an `async with`")
        return self._session
