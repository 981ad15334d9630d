import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import Runcache

PROGRAM = [sys.executable, "-m", "runcache.cli.main"]


@contextmanager
def serving(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server on a free port, and yield it with the address that it prints."""
    command = [*PROGRAM, "serve", "--port", "0", "--data", str(data)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().removeprefix("serving on ").strip()
        finally:
            process.kill()


def test_a_server_prints_where_it_is_and_ends_well_on_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (process, url):
        with urllib.request.urlopen(f"{url}healthz") as answer:  # noqa: S310  -- our own address
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0
    assert (tmp_path / "data" / "signing.key").exists()


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (_, url):
        port = url.rstrip("/").rpartition(":")[2]

        second = subprocess.run(
            [*PROGRAM, "serve", "--port", port, "--data", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            check=False,
        )

    assert second.returncode == 2
    assert f"error: cannot listen on `127.0.0.1:{port}`" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_host_for_everybody_is_refused_without_encryption(runcache: Runcache) -> None:
    ended = runcache("serve", "--host", "0.0.0.0", "--data", "data")  # noqa: S104  -- refused

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: refusing to listen on `0.0.0.0` without encryption\nhint: ")
