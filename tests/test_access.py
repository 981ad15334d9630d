"""Who reads what: every reader of the documents' examples against every owner."""

import itertools
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.access import (
    UNTRUSTED_EVENTS,
    Role,
    branch_ref,
    owner_name,
    repository_name,
    roles_for,
    scopes_for,
)
from runcache.errors import InvalidInput, InvalidRef, InvalidRepository, ReadDenied, WriteDenied
from runcache.model import Grant, Permission, ScopePermission

READ = Permission.READ
READ_WRITE = Permission.READ_WRITE

MAIN: Final = "refs/heads/main"
FEATURE_A: Final = "refs/heads/feature-a"
FEATURE_B: Final = "refs/heads/feature-b"
FEATURE_C: Final = "refs/heads/feature-c"
RELEASE_A: Final = "refs/tags/release-a"
RELEASE_B: Final = "refs/tags/release-b"
PULL_1: Final = "refs/pull/1/merge"
PULL_2: Final = "refs/pull/2/merge"
OWNERS: Final = (MAIN, FEATURE_A, FEATURE_B, FEATURE_C, RELEASE_A, RELEASE_B, PULL_1, PULL_2)

# Of each reader: its scopes, all that it may restore from, and where it saves to.
JOBS: Final = {
    "a push to the default branch": (scopes_for(ref=MAIN), {MAIN}, MAIN),
    "a push to a branch": (scopes_for(ref=FEATURE_A), {FEATURE_A, MAIN}, FEATURE_A),
    "a push to its child": (scopes_for(ref=FEATURE_B), {FEATURE_B, MAIN}, FEATURE_B),
    "a push to its sibling": (scopes_for(ref=FEATURE_C), {FEATURE_C, MAIN}, FEATURE_C),
    "a push of a tag": (scopes_for(ref=RELEASE_A), {RELEASE_A, MAIN}, RELEASE_A),
    "a push of another tag": (scopes_for(ref=RELEASE_B), {RELEASE_B, MAIN}, RELEASE_B),
    "a pull request to the default branch": (
        scopes_for(ref=PULL_1, base_ref="main", event="pull_request"),
        {PULL_1, MAIN},
        PULL_1,
    ),
    "a pull request to another branch": (
        scopes_for(ref=PULL_2, base_ref="feature-a", event="pull_request"),
        {PULL_2, FEATURE_A, MAIN},
        PULL_2,
    ),
    "a branch with a base": (
        scopes_for(ref=FEATURE_B, base_ref=FEATURE_A, event="pull_request"),
        {FEATURE_B, FEATURE_A, MAIN},
        FEATURE_B,
    ),
    "a nightly run of the default branch": (scopes_for(ref=MAIN, event="schedule"), {MAIN}, MAIN),
    "a run by hand on a branch": (
        scopes_for(ref=FEATURE_C, event="workflow_dispatch"),
        {FEATURE_C, MAIN},
        FEATURE_C,
    ),
    "a pull_request_target of the default branch": (
        scopes_for(ref=MAIN, base_ref="main", event="pull_request_target"),
        {MAIN},
        None,
    ),
    "a pull_request_target of another branch": (
        scopes_for(ref=FEATURE_A, base_ref="feature-a", event="pull_request_target"),
        {FEATURE_A, MAIN},
        FEATURE_A,
    ),
    "an issue_comment": (scopes_for(ref=MAIN, event="issue_comment"), {MAIN}, None),
    "a workflow_run of the default branch": (
        scopes_for(ref=MAIN, event="workflow_run"),
        {MAIN},
        None,
    ),
    "a workflow_run of a branch": (
        scopes_for(ref=FEATURE_A, event="workflow_run"),
        {FEATURE_A, MAIN},
        FEATURE_A,
    ),
}


def grant_for(scopes: tuple[ScopePermission, ...]) -> Grant:
    return Grant("octo/hello", scopes, job="job-1")


@pytest.mark.parametrize(("reader", "owner"), list(itertools.product(JOBS, OWNERS)))
def test_a_job_restores_only_from_its_own_ref_its_base_and_the_default_branch(
    reader: str, owner: str
) -> None:
    scopes, readable, _ = JOBS[reader]

    assert (owner in grant_for(scopes).readable_scopes) == (owner in readable)


@pytest.mark.parametrize(("writer", "owner"), list(itertools.product(JOBS, OWNERS)))
def test_a_job_saves_only_to_its_own_ref(writer: str, owner: str) -> None:
    scopes, _, writable = JOBS[writer]
    grant = grant_for(scopes)

    if writable is None:
        with pytest.raises(WriteDenied):
            _ = grant.writable_scope
    else:
        assert (owner == grant.writable_scope) == (owner == writable)


def test_a_pull_request_searches_its_merge_ref_then_its_base_then_the_default_branch() -> None:
    found = scopes_for(ref=PULL_1, base_ref="feature-a", event="pull_request")

    assert found == (
        ScopePermission(PULL_1, READ_WRITE),
        ScopePermission(FEATURE_A, READ),
        ScopePermission(MAIN, READ),
    )


