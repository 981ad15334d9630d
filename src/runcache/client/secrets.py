"""Credentials among files that are to be saved, which everybody who can restore them could use.

Known are the files in which programs keep them. Those that hold other things as well are looked
into. What lies in folders of packages was published with them.
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import Final

from runcache.errors import SecretsFound

_LOOK_AT_BYTES: Final = 64 * 1024
_SHOWN_AT_MOST: Final = 10
_PUBLISHED: Final = (
    b"/node_modules/",
    b"/site-packages/",
    b"/vendor/",
    b"/registry/",
    b"/pkg/mod/",
)
_ANYTHING: Final = rb"\S"
_PRIVATE_KEY: Final = rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"
_PASSWORD: Final = rb"(?im)^[^#\n]*(?:password|passwd|token|secret)\S*\s*[=:]\s*[^\s$]"
_URL_WITH_PASSWORD: Final = rb"://[^/\s:@]+:[^/\s@$]+@"

# What a file of this name, or in a folder of that name, looks like if it holds credentials: regular
# expressions, of which a save rarely needs any.
_FILES: Final[Mapping[bytes, bytes]] = {
    b".npmrc": rb"(?m)^[^#;\n]*(?:_authToken|_auth|_password)\s*=\s*[^\s$]",
    b".yarnrc.yml": rb"(?m)^\s*npmAuth(?:Token|Ident)\S*\s*:\s*[^\s$]",
    b".netrc": _ANYTHING,
    b"_netrc": _ANYTHING,
    b".git-credentials": _ANYTHING,
    b".git/config": rb"(?i)extraheader\s*=|://[^/\s:@]+:[^/\s@]+@",
    b".pypirc": _PASSWORD,
    b"pip.conf": _URL_WITH_PASSWORD,
    b"pip/config": _URL_WITH_PASSWORD,
    b"pypoetry/auth.toml": _PASSWORD,
    b".docker/config.json": rb"\"(?:auth|identitytoken|registrytoken)\"\s*:\s*\"[^\"]",
    b".cargo/credentials": _PASSWORD,
    b".cargo/credentials.toml": _PASSWORD,
    b".gem/credentials": _ANYTHING,
    b".m2/settings.xml": rb"<password>[^<$]",
    b".gradle/gradle.properties": _PASSWORD,
    b"NuGet.Config": rb"ClearTextPassword|<add key=\"Password\"",
    b"composer/auth.json": _ANYTHING,
    b".aws/credentials": _ANYTHING,
    b".kube/config": rb"(?:token|client-key-data|password)\s*:\s*\S",
    b"gh/hosts.yml": rb"oauth_token\s*:\s*\S",
    b"gcloud/application_default_credentials.json": _ANYTHING,
    b"credentials.tfrc.json": _ANYTHING,
    b"id_rsa": _PRIVATE_KEY,
    b"id_dsa": _PRIVATE_KEY,
    b"id_ecdsa": _PRIVATE_KEY,
    b"id_ed25519": _PRIVATE_KEY,
}
_NAMES: Final = frozenset(name.rpartition(b"/")[2] for name in _FILES)
_SUFFIXES: Final = (b".pem", b".key", b".p12", b".pfx")
_BINARY_SUFFIXES: Final = (b".p12", b".pfx")


class Credentials:
    """Looks at files by their absolute paths, and remembers those with credentials."""

    def __init__(self, *, is_refused: bool) -> None:
        self._is_refused = is_refused
        self._found: list[str] = []

    def look(self, path: bytes) -> None:
        """Look at a file.

        Raises:
            SecretsFound: it holds credentials, and they are refused.
        """
        pattern = _suspicion(path)
        if pattern is not None and _holds(path, pattern):
            self._found.append(os.fsdecode(path))
            if self._is_refused:
                raise SecretsFound(self._found)

    def warn(self, warn: Callable[[str], None]) -> None:
        """Name what was found."""
        if self._found:
            named = ", ".join(f"`{path}`" for path in self._found[:_SHOWN_AT_MOST])
            rest = len(self._found) - _SHOWN_AT_MOST
            more = f" and {rest} more" if rest > 0 else ""
            warn(f"credentials are among the saved files: {named}{more}")


def is_suspect(path: bytes) -> bool:
    """Say whether a file is worth a look, by its name alone."""
    return path[path.rfind(b"/") + 1 :] in _NAMES or path.endswith(_SUFFIXES)


def _suspicion(path: bytes) -> bytes | None:
    """Return what a file looks like if it holds credentials; `None`: nobody keeps any there."""
    folder, _, name = path.rpartition(b"/")
    pattern = _FILES.get(name) or _FILES.get(folder.rpartition(b"/")[2] + b"/" + name)
    if pattern is None and name.endswith(_SUFFIXES):
        pattern = _ANYTHING if name.endswith(_BINARY_SUFFIXES) else _PRIVATE_KEY
    if pattern is None or any(part in path for part in _PUBLISHED):
        return None
    return pattern


def _holds(path: bytes, pattern: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # Whoever saves it will say why.
    try:
        return re.search(pattern, os.read(descriptor, _LOOK_AT_BYTES)) is not None
    except OSError:
        return False
    finally:
        os.close(descriptor)
