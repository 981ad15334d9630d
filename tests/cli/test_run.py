import json
import shlex
import shutil
import signal
import sys

import pytest

from tests.cli.conftest import Job
from tests.cli.test_outputs import read

ENTRY = ("--key", "npm-1", "--restore-key", "npm-", "--path", "deps")
# Prints what was restored, and makes what is missing.
INSTALL = ("sh", "-c", "cat deps/one 2> /dev/null; mkdir -p deps; echo made > deps/one")


def run(job: Job, *args: str) -> str:
    """Run the command in a process of its own, and return what it printed."""
    ended = job.ended("run", *ENTRY, *args, "--", *INSTALL)
    assert ended.code == 0, ended.err
    return ended.out


def test_the_first_run_saves_what_the_second_one_finds(job: Job) -> None:
    first = run(job)
    shutil.rmtree(job.folder / "deps")
    second = run(job)

    assert (first, second) == ("", "made\n")


def test_what_was_found_exactly_is_not_saved_again(job: Job) -> None:
    first = job.ended("run", *ENTRY, "--", *INSTALL)
    second = job.ended("run", *ENTRY, "--", *INSTALL)

    assert first.err.splitlines()[0] == "found nothing for `npm-1`, `npm-`"
    assert first.err.splitlines()[1].startswith("saved 1 file, ")
    assert len(second.err.splitlines()) == 1
    assert second.err.startswith("restored 1 file, ")


def test_after_a_restore_key_it_is_saved_under_its_own_key(job: Job) -> None:
    job.write("deps/one", "old\n")
    job.run("save", "--key", "npm-0", "--path", "deps")

    printed = run(job)

    assert printed == "old\n"
    assert job.json("restore", "--key", "npm-1", "--path", "deps")["exact"]


def test_a_hit_can_do_without_the_command(job: Job) -> None:
    run(job, "--skip-on-hit")
    shutil.rmtree(job.folder / "deps")

    ended = job.ended("run", *ENTRY, "--skip-on-hit", "--", *INSTALL)

    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines()[-1] == "skipped `sh`: the key was found"
    assert job.read("deps/one") == "made\n"


def test_a_command_that_fails_says_how_and_saves_nothing(job: Job) -> None:
    job.write("deps/one", "1")

    ended = job.ended("run", *ENTRY, "--", "sh", "-c", "exit 42")

    assert ended.code == 42
    assert not job.json("restore", *ENTRY)["hit"]


def test_a_command_that_is_not_there_ends_as_in_a_shell(job_with_store: Job) -> None:
    ended = job_with_store.ended("run", *ENTRY, "--", "no-such-program")

    assert ended.code == 127
    assert ended.err.splitlines()[-1] == "error: there is no program `no-such-program`"


def test_options_of_the_command_are_its_own(job_with_store: Job) -> None:
    shows = (sys.executable, "-c", "import sys; print(sys.argv[1:])", "--json", "-q", "--", "x")

    dashed = job_with_store.ended("run", *ENTRY, "--", *shows)
    plain = job_with_store.ended("run", *ENTRY, *shows)

    assert dashed.out == plain.out == "['--json', '-q', '--', 'x']\n"


def test_as_json_stdout_has_one_object_and_the_output_is_on_stderr(job: Job) -> None:
    job.write("deps/one", "old\n")

    ended = job.ended("run", *ENTRY, "--json", "--", *INSTALL)

    answer = json.loads(ended.out)
    assert list(answer) == ["status", "skipped", "caches"]
    assert (answer["status"], answer["skipped"]) == (0, False)
    (cache,) = answer["caches"]
    assert cache["restored"]["hit"] is False
    assert cache["saved"]["created"] is True
    assert "old" in ended.err


def test_the_next_steps_learn_what_was_found(job: Job) -> None:
    run(job)
    first = read(job.output_file)
    job.output_file.unlink()
    run(job)

    assert first == {"cache-primary-key": "npm-1"}
    assert read(job.output_file) == {
        "cache-primary-key": "npm-1",
        "cache-matched-key": "npm-1",
        "cache-hit": "true",
    }


def test_a_cache_that_does_not_work_is_not_in_the_way(
    job_at_server: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_TOKEN", "not.a.token")

    ended = job_at_server.ended("run", *ENTRY, "--", *INSTALL)

    assert ended.code == 0
    assert job_at_server.read("deps/one") == "made\n"
    assert ended.err.count("warning: ") == 2


def test_where_the_cache_must_work_the_command_does_not_run_without(
    job_at_server: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_TOKEN", "not.a.token")

    ended = job_at_server.ended("run", *ENTRY, "--on-error", "fail", "--", *INSTALL)

    assert ended.code == 5
    assert job_at_server.read("deps/one") is None


def test_a_command_that_is_told_to_stop_saves_nothing_though_it_ends_well(job: Job) -> None:
    waits = "trap 'exit 0' TERM; mkdir -p deps; echo half > deps/one; echo ready; sleep 60 & wait"

    with job.start("run", *ENTRY, "--", "bash", "-c", waits) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
        # What the shell has started in the background holds the pipes.
        process.stdout.close()

    assert code == 0
    assert not job.json("restore", *ENTRY)["hit"]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--preset", "npm", *ENTRY],
        ["--preset", "npm", "--cross-os"],
    ],
    ids=shlex.join,
)
def test_either_a_preset_or_an_entry_must_be_given(job_with_store: Job, args: list[str]) -> None:
    ended = job_with_store.run("run", *args, "--", "true")

    assert ended.code == 2
    assert ended.err.startswith("error: ")


def test_a_preset_knows_key_and_paths(job: Job) -> None:
    job.write("package.json", '{"name": "x"}')
    job.write("package-lock.json", '{"lockfileVersion": 3}')
    fills = ("sh", "-c", "mkdir -p ~/.npm && echo downloaded > ~/.npm/one")

    first = json.loads(job.ended("run", "--preset", "npm", "--json", "--", *fills).out)
    shutil.rmtree(job.folder / "home" / ".npm")
    second = json.loads(job.ended("run", "--preset", "auto", "--json", "--", "true").out)

    assert first["caches"][0]["saved"]["created"] is True
    assert second["caches"][0]["restored"]["exact"] is True
    assert job.read("home/.npm/one") == "downloaded\n"


def test_a_preset_that_cannot_be_resolved_is_not_in_the_way(job_with_store: Job) -> None:
    ended = job_with_store.ended("run", "--preset", "npm", "--", "echo", "ran")

    assert (ended.code, ended.out) == (0, "ran\n")
    assert ended.err.startswith("warning: ")


def test_an_unknown_preset_is_wrong_usage(job_with_store: Job) -> None:
    ended = job_with_store.ended("run", "--preset", "nmp", "--", "echo", "ran")

    assert (ended.code, ended.out) == (2, "")
