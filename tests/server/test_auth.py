import base64
import json
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey

from runcache.access import scopes_for
from runcache.errors import InvalidInput, InvalidRepository, NotAuthenticated
from runcache.model import ApiToken, Grant, Permission, ScopePermission
from runcache.server.auth import (
    MAX_REMEMBERED,
    MAX_TOKEN_LENGTH,
    JobTokens,
    digest_of,
    new_api_token,
    repository_id,
    token_in,
    valid_api_token,
)

KEY: Final = b"k" * 32
REFUSAL: Final = "the token is missing, invalid or expired"
SCOPES: Final = scopes_for(ref="refs/heads/feature", base_ref="main")
HOUR: Final = timedelta(hours=1)
MISSING: Final = "missing"


class Clock:
    """Milliseconds since 1970 that pass when told to."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms

    def pass_seconds(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> JobTokens:
    return JobTokens(KEY, now=clock)


def minted(tokens: JobTokens, ttl: timedelta = HOUR) -> str:
    return tokens.mint(repository="Octo/Hello", scopes=SCOPES, ttl=ttl)


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims


def signed(claims: object, *, key: bytes = KEY, **header: str) -> str:
    payload = claims if isinstance(claims, str) else json.dumps(claims)
    algorithm = header.pop("alg", "HS256")
    return jws.serialize_compact(
        {"alg": algorithm, **header}, payload, OctKey.import_key(key), [algorithm]
    )


def refused(tokens: JobTokens, token: str) -> bool:
    with pytest.raises(NotAuthenticated) as refusal:
        tokens.grant(token)
    return str(refusal.value) == REFUSAL and refusal.value.__cause__ is None


def granted(tokens: JobTokens, **claims: object) -> Grant:
    """Return what a token grants whose claims are these besides those of a good one."""
    return tokens.grant(signed(claims_of(minted(tokens)) | claims))


def test_a_token_tells_what_its_job_runs_for(tokens: JobTokens) -> None:
    token = tokens.mint(
        repository="octo/hello", scopes=SCOPES, ttl=HOUR, ref="refs/heads/feature", event="push"
    )

    grant = tokens.grant(token)

    assert (grant.own_ref, grant.event, grant.run) == ("refs/heads/feature", "push", None)
    assert claims_of(token)["ref"] == "refs/heads/feature"


@pytest.mark.parametrize(
    ("claims", "run"),
    [
        ({"run_id": "12345678901"}, "12345678901"),
        ({"run_id": 17}, "17"),
        ({"iss": "other", "scp": "x Actions.Results:ce7f54c7:5bd5b8a4 y"}, "ce7f54c7"),
        ({"iss": "other", "scp": "Actions.Results:ce7f54c7:5bd5b8a4", "run_id": "17"}, "17"),
        ({"iss": "other", "scp": "Actions.Other:1:2"}, None),
        ({"run_id": True}, None),
        ({"run_id": ["17"]}, None),
        ({"run_id": ""}, None),
        ({"run_id": "\x1b[31m17\n"}, "[31m17"),
    ],
)
def test_the_run_is_what_the_claims_say(
    tokens: JobTokens, claims: dict[str, object], run: str | None
) -> None:
    assert granted(tokens, **claims).run == run


def test_what_is_for_the_records_only_never_makes_a_token_invalid(tokens: JobTokens) -> None:
    grant = granted(tokens, event_name={"a": 1}, ref=17, run_id="9" * 1000)

    assert grant.event is None
    assert grant.run == "9" * 200


def test_a_token_grants_what_it_was_minted_for(tokens: JobTokens) -> None:
    token = minted(tokens)

    grant = tokens.grant(token)

    assert grant == Grant("octo/hello", SCOPES, job=claims_of(token)["jti"])


def test_a_token_has_the_claims_of_githubs_runtime_token(tokens: JobTokens, clock: Clock) -> None:
    claims = claims_of(minted(tokens))
    now = clock() // 1000

    assert json.loads(claims["ac"]) == [
        {"Scope": "refs/heads/feature", "Permission": 3},
        {"Scope": "refs/heads/main", "Permission": 1},
    ]
    assert claims["repository"] == "octo/hello"
    assert claims["repository_id"] == repository_id("octo/hello")
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (now, now - 60, now + 3600)
    assert all(type(claims[name]) is int for name in ("iat", "nbf", "exp"))
    assert len(claims["scp"].split(":")) == 3
    assert claims["scp"].startswith("Actions.Results:")


def test_each_token_is_another_job(tokens: JobTokens) -> None:
    assert tokens.grant(minted(tokens)).job != tokens.grant(minted(tokens)).job


def test_a_repository_has_one_id_whatever_its_case() -> None:
    assert repository_id("Octo/Hello") == repository_id("octo/hello") == "40349781348415"
    assert repository_id("octo/other") != repository_id("octo/hello")


def test_only_a_repository_gets_a_token(tokens: JobTokens) -> None:
    with pytest.raises(InvalidRepository):
        tokens.mint(repository="octo", scopes=SCOPES, ttl=HOUR)


def test_a_token_counts_until_it_expires_and_a_little_longer(
    tokens: JobTokens, clock: Clock
) -> None:
    token = minted(tokens)

    clock.pass_seconds(3600 + 29)
    assert tokens.grant(token)

    clock.pass_seconds(1)
    assert refused(tokens, token)


def test_a_token_that_was_verified_expires_nevertheless(tokens: JobTokens, clock: Clock) -> None:
    token = minted(tokens)
    for _ in range(3):
        assert tokens.grant(token)

    clock.pass_seconds(3600 + 30)

    assert refused(tokens, token)
    assert refused(tokens, token)


def test_a_token_from_a_clock_ahead_counts_once_its_time_has_come(
    tokens: JobTokens, clock: Clock
) -> None:
    token = minted(tokens)

    clock.pass_seconds(-91)
    assert refused(tokens, token)

    clock.pass_seconds(1)
    assert tokens.grant(token)


def test_a_token_outlives_the_key_that_has_signed_it(tokens: JobTokens, clock: Clock) -> None:
    rotated = JobTokens(b"n" * 32, former=(b"o" * 32, KEY), now=clock)
    before = minted(tokens)

    assert rotated.grant(before) == tokens.grant(before)
    assert rotated.grant(minted(rotated)).repository == tokens.grant(before).repository
    assert refused(tokens, minted(rotated))


def test_the_same_grant_is_returned_without_verifying_twice(tokens: JobTokens) -> None:
    token = minted(tokens)

    assert tokens.grant(token) is tokens.grant(token)


def test_only_so_many_tokens_are_remembered(tokens: JobTokens) -> None:
    first, second = minted(tokens), minted(tokens)
    grants = tokens.grant(first), tokens.grant(second)

    for _ in range(MAX_REMEMBERED - 1):
        tokens.grant(minted(tokens))
        assert tokens.grant(first) is grants[0]

    assert tokens.grant(second) is not grants[1]
    assert tokens.grant(second) == grants[1]


def good_claims(clock: Clock) -> dict[str, Any]:
    return {
        "ac": '[{"Scope":"refs/heads/main","Permission":3}]',
        "repository": "octo/hello",
        "nbf": clock() // 1000,
        "exp": clock() // 1000 + 60,
    }


@pytest.mark.parametrize(
    ("claims", "job"),
    [
        ({"jti": "j", "orchid": "o", "scp": "s"}, "j"),
        ({"orchid": "o", "scp": "s"}, "o"),
        ({"jti": "", "orchid": 7, "scp": "s"}, "s"),
    ],
)
def test_a_job_is_known_by_the_best_of_its_claims(
    tokens: JobTokens, clock: Clock, claims: dict[str, object], job: str
) -> None:
    assert tokens.grant(signed({**good_claims(clock), **claims})).job == job


def test_a_job_without_any_name_is_known_by_its_token(tokens: JobTokens, clock: Clock) -> None:
    token = signed(good_claims(clock))

    assert tokens.grant(token).job == digest_of(token)


def test_permission_bits_without_a_meaning_allow_nothing(tokens: JobTokens, clock: Clock) -> None:
    scopes = [{"Scope": "a", "Permission": 4}, {"Scope": "b", "Permission": 9}]

    grant = tokens.grant(signed({**good_claims(clock), "ac": json.dumps(scopes)}))

    assert grant.scopes == (
        ScopePermission("a", Permission.NONE),
        ScopePermission("b", Permission.READ),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ac", MISSING),
        ("repository", MISSING),
        ("exp", MISSING),
        ("nbf", MISSING),
        ("exp", "1800000060"),
        ("exp", True),
        ("exp", None),
        ("exp", 1800000060.0),
        ("exp", float("nan")),
        ("exp", float("inf")),
        ("nbf", float("-inf")),
        ("exp", 0),
        ("exp", -(10**30)),
        ("nbf", 1800000060),
        ("nbf", 10**30),
        ("repository", "octo"),
        ("repository", ["octo/hello"]),
        ("ac", [{"Scope": "refs/heads/main", "Permission": 3}]),
        ("ac", "no JSON"),
        ("ac", "7"),
        ("ac", '{"Scope":"refs/heads/main"}'),
        ("ac", '[{"scope":"refs/heads/main","permission":3}]'),
        ("ac", '[{"Scope":1,"Permission":3}]'),
        ("ac", '[{"Scope":"refs/heads/main","Permission":"3"}]'),
        ("ac", '[{"Scope":"refs/heads/main","Permission":true}]'),
        ("ac", '[{"Scope":"refs/heads/main","Permission":3.0}]'),
        ("ac", "[" * 5000),
    ],
    ids=lambda value: str(value)[:60],
)
def test_claims_that_lack_something_grant_nothing(
    tokens: JobTokens, clock: Clock, name: str, value: object
) -> None:
    claims = good_claims(clock)
    assert tokens.grant(signed(claims))

    claims[name] = value
    if value == MISSING:
        del claims[name]

    assert refused(tokens, signed(claims))


@pytest.mark.parametrize(
    "claims", ["", "7", "null", "[]", '"text"', "{", "[" * 5000], ids=lambda text: text[:10]
)
def test_a_payload_that_is_no_object_grants_nothing(tokens: JobTokens, claims: str) -> None:
    assert refused(tokens, signed(claims))


def encoded(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_forged_token_grants_nothing(tokens: JobTokens, clock: Clock) -> None:
    header, payload, signature = minted(tokens).split(".")
    claims = good_claims(clock)
    forged = [
        signed(claims, key=b"x" * 32),
        signed(claims, alg="HS512"),
        f"{encoded({'alg': 'none'})}.{encoded(claims)}.",
        f"{encoded({'alg': 'none'})}.{encoded(claims)}.{signature}",
        f"{encoded({'alg': ['HS256']})}.{payload}.{signature}",
        f"{encoded(['alg'])}.{payload}.{signature}",
        f"{encoded({'alg': 'HS256', 'crit': [{}]})}.{payload}.{signature}",
        f"{encoded('[' * 5000)}.{payload}.{signature}",
        f"{encoded({'typ': 'JWT'})}.{payload}.{signature}",
        f"{header}.{encoded(claims)}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}.x",
        f"{header}.{payload}.{signature}.x.y",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}..{signature}",
        "",
        "...",
        "é.ü.ß",
        "\ud800.a.b",
        "rc_0123456789ab_" + "0" * 64,
    ]

    assert all(refused(tokens, token) for token in forged)


def test_a_token_too_long_to_be_one_is_not_even_read(tokens: JobTokens, clock: Clock) -> None:
    claims = good_claims(clock)

    assert refused(tokens, signed({**claims, "padding": "x" * MAX_TOKEN_LENGTH}))


@given(
    st.text(max_size=200) | st.from_regex(r"\A[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*")
)
def test_no_text_that_strangers_make_up_does_more_than_be_refused(token: str) -> None:
    assert refused(JobTokens(KEY, now=Clock()), token)


@given(st.data())
def test_no_character_of_a_token_can_be_changed(data: st.DataObject) -> None:
    tokens = JobTokens(KEY, now=Clock())
    token = minted(tokens)
    position = data.draw(st.integers(0, len(token) - 2))  # the last one holds two spare bits
    other = data.draw(st.sampled_from("ABCabc019-_.").filter(lambda c: c != token[position]))

    assert refused(tokens, token[:position] + other + token[position + 1 :])


def test_an_api_token_is_random_text_of_which_the_digest_is_kept() -> None:
    token, text = new_api_token(
        repositories=["Octo/Hello", "octo/hello"], owners=["Octo-Org"], ttl=HOUR, now_ms=1000
    )

    prefix, token_id, secret = text.split("_")

    assert (prefix, token_id, len(secret)) == ("rc", token.id, 64)
    assert token.repositories == ("octo/hello",)
    assert token.owners == ("octo-org",)
    assert (token.can_write, token.is_admin) == (False, False)
    assert (token.created_at, token.expires_at) == (1000, 3_601_000)
    assert len(digest_of(text)) == 64
    assert secret not in digest_of(text)
    assert text != new_api_token(is_admin=True, ttl=HOUR, now_ms=1000)[1]


def test_an_api_token_reaches_only_what_has_a_name() -> None:
    with pytest.raises(InvalidRepository):
        new_api_token(repositories=["octo"], ttl=HOUR, now_ms=1000)
    with pytest.raises(InvalidInput):
        new_api_token(owners=["octo/hello"], ttl=HOUR, now_ms=1000)


def test_an_api_token_counts_until_it_expires_or_is_revoked() -> None:
    token, _ = new_api_token(is_admin=True, can_write=True, ttl=HOUR, now_ms=1000)
    revoked = ApiToken("id", (), (), False, True, 1000, 3_601_000, revoked_at=2000)  # noqa: FBT003

    assert valid_api_token(token, now_ms=3_600_999) is token
    for found, now_ms in ((token, 3_601_000), (revoked, 2000), (None, 2000)):
        with pytest.raises(NotAuthenticated, match=REFUSAL):
            valid_api_token(found, now_ms=now_ms)


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc.def", "abc.def"),
        ("bearer abc", "abc"),
        ("BEARER   abc  ", "abc"),
        ("token abc", "abc"),
        ("Token abc", "abc"),
        (basic("user:abc"), "abc"),
        (basic(":abc"), "abc"),
        (basic("user:a:b"), "a:b"),
        (None, None),
        ("", None),
        ("   ", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("abc", None),
        ("Digest abc", None),
        (basic("abc"), None),
        (basic("abc:"), None),
        ("Basic !!", None),
        ("Basic é", None),
        ("Basic /w==", None),
    ],
)
def test_a_token_is_found_in_each_form_of_the_header(header: str | None, token: str | None) -> None:
    assert token_in(header) == token
