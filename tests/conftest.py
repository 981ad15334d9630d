"""What holds for all tests: nothing blocks the loop, CI repeats examples, no skip is silent."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Final

import pytest
from blockbuster import BlockBusterFunction, blockbuster_ctx
from hypothesis import settings

pytest_plugins = ("tests.engines.postgres", "tests.engines.seaweedfs")

IN_CI: Final = os.environ.get("CI") == "true"

# A skip that CI accepts has a reason that begins with one of these.
ALLOWED_SKIPS: Final = (
    "needs more file descriptors",  # a hard limit that a container may set below what a test needs
    "needs the expression suite",  # GitHub's test data, which lies beside a checkout or does not
)

# What fails in the contract suite of stores tells what it compared.
pytest.register_assert_rewrite("runcache.testing.blob_store_suite")

# Tests interrupt programs: a shell that runs the suite in the background makes all of them deaf.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run of CI, so that a change fails by its own fault only.
settings.register_profile("runcache", deadline=None, derandomize=IN_CI, print_blob=True)
settings.load_profile("runcache")

# File calls that blockbuster does not watch by itself.
FILE_CALLS: Final = (
    "builtins.open",
    "io.open",  # what `Path.open` calls
    "os.copy_file_range",
    "os.fdatasync",
    "os.fsync",
    "os.open",
    "os.pread",
    "os.preadv",
    "os.pwrite",
    "os.pwritev",
    "os.readv",
    "os.truncate",
    "os.writev",
)

MAY_BLOCK: Final = (
    # An import happens once; the modules that are late are late for the sake of start-up.
    ("<frozen importlib._bootstrap>", "_find_and_load"),
    # It reads from /proc, which is memory.
    ("prometheus_client/process_collector.py", "__init__"),
    ("prometheus_client/process_collector.py", "collect"),
    # For PostgreSQL it has a loop of its own, in a thread.
    ("runcache/catalog/migrate.py", "_migrate"),
    # Whose certificate and passwords it uses, it looks up for each of the few connections it makes.
    ("asyncpg/connect_utils.py", "_parse_connect_arguments"),
)


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_ours_blocks_the_loop() -> Iterator[None]:
    """Raise `BlockingError` where runcache, or what it calls, blocks a running event loop.

    Tests may block the loop themselves, and threads may block anyway.
    """
    ours = "runcache"
    more = [BlockBusterFunction(None, name, scanned_modules=ours) for name in FILE_CALLS]
    more.append(
        BlockBusterFunction(
            None, "io.FileIO.write", scanned_modules=ours, can_block_predicate=_writes_to_console
        )
    )
    with blockbuster_ctx(ours) as guard:
        for function in more:
            function.activate()
        for function in (*guard.functions.values(), *more):
            for file, name in MAY_BLOCK:
                function.can_block_in(file, name)
        try:
            yield
        finally:
            for function in more:
                function.deactivate()


def _writes_to_console(file: io.FileIO, *_: object) -> bool:
    console = {1, 2}
    for stream in (sys.stdout, sys.stderr):  # which pytest replaces
        with contextlib.suppress(io.UnsupportedOperation):
            console.add(stream.fileno())
    return file.fileno() in console


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, let a test that should have run fail if it was skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _fail_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI, let a module that should have run fail if it was skipped."""
    report = yield
    if report.skipped:
        _fail_in_ci(report)
    return report


def _fail_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    assert isinstance(report.longrepr, tuple)
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if IN_CI and not reason.startswith(ALLOWED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, but must run in CI: {report.nodeid}: {reason}"
