"""Who is asking: job tokens, API tokens and the Authorization header that carries them.

A job token is a JWT that says by itself what its job may do (protocol §1.1). An API token is random
text that only the catalog can explain, and that can be taken back. Whatever is wrong with one, the
answer is the same.
"""

import base64
import hashlib
import json
import re
import secrets
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import OctKey

from runcache.access import owner_name, repository_name
from runcache.errors import InvalidInput, NotAuthenticated
from runcache.model import ApiToken, Grant, Permission, ScopePermission

ISSUER: Final = "runcache"
SKEW_SECONDS: Final = 30
NOT_BEFORE_SECONDS: Final = 60
MAX_TOKEN_LENGTH: Final = 16 * 1024
MAX_REMEMBERED: Final = 1024
MAX_TOLD_LENGTH: Final = 200
API_TOKEN_PREFIX: Final = "rc_"  # noqa: S105  -- the same for all

_ALGORITHMS: Final = ["HS256"]
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Verified:
    """A grant, and the seconds since 1970 between which its token counts."""

    grant: Grant
    not_before: int
    expires_at: int


class JobTokens:
    """Makes and reads job tokens. `key` is derived for this purpose; `now` is in milliseconds.

    Tokens that one of the `former` keys has signed count as well.
    Tokens that were verified are remembered, so that a lookup does not pay for a signature each
    time. To be used from one thread.
    """

    def __init__(self, key: bytes, *, former: Sequence[bytes] = (), now: Callable[[], int]) -> None:
        self._key = OctKey.import_key(key)
        self._accepted = (self._key, *map(OctKey.import_key, former))
        self._now = now
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def mint(
        self,
        *,
        repository: str,
        scopes: Iterable[ScopePermission],
        ttl: timedelta,
        ref: str | None = None,
        event: str | None = None,
    ) -> str:
        """Return a token for one job, with the claims of GitHub's runtime token.

        `ref` and `event` are what the job runs for, for the records.

        Raises:
            InvalidRepository: `repository` is not `owner/name`.
        """
        name = repository_name(repository)
        now = self._now() // 1000
        claims = {
            "ac": _json([{"Scope": s.scope, "Permission": int(s.permission)} for s in scopes]),
            "scp": f"Actions.Results:{uuid.uuid4()}:{uuid.uuid4()}",
            "repository": name,
            "repository_id": repository_id(name),
            "jti": str(uuid.uuid4()),
            "iss": ISSUER,
            "iat": now,
            "nbf": now - NOT_BEFORE_SECONDS,
            "exp": now + int(ttl.total_seconds()),
        }
        known = {"ref": ref, "event_name": event}
        claims |= {name: value for name, value in known.items() if value is not None}
        header = {"alg": "HS256", "typ": "JWT"}
        return jws.serialize_compact(header, _json(claims), self._key, _ALGORITHMS)

    def grant(self, token: str) -> Grant:
        """Return what the bearer of `token` may do.

        Raises:
            NotAuthenticated: it is not one of ours, or not now.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise not_authenticated()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        verified = self._verified.get(digest) or self._verify(token, digest)
        now = self._now() / 1000
        if not verified.not_before - SKEW_SECONDS <= now < verified.expires_at + SKEW_SECONDS:
            self._verified.pop(digest, None)
            raise not_authenticated()
        self._remember(digest, verified)
        return verified.grant

    def _verify(self, token: str, digest: bytes) -> _Verified:
        try:
            claims = json.loads(signed_payload(token, self._accepted))
            return _Verified(
                Grant(
                    repository=repository_name(_text(claims, "repository")),
                    scopes=_scopes(_text(claims, "ac")),
                    job=_job(claims) or digest.hex(),
                    event=_told(claims, "event_name"),
                    run=_told(claims, "run_id") or _run_in_scp(claims),
                ),
                not_before=_number(claims, "nbf"),
                expires_at=_number(claims, "exp"),
            )
        # What a stranger sends can be wrong in any way, down to JSON that is nested too deeply.
        except (
            JoseError,
            InvalidInput,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            RecursionError,
        ):
            raise not_authenticated() from None

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified[digest] = verified
        self._verified.move_to_end(digest)
        if len(self._verified) > MAX_REMEMBERED:
            self._verified.popitem(last=False)


def signed_payload(text: str, accepted: Sequence[OctKey]) -> bytes:
    """Return what one of these keys has signed, of which there is at least one.

    Raises:
        JoseError, ValueError: none of them has, or it cannot be read.
    """
    for key in accepted[:-1]:
        with suppress(BadSignatureError):
            return jws.deserialize_compact(text, key, _ALGORITHMS).payload
    return jws.deserialize_compact(text, accepted[-1], _ALGORITHMS).payload


def not_authenticated() -> NotAuthenticated:
    """Return the one refusal, which does not say what was wrong."""
    return NotAuthenticated("the token is missing, invalid or expired")


def repository_id(repository: str) -> str:
    """Return a number as text, always the same for a repository, that JavaScript can hold."""
    digest = hashlib.sha256(repository_name(repository).encode()).digest()
    return str(int.from_bytes(digest[:6], "big"))


def new_api_token(
    *,
    repositories: Iterable[str] = (),
    owners: Iterable[str] = (),
    can_write: bool = False,
    is_admin: bool = False,
    ttl: timedelta,
    now_ms: int,
) -> tuple[ApiToken, str]:
    """Return a new token and its text, `rc_<id>_<secret>`, of which only the digest may be kept.

    Raises:
        InvalidInput: one of the names is none.
    """
    token = ApiToken(
        id=secrets.token_hex(6),
        repositories=tuple(dict.fromkeys(map(repository_name, repositories))),
        owners=tuple(dict.fromkeys(map(owner_name, owners))),
        can_write=can_write,
        is_admin=is_admin,
        created_at=now_ms,
        expires_at=now_ms + ttl // _MILLISECOND,
    )
    return token, f"{API_TOKEN_PREFIX}{token.id}_{secrets.token_hex(32)}"


def digest_of(text: str) -> str:
    """Return what the catalog knows an API token by: its SHA-256, since the text is random."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def valid_api_token(found: ApiToken | None, *, now_ms: int) -> ApiToken:
    """Return the token that the catalog has for a digest, if it counts at `now_ms`.

    Raises:
        NotAuthenticated: there is none, it was revoked or has expired.
    """
    if found is None or found.revoked_at is not None or found.expires_at <= now_ms:
        raise not_authenticated()
    return found


