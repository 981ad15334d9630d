"""What a preset comes to for one project: what to cache, and under which key."""

from dataclasses import dataclass

from runcache.model import Key


@dataclass(frozen=True, slots=True)
class Recipe:
    """One cache: what `paths`, `key` and `restore-keys` of `actions/cache` would be.

    `paths` are texts as the action of the preset passes them on, since the version of an entry is
    made of them. `dependencies` are the patterns whose files are hashed in the key.
    """

    name: str
    paths: tuple[str, ...]
    key: str
    restore_keys: tuple[str, ...]
    dependencies: tuple[str, ...]

    def __post_init__(self) -> None:
        for key in (self.key, *self.restore_keys):
            Key(key)
