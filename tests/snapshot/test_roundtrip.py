"""Whatever is saved, with any base, and wherever it is restored: it is what it was."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from runcache.snapshot.index import FileIndex
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.restore import restore
from runcache.snapshot.save import save
from runcache.snapshot.scan import everything
from tests.snapshot.disk import Tree, plant, tree_at
from tests.snapshot.packs_in_memory import MemorySink, MemorySource
from tests.snapshot.trees import trees


@contextmanager
def scratch() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


@settings(max_examples=150)
@given(tree=trees, base=st.none() | trees, here=trees, indexed=st.booleans(), exact=st.booleans())
def test_a_tree_is_restored_as_it_was_saved(
    *, tree: Tree, base: Tree | None, here: Tree, indexed: bool, exact: bool
) -> None:
    with scratch() as folder:
        index = FileIndex(folder / "index") if indexed else None
        sinks, bases = [], []
        source, target = folder / "source", folder / "target"
        if base is not None:
            plant(source, base)
            sinks.append(MemorySink("1"))
            written = save([bytes(source)], sink=sinks[-1], index=index)
            bases.append(Manifest.decode(written.manifest))
            remove(source)
        plant(source, tree)
        sinks.append(MemorySink("2"))

        written = save([bytes(source)], sink=sinks[-1], bases=bases, index=index)
        plant(target, here)
        manifest = Manifest.decode(written.manifest)
        restore(
            manifest,
            [bytes(target)],
            source=MemorySource(*sinks),
            index=index,
            exact=everything if exact else None,
        )

        restored = tree_at(target)
        assert {name: restored.get(name) for name in tree} == tree
        if exact:
            assert restored == tree
        assert not written.warnings
        again = restore(manifest, [bytes(target)], source=MemorySource(), index=index)
        assert (again.files_written, again.fetched_bytes) == (0, 0)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
