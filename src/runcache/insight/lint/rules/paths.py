"""The paths of a cache: exclusions without effect, and files that hold secrets."""

import re
from collections.abc import Iterator
from typing import Final

from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.ecosystems import in_one_spelling
from runcache.insight.lint.exclusions import idle_exclusions
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.project import Project

MAX_NAME: Final = 255  # of a file, in bytes

# Files that tools keep tokens and passwords in, wherever they are.
_SECRET_FILES: Final = frozenset(
    {".npmrc", ".netrc", "_netrc", ".pypirc", ".git-credentials", ".dockercfg", ".htpasswd"}
)
# By the end of the path.
_SECRET_PATHS: Final = (
    ".docker/config.json",
    ".aws/credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/gh/hosts.yml",
    ".kube/config",
    ".m2/settings-security.xml",
)
_SECRET_FOLDERS: Final = frozenset(
    {"~", "~/.aws", "~/.config/gh", "~/.docker", "~/.gnupg", "~/.kube", "~/.ssh"}
)
_PRIVATE_KEY: Final = re.compile(
    r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?"
    r"|[\w.-]*(?:private|server|client|tls|ssl|ssh|deploy|signing)[\w.-]*\.key"
    r"|[\w.-]*(?:key|private)[\w.-]*\.pem"
    r"|[\w.*-]+\.(?:p12|pfx)"
)
_WHOLE: Final = re.compile(r"(?:/\*\*?|/)+$")


def idle_exclusion(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find exclusions that change nothing of what is saved."""
    paths = tuple(path.value for path in step.paths)
    for found in idle_exclusions(paths, packs_whole_folders=step.packs_whole_folders):
        place = step.paths[found.index].place()
        if found.packed_by is None:
            yield Fault(place, "the exclusion matches nothing that the paths before it list")
        else:
            folder = paths[found.packed_by]
            yield Fault(
                place,
                f"`{folder}` is packed with all that is in it, and this exclusion has no effect",
                f"list what to keep instead of the folder, such as `{_WHOLE.sub('', folder)}/*`"
                " for all that is right in it, and exclude from that",
            )


def sensitive_path(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find paths of files that hold secrets, and of folders where such files are."""
    for path in step.paths:
        if path.value.startswith("!"):
            continue
        spelled = _WHOLE.sub("", in_one_spelling(path.value.replace("\\", "/"))) or "/"
        name = spelled.rsplit("/", 1)[-1].lower()
        if spelled in _SECRET_FOLDERS:
            yield Fault(path.place(), f"`{path.value}` has files with passwords, tokens or keys")
        elif (
            name in _SECRET_FILES
            or f"/{spelled}".endswith(tuple(f"/{end}" for end in _SECRET_PATHS))
            or (len(name) <= MAX_NAME and _PRIVATE_KEY.fullmatch(name))
        ):
            yield Fault(path.place(), f"`{path.value}` may hold passwords, tokens or keys")
