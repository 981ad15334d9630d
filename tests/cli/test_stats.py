import json

import pytest

from tests.cli.conftest import Job, Runcache


@pytest.fixture
def job(job_with_store: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return a job that has missed, saved, and restored twice, in a store of its own."""
    monkeypatch.setenv("GITHUB_REPOSITORY", "Octo/Hello")
    job_with_store.write("deps/file", "content")
    for command in ("restore", "save", "restore", "restore"):
        job_with_store.json(command, "--key", "npm-3f2a91c", "--path", "deps")
    return job_with_store


def test_days_and_families_are_lines_for_programs(job: Job) -> None:
    ended = job.run("stats", "--days", "3")

    *days, family = (line.split("\t") for line in ended.out.splitlines())
    # It may be midnight meanwhile.
    assert [sum(map(int, column)) for column in list(zip(*days, strict=True))[1:4]] == [2, 1, 2]
    assert [len(day) for day in days] == [7, 7, 7]
    assert days[0][4:] == ["0 B", "0 B", "0 B"]
    assert family == ["octo/hello", "npm-<hash>", "2", "1", "67%"]
    assert ended.err.startswith("3 lookups in 3 days, 67% found something; ")


def test_as_json_it_is_one_object(job: Job) -> None:
    saved = job.json("save", "--key", "other", "--path", "deps")["size_bytes"]

    stats = job.json("stats", "--repo", "octo/HELLO", "--days", "3")

    assert (stats["hits"], stats["misses"], len(stats["days"])) == (2, 1, 3)
    assert sum(day["restored"] for day in stats["days"]) == 2
    (repository,) = stats["repositories"]
    assert repository["families"] == [{"family": "npm-<hash>", "hits": 2, "misses": 1}]
    assert repository["growth_bytes"] > saved
    assert repository["growth_bytes"] == sum(day["saved_bytes"] for day in stats["days"])


def test_a_repository_that_nobody_knows_has_had_nothing(job: Job) -> None:
    ended = job.run("stats", "--repo", "octo/other", "--days", "1")

    assert ended.out.split("\t")[1:] == ["0", "0", "0", "0 B", "0 B", "0 B\n"]
    assert ended.err == "0 lookups in 1 day; 0 B saved\n"


def test_what_was_evicted_is_told(job: Job) -> None:
    job.run("forget", "--repo-limit", "1")

    stats = job.json("stats", "--days", "2")

    evicted_bytes = sum(day["evicted_bytes"] for day in stats["days"])
    assert evicted_bytes == sum(day["saved_bytes"] for day in stats["days"]) > 0
    assert stats["repositories"][0]["growth_bytes"] == 0


@pytest.mark.parametrize("days", ["0", "91", "many"])
def test_days_that_are_not_kept_are_refused(job: Job, days: str) -> None:
    ended = job.run("stats", "--days", days)

    assert (ended.code, ended.out) == (2, "")


def test_where_nothing_is_there_is_nothing_to_tell(runcache: Runcache) -> None:
    ended = runcache("stats", "--data", "data", "--json")

    assert ended.code == 2
    assert "there is no cache" in ended.err


def test_help_has_an_example(runcache: Runcache) -> None:
    assert "runcache stats --data .runcache --days 30" in runcache("stats", "--help").out


def test_the_json_has_these_members(job: Job) -> None:
    day = json.loads(job.run("stats", "--json").out)["days"][0]

    assert list(day) == [
        "date",
        "hits",
        "misses",
        "restored",
        "saved_bytes",
        "evicted_bytes",
        "deleted_bytes",
    ]
