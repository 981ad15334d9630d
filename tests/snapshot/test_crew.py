"""Threads that work off tasks."""

import threading
from collections.abc import Callable

import pytest

from runcache.snapshot.crew import Crew


def test_all_tasks_are_done_each_by_the_worker_of_a_thread() -> None:
    done: list[tuple[int, int, int]] = []

    def make_worker() -> Callable[[int], None]:
        own_thread = threading.get_ident()
        return lambda task: done.append((task, own_thread, threading.get_ident()))

    with Crew("test", 3, make_worker) as crew:
        for task in range(100):
            crew.give(task)

    assert sorted(task for task, _, _ in done) == list(range(100))
    assert all(own_thread == thread for _, own_thread, thread in done)


def test_tasks_that_tasks_make_are_done_too() -> None:
    done = []

    def work(task: int) -> None:
        done.append(task)
        if task:
            crew.give(task - 1, at_once=True)

    crew = Crew("test", 2, lambda: work)
    with crew:
        crew.give(50)

    assert done == list(range(50, -1, -1))


def test_an_urgent_task_is_done_before_the_others() -> None:
    done, has_begun, go_on = [], threading.Event(), threading.Event()

    def work(task: str) -> None:
        has_begun.set()
        go_on.wait()
        done.append(task)

    with Crew("test", 1, lambda: work) as crew:
        crew.give("first")
        has_begun.wait()
        crew.give("second")
        crew.give("urgent", at_once=True)
        go_on.set()

    assert done == ["first", "urgent", "second"]


def test_what_a_task_raises_is_raised_and_the_rest_forgotten() -> None:
    done = []

    def work(task: int) -> None:
        if task == 3:
            raise ConnectionError("the third one")
        done.append(task)

    def run() -> None:
        with Crew("test", 1, lambda: work) as crew:
            for task in range(100):
                crew.give(task)

    with pytest.raises(ConnectionError, match="the third one"):
        run()
    assert done == [0, 1, 2]


def test_a_worker_that_cannot_be_made_is_an_error() -> None:
    def make_worker() -> Callable[[int], None]:
        raise MemoryError

    with pytest.raises(MemoryError), Crew("test", 2, make_worker) as crew:
        crew.give(1)


def test_left_by_an_exception_it_waits_for_nothing() -> None:
    begin = threading.Event()

    def work(_: int) -> None:
        begin.wait()

    crew = Crew("test", 1, lambda: work)

    def run() -> None:
        with crew:
            crew.give(1)
            crew.give(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert crew.has_ended
    begin.set()


def test_its_threads_end_with_it() -> None:
    def work(_: int) -> None:
        return

    with Crew("ends", 3, lambda: work) as crew:
        crew.give(1)

    assert not any(thread.name.startswith("ends-") for thread in threading.enumerate())
