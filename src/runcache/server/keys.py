"""The secret of a server, from which every key that signs something is derived.

The file holds 32 random bytes in hex, or several such lines: the first signs, and what any of them
has signed counts, so that a key can be changed while jobs run. The one in the data folder is made
on first use, readable by its owner alone, and refused when others may read it. A file that was
named must exist, and its mode is left to whoever made it: containers mount their secrets readable
by all.
"""

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IMODE
from typing import Final

from runcache.config import Settings
from runcache.errors import InvalidSettings

SECRET_BYTES: Final = 32

# What keys are derived for.
JOB_TOKENS: Final = "job tokens"
LINKS: Final = "links"
RESULTS: Final = "results"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret that signs nothing itself, and is never printed.

    `former` are others, of which what they have signed counts.
    """

    secret: bytes = field(repr=False)
    former: tuple[bytes, ...] = field(default=(), repr=False)

    def derived(self, purpose: str) -> bytes:
        """Return the key for one purpose: what is signed with it counts for nothing else."""
        return _derived(self.secret, purpose)

    def derived_formerly(self, purpose: str) -> tuple[bytes, ...]:
        """Return the other keys for one purpose, which sign nothing any more."""
        return tuple(_derived(secret, purpose) for secret in self.former)


def key_of(settings: Settings) -> SigningKey:
    """Return the key of a server; that of its data folder is made when it is missing.

    Raises:
        InvalidSettings: there is none, or it cannot be used.
    """
    if settings.is_own_signing_key:
        return own_signing_key(settings.signing_key_file)
    return signing_key(settings.signing_key_file)


def own_signing_key(file: Path) -> SigningKey:
    """Return the key in a data folder, made first when it is missing.

    Any number of processes may do so at once: all of them get the same key.

    Raises:
        InvalidSettings: the file cannot be written or read, is no key, or others may read it.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _create(file)
        mode = S_IMODE(file.stat().st_mode)
    except OSError as exc:
        raise InvalidSettings(f"cannot make the signing key `{file}`: {exc.strerror}") from exc
    if mode & 0o077:
        raise InvalidSettings(
            f"others may read the signing key `{file}`", hint=f"`chmod 600 {file}`"
        )
    return signing_key(file)


def signing_key(file: Path) -> SigningKey:
    """Return the key in a file that somebody else made.

    Raises:
        InvalidSettings: the file cannot be read, or has a line that is no key.
    """
    try:
        lines = file.read_text("ascii").splitlines()
        found = [bytes.fromhex(line) for line in lines if line.strip()]
    except OSError as exc:
        is_missing = isinstance(exc, FileNotFoundError)
        raise InvalidSettings(
            f"cannot read the signing key `{file}`: {exc.strerror}",
            hint=f"`openssl rand -hex {SECRET_BYTES} > {file}` makes one" if is_missing else None,
        ) from exc
    except ValueError:
        found = []
    if not found or min(map(len, found)) < SECRET_BYTES:
        raise InvalidSettings(f"`{file}` is not a signing key: 64 hex digits a line are wanted")
    return SigningKey(found[0], former=tuple(found[1:]))


def _derived(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"runcache {purpose}".encode(), "sha256")


def _create(file: Path) -> None:
    draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as writer:
            writer.write(f"{secrets.token_hex(SECRET_BYTES)}\n")
            writer.flush()
            os.fsync(writer.fileno())
        # A link appears whole and replaces nothing: the first process wins, and all read its key.
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
