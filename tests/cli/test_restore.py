import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from runcache.testing import LiveServer
from tests.cli.conftest import Job
from tests.cli.test_outputs import read
from tests.snapshot.second_core import needs_second_core

# Nobody listens there: the port belongs to a service of the last century.
NOBODY = "http://127.0.0.1:9"
FIELDS = [
    *("hit", "exact", "key", "matched_key", "scope", "format"),
    *("size_bytes", "fetched_bytes", "files_written", "files_unchanged", "seconds"),
]


def save(job: Job, key: str, **files: str) -> None:
    """Save files in `deps`, and remove them."""
    for name, text in files.items():
        job.write(f"deps/{name}", text)
    assert job.json("save", "--key", key, "--path", "deps")["created"]
    shutil.rmtree(job.folder / "deps")


def test_what_was_saved_comes_back(job: Job) -> None:
    save(job, "npm-1", one="1", two="22")

    ended = job.run("restore", "--key", "npm-1", "--path", "deps")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("restored 2 files, 3 B, fetched ")
    assert ended.err.endswith(" s\n")
    assert (job.read("deps/one"), job.read("deps/two")) == ("1", "22")


def test_files_that_are_right_stay_as_they_are(job: Job) -> None:
    save(job, "npm-1", one="1", two="2")
    job.run("restore", "--key", "npm-1", "--path", "deps")
    job.write("deps/two", "changed")

    answer = job.json("restore", "--key", "npm-1", "--path", "deps")

    assert (answer["files_written"], answer["files_unchanged"]) == (1, 1)
    assert job.read("deps/two") == "2"


def test_other_files_stay_unless_exactly_the_entry_is_wanted(job: Job) -> None:
    save(job, "npm-1", one="1")
    job.write("deps/other", "mine")

    job.run("restore", "--key", "npm-1", "--path", "deps")
    assert job.read("deps/other") == "mine"

    job.run("restore", "--key", "npm-1", "--path", "deps", "--exact")
    assert job.read("deps/other") is None
    assert job.read("deps/one") == "1"


def test_a_miss_says_what_was_looked_for_and_does_no_harm(job: Job) -> None:
    ended = job.run("restore", "--key", "npm-2", "--restore-key", "npm-", "--path", "deps")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "found nothing for `npm-2`, `npm-`\n"


def test_a_miss_ends_with_3_where_that_was_asked_for(job: Job) -> None:
    args = ("restore", "--key", "npm-1", "--path", "deps", "--fail-on-cache-miss")

    assert job.run(*args).code == 3

    save(job, "npm-1", one="1")
    assert job.run(*args).code == 0


def test_a_restore_key_finds_the_nearest(job: Job) -> None:
    save(job, "npm-1", one="1")

    ended = job.run("restore", "--key", "npm-2", "--restore-key", "npm-", "--path", "deps")

    nearest, restored = ended.err.splitlines()
    assert nearest == "`npm-1` is the nearest to `npm-2`"
    assert restored.startswith("restored 1 file, ")
    assert job.read("deps/one") == "1"


def test_a_lookup_restores_nothing(job: Job) -> None:
    save(job, "npm-1", one="1")

    ended = job.run("restore", "--key", "npm-1", "--path", "deps", "--lookup-only")

    assert ended.code == 0
    assert ended.err.startswith("found `npm-1` in `refs/heads/main`, ")
    assert job.read("deps/one") is None


def test_as_json_a_hit_is_one_object(job: Job) -> None:
    save(job, "npm-1", one="1")

    answer = job.json("restore", "--key", "npm-10", "--restore-key", "npm-1", "--path", "deps")

    assert list(answer) == FIELDS
    assert answer["hit"] is True
    assert answer["exact"] is False
    assert (answer["key"], answer["matched_key"]) == ("npm-10", "npm-1")
    assert (answer["scope"], answer["format"]) == ("refs/heads/main", "snapshot")
    assert answer["size_bytes"] >= answer["fetched_bytes"] > 0


