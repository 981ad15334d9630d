"""The nouns that no other test is about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import MalformedMessage, WriteDenied
from runcache.model import Grant, PackName, Permission, ScopePermission, Upload

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