def token_in(authorization: str | None) -> str | None:
    """Return the token that an Authorization header carries, `None` if there is none.

    Taken are `Bearer T`, `token T`, and Basic with the token as its password (management §1.9). An
    empty header counts as none.
    """
    scheme, _, value = (authorization or "").strip().partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer" | "token":
            return value or None
        case "basic":
            return _password(value)
        case _:
            return None


def _password(credentials: str) -> str | None:
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except ValueError:
        return None
    return decoded.partition(":")[2] or None


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _number(claims: Mapping[str, Any], name: str) -> int:
    value = claims[name]
    if type(value) is not int:
        raise TypeError(name)
    return value


def _scopes(text: str) -> tuple[ScopePermission, ...]:
    return tuple(
        # Bits that nobody has given a meaning yet allow nothing.
        ScopePermission(
            _text(scope, "Scope"), Permission(_number(scope, "Permission") & Permission.READ_WRITE)
        )
        for scope in json.loads(text)
    )


def _told(claims: Mapping[str, Any], name: str) -> str | None:
    """Return a claim that is for the records only: no token is refused for its sake."""
    value = claims.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    return "".join(filter(str.isprintable, str(value)))[:MAX_TOLD_LENGTH] or None


def _run_in_scp(claims: Mapping[str, Any]) -> str | None:
    """Return the run in `Actions.Results:<run>:<job>` (protocol §1.1); ours is a random one."""
    if claims.get("iss") == ISSUER:
        return None
    found = re.search(r"\bActions\.Results:([\w-]+):", _told(claims, "scp") or "", re.ASCII)
    return found[1] if found else None


def _job(claims: Mapping[str, Any]) -> str | None:
    # The parts of a job share the last two of these; the first is new in each token.
    for name in ("jti", "orchid", "scp"):
        if isinstance(claims.get(name), str) and claims[name]:
            return _text(claims, name)
    return None