def test_as_json_a_miss_has_the_same_fields(job: Job) -> None:
    answer = job.json("restore", "--key", "npm-1", "--path", "deps")

    assert list(answer) == FIELDS
    assert {name for name, value in answer.items() if value} == {"key"}


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        ("npm-1", {"cache-matched-key": "npm-1", "cache-hit": "true"}),
        ("npm-0", {"cache-matched-key": "npm-0", "cache-hit": "false"}),
        ("pip-0", {}),
    ],
)
def test_the_next_steps_learn_what_was_found(job: Job, saved: str, told: dict[str, str]) -> None:
    save(job, saved, one="1")

    job.run("restore", "--key", "npm-1", "--restore-key", "npm-", "--path", "deps")

    assert read(job.output_file) == {"cache-primary-key": "npm-1"} | told


def test_quiet_says_nothing(job: Job) -> None:
    save(job, "npm-1", one="1")

    hit = job.run("restore", "--key", "npm-1", "--path", "deps", "-q")
    miss = job.run("restore", "--key", "npm-2", "--path", "deps", "-q")

    assert (hit.out, hit.err, miss.out, miss.err) == ("", "", "", "")


def test_keys_and_paths_may_hold_expressions(job: Job) -> None:
    job.write("lock", "1")
    job.write("matrix.json", json.dumps({"node": 22, "folder": "deps"}))
    job.write("deps/one", "1")
    asked = ("--key", "n-${{ matrix.node }}-${{ hashFiles('lock') }}")
    at = ("--path", "${{ matrix.folder }}", "--context", "matrix=matrix.json")

    saved = job.json("save", *asked, *at)
    found = job.json("restore", *asked, *at)

    assert saved["key"].startswith("n-22-")
    assert len(saved["key"]) == len("n-22-") + 64
    assert found["matched_key"] == saved["key"]


def test_what_the_action_passes_on_literally_stays_as_it_is(job: Job) -> None:
    job.write("deps/one", "1")

    saved = job.json("save", "--key", "a ${{ '${{' }} github.ref }} b", "--path", "deps")

    assert saved["key"] == "a ${{ github.ref }} b"


