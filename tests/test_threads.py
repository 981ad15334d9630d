"""Threads that work for an event loop."""

import asyncio
import gc
import threading
import weakref

import pytest

from runcache.threads import WorkerThreads


class Something:
    pass


async def test_a_single_thread_works_in_the_order_of_the_calls() -> None:
    threads = WorkerThreads("one")
    done: list[int] = []

    await asyncio.gather(*(threads.run(lambda n=n: done.append(n)) for n in range(100)))  # type: ignore[misc]

    assert done == list(range(100))
    threads.end()


async def test_what_work_returns_or_raises_is_told_where_it_came_from() -> None:
    threads = WorkerThreads("one")

    assert await threads.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(lambda: 43) == 43
    threads.end()


async def test_several_threads_work_at_the_same_time() -> None:
    threads = WorkerThreads("two", 2)
    meeting = threading.Barrier(2)

    await asyncio.gather(threads.run(meeting.wait), threads.run(meeting.wait))

    threads.end()


async def test_work_is_done_though_nobody_waits_for_it_any_more() -> None:
    threads = WorkerThreads("one")
    may_go, done = threading.Event(), threading.Event()
    first = asyncio.ensure_future(threads.run(may_go.wait))
    second = asyncio.ensure_future(threads.run(done.set))
    await asyncio.sleep(0)

    first.cancel()
    second.cancel()
    may_go.set()

    await threads.run(lambda: None)
    assert done.is_set()
    assert first.cancelled()
    assert second.cancelled()
    threads.end()


async def test_what_was_handed_over_before_the_end_is_done_and_then_the_threads_end() -> None:
    threads = WorkerThreads("ending", 3)
    outcome = asyncio.ensure_future(threads.run(threading.current_thread))
    await asyncio.sleep(0)

    threads.end()

    (await outcome).join(timeout=10)
    assert not (await outcome).is_alive()


def test_what_ends_after_the_loop_does_not_matter_to_anybody() -> None:
    may_go = threading.Event()

    async def leave() -> threading.Thread:
        threads = WorkerThreads("late")
        thread = await threads.run(threading.current_thread)
        for _ in range(2):
            asyncio.ensure_future(threads.run(may_go.wait))  # noqa: RUF006  -- it is never awaited
        await asyncio.sleep(0)
        threads.end()
        return thread

    thread = asyncio.run(leave())
    may_go.set()
    thread.join(timeout=10)

    # What a thread raises fails a test.
    assert not thread.is_alive()


async def test_nothing_is_kept_of_work_that_is_done() -> None:
    threads = WorkerThreads("one")
    something = Something()
    reference = weakref.ref(something)

    await threads.run(lambda kept=something: id(kept))  # type: ignore[misc]
    del something
    await threads.run(lambda: None)

    gc.collect()
    assert reference() is None
    threads.end()