def test_each_scope_comes_once_where_it_comes_first() -> None:
    assert scopes_for(ref=MAIN, base_ref="main") == (ScopePermission(MAIN, READ_WRITE),)
    assert scopes_for(ref=PULL_1, base_ref="main") == (
        ScopePermission(PULL_1, READ_WRITE),
        ScopePermission(MAIN, READ),
    )


def test_a_forks_pull_request_has_no_way_to_a_branch_of_the_base_repository() -> None:
    scopes = scopes_for(ref=PULL_1, base_ref="main", event="pull_request")

    written = [s.scope for s in scopes if s.permission & Permission.WRITE]

    assert written == [PULL_1]


def test_the_default_branch_may_have_another_name() -> None:
    found = scopes_for(ref=MAIN, default_branch="trunk", event="workflow_run")

    assert found == (ScopePermission(MAIN, READ_WRITE), ScopePermission("refs/heads/trunk", READ))


@pytest.mark.parametrize("event", sorted(UNTRUSTED_EVENTS))
@pytest.mark.parametrize("default_branch", ["main", MAIN])
def test_an_event_that_anybody_can_cause_only_reads_the_default_branch(
    event: str, default_branch: str
) -> None:
    found = scopes_for(ref=MAIN, default_branch=default_branch, event=event)

    assert found == (ScopePermission(MAIN, READ),)


def test_a_grant_without_any_scope_reads_nothing() -> None:
    with pytest.raises(ReadDenied):
        _ = grant_for(()).readable_scopes


@pytest.mark.parametrize(
    "ref", ["main", "", "refs", "refs/", "refs/heads", "refs/heads/", "heads/x"]
)
def test_a_ref_that_is_not_full_is_refused_with_examples(ref: str) -> None:
    with pytest.raises(InvalidRef) as refusal:
        scopes_for(ref=ref)

    assert refusal.value.hint is not None
    assert "refs/heads/main" in refusal.value.hint


@pytest.mark.parametrize(
    "name",
    [
        *("a b", "a\nb", "a\0b", "a..b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a@{b"),
        *("a//b", "a/", "a.", "a.lock", "a.lock/b", "a/.b", "\ud800", "x" * 1024),
    ],
)
def test_a_name_that_git_would_refuse_is_refused(name: str) -> None:
    for arguments in ({"ref": f"refs/heads/{name}"}, {"ref": MAIN, "base_ref": name}):
        with pytest.raises(InvalidRef):
            scopes_for(**arguments)


@pytest.mark.parametrize(
    "name", ["feature/a", "a.b", "ä", "refs-like", "1", "a@b", "dependabot/npm"]
)
def test_short_names_are_branches(name: str) -> None:
    assert scopes_for(ref=MAIN, base_ref=name)[1].scope == f"refs/heads/{name}"


@given(st.text(), st.none() | st.text(), st.text(), st.text())
def test_whatever_the_names_a_job_writes_to_its_own_ref_or_nowhere(
    ref: str, base_ref: str | None, default_branch: str, event: str
) -> None:
    own = f"refs/heads/{ref}"
    try:
        scopes = scopes_for(ref=own, base_ref=base_ref, default_branch=default_branch, event=event)
    except InvalidRef:
        return

    assert {s.scope for s in scopes if s.permission & Permission.WRITE} <= {own}
    assert scopes[0].scope == own
    assert len({s.scope for s in scopes}) == len(scopes)


def test_a_repository_is_filed_under_lower_case() -> None:
    assert repository_name("Octo-Org/Hello.World_1") == "octo-org/hello.world_1"
    assert owner_name("Octo-Org") == "octo-org"


@pytest.mark.parametrize(
    "name",
    [
        *("", "octo", "octo/", "/hello", "octo/hello/x", "octo/..", "./hello", "octo/he llo"),
        *("octo/\0", "octo/hello\n", "öcto/hello", "\N{KELVIN SIGN}ube/hello", "octo/" + "x" * 101),
    ],
)
def test_what_is_not_owner_and_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRepository):
        repository_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "octo/hello", "octo hello", "öcto"])
def test_what_is_no_owner_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        owner_name(name)


def test_each_scope_has_the_reason_why_it_is_read() -> None:
    roles = roles_for(ref="refs/pull/7/merge", base_ref="next", default_branch="dev")

    assert list(roles.items()) == [
        ("refs/pull/7/merge", Role.OWN),
        ("refs/heads/next", Role.BASE),
        ("refs/heads/dev", Role.DEFAULT),
    ]
    assert roles_for(ref="refs/heads/main", base_ref="main") == {"refs/heads/main": Role.OWN}


@given(
    own=st.sampled_from(["refs/heads/a", "refs/heads/b", "refs/tags/a"]),
    base=st.sampled_from("abc"),
)
def test_the_reasons_are_those_of_the_scopes_that_are_searched(own: str, base: str) -> None:
    roles = roles_for(ref=own, base_ref=base, default_branch="a")

    scopes = scopes_for(ref=own, base_ref=base, default_branch="a")

    assert [scope.scope for scope in scopes] == list(roles)


def test_a_branch_may_be_named_with_or_without_its_prefix() -> None:
    assert branch_ref("next") == branch_ref("refs/heads/next") == "refs/heads/next"
    with pytest.raises(InvalidRef):
        branch_ref("a..b")