def keys(count: int) -> list[str]:
    return [arg for number in range(count) for arg in ("--restore-key", f"k{number}")]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--key", "a,b", "--path", "deps"], "invalid key"),
        (["--key", "x" * 513, "--path", "deps"], "invalid key"),
        (["--key", "k", *keys(10), "--path", "deps"], "a lookup takes at most 10 keys, not 11"),
        (["--key", "${{ no.such }}", "--path", "deps"], ""),
        (["--key", "k"], "missing option `--path`"),
        (["--path", "deps"], "missing option `--key`"),
        (["--key", "", "--path", "deps"], "missing option `--key`"),
        (["--key", "k", "--path", "deps", "--context", "matrix"], "invalid value for `--context`"),
        (["--key", "k", "--path", "deps", "--on-error", "maybe"], "invalid value for `--on-error`"),
        (["--key", "k", "--path", "deps", "--data", "here"], "both a server"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_wrong_usage_ends_with_2_even_if_no_server_answers(
    lone_job: Job, monkeypatch: pytest.MonkeyPatch, args: list[str], error: str
) -> None:
    monkeypatch.setenv("RUNCACHE_TOKEN", "x")
    monkeypatch.setenv("RUNCACHE_URL", NOBODY)
    url = ("--url", NOBODY) if "--data" in args else ()

    ended = lone_job.run("restore", *args, *url)

    assert ended.code == 2, ended.err
    assert ended.err.startswith(f"error: {error}")


def test_a_server_that_does_not_answer_ends_with_6_where_failures_are_errors(
    lone_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_TOKEN", "x")
    args = ("--key", "k", "--path", "deps", "--on-error", "fail")

    ended = lone_job.run("restore", "--url", NOBODY, *args)

    first, hint = ended.err.splitlines()
    assert ended.code == 6
    assert first.startswith(f"error: `{NOBODY}` cannot be reached")
    assert hint == "hint: is the server running, and the URL right?"


def test_a_failure_is_a_miss_for_who_needs_a_hit(
    job_at_server: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_TOKEN", "not.a.token")
    args = ("--key", "k", "--path", "deps", "--fail-on-cache-miss", "--json")

    ended = job_at_server.run("restore", *args)

    assert ended.code == 3
    assert json.loads(ended.out)["hit"] is False
    assert read(job_at_server.output_file) == {"cache-primary-key": "k"}


@pytest.mark.parametrize(("is_strict", "code"), [(False, 0), (True, 5)])
def test_a_token_that_does_not_count_is_a_warning_or_not_permitted(
    job_at_server: Job, monkeypatch: pytest.MonkeyPatch, *, is_strict: bool, code: int
) -> None:
    monkeypatch.setenv("RUNCACHE_TOKEN", "not.a.token")
    strictly = ("--on-error", "fail") if is_strict else ()

    ended = job_at_server.run("restore", "--key", "k", "--path", "deps", *strictly)

    assert ended.code == code
    assert ended.err.startswith("error: " if is_strict else "warning: ")
    assert "the token is missing, invalid or expired" in ended.err


def test_the_token_may_come_from_stdin(
    job_at_server: Job, server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNCACHE_TOKEN")
    args = ("--key", "k", "--path", "deps", "--token-file", "-", "--on-error", "fail")

    ended = job_at_server.ended("restore", *args, text=server.job_token())

    assert (ended.code, ended.err) == (0, "found nothing for `k`\n")


def test_a_job_of_a_runner_needs_no_option(
    lone_job: Job, server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_RESULTS_URL", server.url)
    monkeypatch.setenv("ACTIONS_CACHE_URL", server.url)
    monkeypatch.setenv("ACTIONS_CACHE_SERVICE_V2", "True")
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", server.job_token(repository="octo/runner"))
    save(lone_job, "npm-1", one="1")

    assert lone_job.json("restore", "--key", "npm-1", "--path", "deps")["exact"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_who_is_told_to_stop_while_a_server_is_silent_stops(
    lone_job: Job, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("RUNCACHE_TOKEN", "x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with lone_job.start("restore", "--url", url, "--key", "k", "--path", "deps") as process:
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                process.send_signal(number)
                _, said = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "Traceback" not in said


# What would make a miss slower than it has to be, each by tens of milliseconds.
SLOW = {
    *("aiohttp", "aiosqlite", "alembic", "asyncio", "blake3", "email_validator", "joserfc"),
    *("logging", "multiprocessing", "platformdirs", "prometheus_client", "pyfastcdc", "requests"),
    *("rich", "sqlalchemy", "structlog", "tarfile", "urllib3", "yaml", "zstandard"),
}
MISS = """\
import sys
from runcache.cli.main import main
assert main(sys.argv[1:]) == 0
print(*{name.split(".")[0] for name in sys.modules})
"""


@pytest.mark.usefixtures("job_at_server")
def test_a_miss_imports_nothing_that_is_slow() -> None:
    args = ("restore", "--key", "k", "--path", "deps", "--on-error", "fail")

    ran = subprocess.run(
        [sys.executable, "-c", MISS, *args], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "found nothing for `k`\n"
    assert SLOW & set(ran.stdout.split()) == set()


def test_the_library_imports_nothing_before_it_is_used(tmp_path: Path) -> None:
    script = "import sys, runcache; print(*{name.split('.')[0] for name in sys.modules})"

    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert (SLOW | {"click", "http", "msgspec", "json"}) & set(ran.stdout.split()) == set()


FORKS = """
import os
import sys
os.register_at_fork(before=lambda: print("forked", file=sys.stderr))
from runcache.cli.main import main
sys.exit(main())
"""


@needs_second_core
def test_a_second_process_does_half_of_a_large_restore(job_at_server: Job) -> None:
    job = job_at_server
    source = Random(1)
    texts = {f"{number:04}": source.randbytes(750).hex() for number in range(6400)}
    save(job, "npm-1", **texts)
    save(job, "small", one="1")

    def restored(key: str) -> str:
        args = ("restore", "--key", key, "--path", "deps")
        ran = subprocess.run(
            [sys.executable, "-c", FORKS, *args], capture_output=True, text=True, check=True
        )
        return ran.stderr

    small = restored("small")
    shutil.rmtree(job.folder / "deps")
    large = restored("npm-1")

    assert "forked" not in small
    assert large.splitlines()[0] == "forked"
    assert large.splitlines()[1].startswith("restored 6 400 files, 9.60 MB, fetched ")
    assert {file.name: file.read_text() for file in (job.folder / "deps").iterdir()} == texts
