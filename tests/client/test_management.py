"""What looks after entries: the same on a server and on the store in this process."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runcache.client.environment import Environment, Given
from runcache.client.management import Management
from runcache.client.results import Format
from runcache.errors import EntryMissing, InvalidInput, InvalidRepository
from runcache.library import open_management
from runcache.listing import Order, Selection, SortBy
from runcache.testing import LiveServer
from tests.client.machines import Machine

MAIN = "refs/heads/main"
EVERYTHING = 10_000
BY_AGE = Order(SortBy.CREATED, is_descending=False)


@dataclass
class Place:
    """Where entries are saved and looked after: the repositories of an owner that nobody else has.

    `given` says how, for a job of a repository on a ref.
    """

    folder: Path
    owner: str
    given: Callable[[str, str], Given]
    management: Management

    @property
    def repository(self) -> str:
        return f"{self.owner}/hello"

    def save(
        self, key: str, *, ref: str = MAIN, repository: str = "hello", form: Format = "snapshot"
    ) -> int:
        given = self.given(f"{self.owner}/{repository}", ref)
        machine = Machine(self.folder / secrets.token_hex(4), given)
        machine.write("deps/src/index.js", key)
        saved = machine.save(key, format=form, base="none")
        assert saved.entry_id is not None
        return saved.entry_id

    def keys(
        self, selection: Selection | None = None, order: Order = BY_AGE, limit: int = EVERYTHING
    ) -> list[str]:
        pages = self.management.pages(self.repository, selection or Selection(), order, limit=limit)
        return [entry.key for page in pages for entry in page.entries]


@pytest.fixture(params=["server", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    owner = f"octo-{secrets.token_hex(4)}"
    if request.param == "store":
        data = str(tmp_path / "data")

        def given(repository: str, ref: str) -> Given:
            return Given(data=data, repo=repository, ref=ref)

        Machine(tmp_path / "first", Given(data=data)).restore("nothing")
        looking = Given(data=data)
    else:
        server = request.getfixturevalue("server")
        assert isinstance(server, LiveServer)

        def given(repository: str, ref: str) -> Given:
            return Given(url=server.url, token=server.job_token(repository=repository, ref=ref))

        token = server.api_token(owners=[owner], can_write=True)
        looking = Given(url=server.url, token=token)
    environment = Environment(looking, variables={}, folder=tmp_path)
    with open_management(environment) as management:
        yield Place(tmp_path, owner, given, management)


def test_a_repository_without_entries_has_an_empty_page(place: Place) -> None:
    pages = list(place.management.pages(place.repository, Selection(), Order(), limit=5))

    assert [(page.entries, page.total_count) for page in pages] == [((), 0)]


def test_entries_are_selected_ordered_and_limited(place: Place) -> None:
    for key, ref in (("npm-1", MAIN), ("npm-2", "refs/heads/x"), ("pip-1", MAIN)):
        place.save(key, ref=ref)

    assert place.keys() == ["npm-1", "npm-2", "pip-1"]
    assert place.keys(Selection(prefix="npm-")) == ["npm-1", "npm-2"]
    assert place.keys(Selection(ref=MAIN)) == ["npm-1", "pip-1"]
    assert place.keys(order=Order(SortBy.CREATED)) == ["pip-1", "npm-2", "npm-1"]
    assert place.keys(limit=2) == ["npm-1", "npm-2"]


def test_an_entry_is_listed_with_its_fields(place: Place) -> None:
    entry_id = place.save("k", form="archive")

    (page,) = place.management.pages(place.repository.upper(), Selection(), Order(), limit=5)

    (entry,) = page.entries
    assert (entry.id, entry.ref, entry.key, page.total_count) == (entry_id, MAIN, "k", 1)
    assert len(entry.version) == 64
    assert 0 < entry.size_bytes < 10_000
    assert entry.created_at == entry.last_accessed_at > 1_700_000_000_000


def test_an_entry_is_deleted_once(place: Place) -> None:
    entry_id = place.save("k")

    assert not place.management.delete(f"{place.owner}/other", entry_id)
    assert place.management.delete(place.repository, entry_id)
    assert not place.management.delete(place.repository, entry_id)
    assert place.keys() == []


def test_a_key_is_deleted_on_one_ref_or_on_all(place: Place) -> None:
    for ref in (MAIN, "refs/heads/x", "refs/heads/y"):
        place.save("k", ref=ref)
    place.save("k-2")

    assert place.management.delete_by_key(place.repository, "k", ref="refs/heads/x") == 1
    assert place.management.delete_by_key(place.repository, "k", ref=None) == 2
    assert place.management.delete_by_key(place.repository, "k", ref=None) == 0
    assert place.keys() == ["k-2"]


def test_usage_is_exact(place: Place) -> None:
    nothing = place.management.usage(place.repository)
    place.save("k")
    usage = place.management.usage(place.repository)
    place.save("k", repository="other")
    place.save("k-2", repository="other")

    usages = place.management.usages(place.owner)

    assert (nothing.entry_count, nothing.size_bytes) == (0, 0)
    assert usage.entry_count == 1
    assert usage.size_bytes > 0
    assert [(usage.repository, usage.entry_count) for usage in usages] == [
        (f"{place.owner}/other", 2),
        (place.repository, 1),
    ]


def test_an_entry_has_details(place: Place) -> None:
    entry_id = place.save("k")

    details = place.management.details(place.repository, entry_id)

    assert details is not None
    assert (details.entry.id, details.entry.key, details.entry.scope) == (entry_id, "k", MAIN)
    assert details.entry.is_snapshot
    assert details.shares.blob_count == 2
    assert details.shares.own_bytes == details.entry.size_bytes
    assert details.origin is not None
    assert details.origin.paths == ("deps",)
    assert place.management.details(f"{place.owner}/other", entry_id) is None
    assert place.management.details(place.repository, entry_id + 10**6) is None


def test_the_files_of_a_snapshot_are_listed(place: Place) -> None:
    entry_id = place.save("k")

    def files(search: str = "", after: str | None = None, limit: int = 10) -> list[str]:
        page = place.management.files(
            place.repository, entry_id, search=search, after=after, limit=limit
        )
        assert page is not None
        return [file.path for file in page.files]

    assert files() == ["deps", "deps/src", "deps/src/index.js"]
    assert files("INDEX") == ["deps/src/index.js"]
    assert files(limit=1) == ["deps"]
    with pytest.raises(EntryMissing):
        place.management.files(f"{place.owner}/other", entry_id, search="", after=None, limit=1)


def test_the_files_of_an_archive_are_not(place: Place) -> None:
    entry_id = place.save("k", form="archive")

    page = place.management.files(place.repository, entry_id, search="", after=None, limit=1)

    assert page is None


def test_names_that_cannot_be_are_refused(place: Place) -> None:
    with pytest.raises(InvalidRepository):
        place.management.usage("no slash")
    with pytest.raises(InvalidInput):
        place.management.usages("no owner")
