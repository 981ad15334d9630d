"""The nouns that no other test is about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import MalformedMessage, WriteDenied
from runcache.model import ApiToken, Grant, PackName, Permission, ScopePermission, Upload

MAIN = "refs/heads/main"


@given(upload_id=st.integers(0, 10**18 - 1), number=st.integers(0, 999_999))
def test_the_name_of_a_pack_is_read_as_it_is_written(upload_id: int, number: int) -> None:
    name = PackName(upload_id, number)

    assert PackName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "1", "1-", "-1", "1-2-3", "01-2", "1-02", "1-1000000", "1000000000000000000-0"),
        *("x-1", "1-x", " 1-2", "1-2\n", "1--2", "\u0661-1", "1-2\0", "manifest"),
    ],
)
def test_nothing_else_is_the_name_of_a_pack(text: str) -> None:
    with pytest.raises(MalformedMessage):
        PackName.parse(text)


def test_an_upload_belongs_to_the_job_that_has_reserved_it() -> None:
    def grant(scope: str = MAIN, *, repository: str = "octo/hello", job: str = "job") -> Grant:
        return Grant(repository, (ScopePermission(scope, Permission.READ_WRITE),), job)

    upload = Upload(1, "octo/hello", MAIN, "key", "v", "blob", "job", 0)

    assert upload.belongs_to(grant())
    assert not upload.belongs_to(grant("refs/heads/other"))
    assert not upload.belongs_to(grant(repository="octo/other"))
    assert not upload.belongs_to(grant(job="another"))
    with pytest.raises(WriteDenied):
        upload.belongs_to(Grant("octo/hello", (ScopePermission(MAIN, Permission.READ),), "job"))


def token(
    *repositories: str,
    owners: tuple[str, ...] = (),
    can_write: bool = False,
    is_admin: bool = False,
) -> ApiToken:
    return ApiToken("1f0c", repositories, owners, can_write, is_admin, created_at=0, expires_at=1)


@pytest.mark.parametrize("can_write", [False, True])
def test_a_token_reaches_its_repositories_and_those_of_its_owners(*, can_write: bool) -> None:
    one = token("octo/hello", owners=("org",), can_write=can_write)

    for name in ("octo/hello", "Octo/Hello", "org/any"):
        assert one.may_read(name)
        assert one.may_write(name) is can_write
    for name in ("octo/other", "octopus/hello", "organisation/any", "octo"):
        assert not one.may_read(name)
        assert not one.may_write(name)


@pytest.mark.parametrize("can_write", [False, True])
def test_a_token_reaches_an_owner_only_as_a_whole(*, can_write: bool) -> None:
    one = token("octo/hello", owners=("org",), can_write=can_write)

    assert one.may_read_owner("Org")
    assert one.may_write_owner("Org") is can_write
    assert not one.may_read_owner("octo")
    assert not one.may_write_owner("octo")


def test_an_administrators_token_reaches_all_and_changes_nothing_unless_it_may_write() -> None:
    reading, writing = token(is_admin=True), token(is_admin=True, can_write=True)

    assert reading.may_read("octo/hello")
    assert reading.may_read_owner("octo")
    assert not reading.may_write("octo/hello")
    assert not reading.may_write_owner("octo")
    assert writing.may_write("octo/hello")
    assert writing.may_write_owner("octo")


def test_what_a_token_does_is_told_by_its_id() -> None:
    assert token().name == "token 1f0c"
