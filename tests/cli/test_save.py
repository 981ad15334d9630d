import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.conftest import Job
from tests.documentation import DOCS
from tests.snapshot.second_core import needs_second_core

FIELDS = [
    *("key", "version", "scope", "format", "created", "entry_id"),
    *("size_bytes", "new_bytes", "files", "seconds"),
]


def test_a_save_says_what_it_took(job: Job) -> None:
    job.write("deps/one", "1")
    job.write("deps/two", "22")

    ended = job.run("save", "--key", "npm-1", "--path", "deps")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("saved 2 files, 3 B, sent ")
    assert ended.err.endswith(" s\n")


def test_as_json_it_is_one_object(job: Job) -> None:
    job.write("deps/one", "1")

    answer = job.json("save", "--key", "npm-1", "--path", "deps")

    assert list(answer) == FIELDS
    assert (answer["key"], answer["format"]) == ("npm-1", "snapshot")
    assert answer["scope"] == "refs/heads/main"
    assert answer["created"] is True
    assert answer["files"] == 1
    assert answer["size_bytes"] == answer["new_bytes"] > 0
    assert isinstance(answer["entry_id"], int)


@needs_second_core
def test_a_child_scans_for_a_process_of_its_own(job_at_server: Job) -> None:
    job_at_server.write("deps/one", "1")
    program = (
        "import os, sys; from runcache.cli.main import main;"
        "os.register_at_fork(before=lambda: print('forks'));"
        "main()"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program, "save", "--key", "npm-1", "--path", "deps"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "forks\n"
    assert ran.stderr.startswith("saved 1 file, 1 B")


def test_what_is_saved_already_stays_as_it_is(job: Job) -> None:
    job.write("deps/one", "1")
    job.run("save", "--key", "npm-1", "--path", "deps")
    job.write("deps/one", "2")

    ended = job.run("save", "--key", "npm-1", "--path", "deps")
    answer = job.json("save", "--key", "npm-1", "--path", "deps")
    job.run("restore", "--key", "npm-1", "--path", "deps")

    assert ended.code == 0
    assert ended.err.startswith("`npm-1` is saved already")
    assert (answer["created"], answer["entry_id"], answer["new_bytes"]) == (False, None, 0)
    assert job.read("deps/one") == "1"


def test_only_what_changed_is_sent(job: Job) -> None:
    job.write("deps/large", os.urandom(600_000).hex())
    first = job.json("save", "--key", "npm-1", "--path", "deps")
    job.write("deps/small", "new")

    second = job.json("save", "--key", "npm-2", "--path", "deps")
    alone = job.json("save", "--key", "npm-3", "--path", "deps", "--base", "none")
    other = job.json("save", "--key", "npm-4", "--path", "deps", "--base", "npm-${{ 1 }}")

    assert second["new_bytes"] < first["new_bytes"] / 10
    assert second["size_bytes"] > first["size_bytes"]
    assert alone["new_bytes"] == alone["size_bytes"]
    assert other["new_bytes"] < first["new_bytes"] / 10


def test_a_higher_level_makes_less_of_it(job: Job) -> None:
    job.write("deps/text", "\n".join(page.read_text() for page in DOCS.glob("*.md")))

    quick = job.json("save", "--key", "quick", "--path", "deps", "--level", "1", "--base", "none")
    small = job.json("save", "--key", "small", "--path", "deps", "--level", "12", "--base", "none")

    assert small["size_bytes"] < quick["size_bytes"]


def test_an_archive_comes_back_as_well(job: Job) -> None:
    job.write("deps/one", "1")

    saved = job.json("save", "--key", "npm-1", "--path", "deps", "--format", "archive")
    shutil.rmtree(job.folder / "deps")
    found = job.json("restore", "--key", "npm-1", "--path", "deps")

    assert saved["format"] == found["format"] == "archive"
    assert job.read("deps/one") == "1"


def test_what_is_excluded_is_not_saved(job: Job) -> None:
    job.write("deps/one", "1")
    job.write("deps/cache/two", "2")
    paths = ("--path", "deps", "--path", "!deps/cache")

    saved = job.json("save", "--key", "npm-1", *paths)
    shutil.rmtree(job.folder / "deps")
    job.run("restore", "--key", "npm-1", *paths)

    assert saved["files"] == 1
    assert job.read("deps/one") == "1"
    assert job.read("deps/cache/two") is None


@pytest.mark.parametrize("is_strict", [False, True])
def test_nothing_to_save_is_a_warning_or_an_error(job: Job, *, is_strict: bool) -> None:
    strictly = ("--on-error", "fail") if is_strict else ()

    ended = job.run("save", "--key", "npm-1", "--path", "deps", *strictly)

    first, hint = ended.err.splitlines()
    assert ended.code == int(is_strict)
    assert first == f"{'error' if is_strict else 'warning'}: there is nothing at `deps`"
    assert hint.startswith("hint: save after what the paths name was made")


def test_as_json_a_save_that_failed_has_the_same_fields(job: Job) -> None:
    answer = job.json("save", "--key", "npm-1", "--path", "deps")

    assert list(answer) == FIELDS
    assert {name for name, value in answer.items() if value} == {"key"}


def test_credentials_are_named_and_refused_on_request(job: Job) -> None:
    job.write("home/.docker/config.json", '{"auths": {"example.com": {"auth": "c2VjcmV0"}}}')
    args = ("save", "--path", "~/.docker", "--key")

    warned = job.run(*args, "one")
    refused = job.run(*args, "two", "--refuse-secrets")

    assert warned.code == 0
    assert ".docker/config.json" in warned.err
    assert "saved 1 file" in warned.err
    assert refused.code == 1
    assert refused.err.startswith("error: credentials are among the files to save: ")
    assert not job.json("restore", "--path", "~/.docker", "--key", "two")["hit"]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--key", "a,b", "--path", "deps"], "invalid key"),
        (["--key", "k"], "missing option `--path`"),
        (["--key", "k", "--path", "deps", "--level", "20"], "invalid value for `--level`"),
        (["--key", "k", "--path", "deps", "--format", "zip"], "invalid value for `--format`"),
        (["--key", "k", "--path", "deps", "--restore-key", "x"], "no such option"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_wrong_usage_ends_with_2(job: Job, args: list[str], error: str) -> None:
    job.write("deps/one", "1")

    ended = job.run("save", *args)

    assert ended.code == 2, ended.err
    assert ended.err.startswith(f"error: {error}")
