"""Snapshots to restore: of a tree that a test describes, or made by hand as an attacker would."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_IFDIR, S_IFLNK, S_IFREG
from typing import Any

import zstandard

from runcache.snapshot.chunking import digest_of
from runcache.snapshot.manifest import Chunks, Frames, Manifest, Pack
from runcache.snapshot.restore import Restored, restore
from runcache.snapshot.save import save
from tests.snapshot.disk import LONG_AGO_NS, File, Folder, Link, Tree, plant
from tests.snapshot.packs_in_memory import MemorySink, MemorySource


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A manifest, and its packs."""

    manifest: Manifest
    sink: MemorySink

    def restore(
        self,
        *roots: Path,
        spoil: Callable[[str, int, bytes], bytes] | None = None,
        **options: Any,  # noqa: ANN401  -- those of `restore`
    ) -> Restored:
        """Restore it, from packs that `spoil` may change."""
        source = MemorySource(self.sink, spoil=spoil)
        options.setdefault("source", source)
        restored = restore(self.manifest, [bytes(root) for root in roots], **options)
        assert all(reader.is_closed for reader in source.readers)
        return restored


def saved(folder: Path, *trees: Tree) -> Snapshot:
    """Return the snapshot of trees, each below a root of its own."""
    roots = [plant(folder / f"saved-{number}", tree) for number, tree in enumerate(trees)]
    sink = MemorySink()
    written = save([bytes(root) for root in roots], sink=sink)
    return Snapshot(Manifest.decode(written.manifest), sink)


def forged(tree: Mapping[bytes, File | Folder | Link]) -> Snapshot:
    """Return a snapshot that names exactly this, whether or not it can be saved.

    It is decoded as any other one, so what the manifest alone gives away is refused here.
    """
    names = sorted(tree)
    texts = sorted({thing.contents for thing in tree.values() if isinstance(thing, File)} - {b""})
    digests = [digest_of(text) for text in texts]
    body = b"".join(texts)
    stored = zstandard.compress(body)
    contents: list[int] = []
    starts, modes, sizes = [0], [], []
    targets: dict[int, bytes] = {}
    for number, name in enumerate(names):
        thing = tree[name]
        match thing:
            case File() if thing.contents:
                contents.append(texts.index(thing.contents))
                modes.append(S_IFREG | thing.mode)
                sizes.append(len(thing.contents))
            case File():
                modes.append(S_IFREG | thing.mode)
                sizes.append(0)
            case Folder():
                modes.append(S_IFDIR | thing.mode)
                sizes.append(0)
            case Link():
                modes.append(S_IFLNK | 0o777)
                sizes.append(0)
                targets[number] = thing.target
        starts.append(len(contents))
    offsets = [sum(map(len, texts[:number])) for number in range(len(texts))]
    made = Manifest(
        root_starts=[0, len(names)],
        names=names,
        modes=modes,
        mtimes_ns=[LONG_AGO_NS] * len(names),
        sizes=sizes,
        targets=targets,
        content_starts=starts,
        contents=contents,
        chunks=Chunks(digests, [len(text) for text in texts], [0] * len(texts), offsets),
        frames=Frames([0], [0], [min(len(stored), len(body))], [len(body)])
        if texts
        else Frames([], [], [], []),
        packs=[Pack("1-0", min(len(stored), len(body)))] if texts else [],
    )
    sink = MemorySink()
    sink.packs["1-0"] = min(stored, body, key=len)
    return Snapshot(Manifest.decode(made.encode()), sink)
