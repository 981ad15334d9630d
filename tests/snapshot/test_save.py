"""What a save reads, stores and shares."""

import os
import signal
import threading
from pathlib import Path
from random import Random

import pytest

from runcache.snapshot.chunking import CUT_ABOVE_BYTES
from runcache.snapshot.index import FileIndex
from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.save import Written, save
from runcache.snapshot.scan import Choice, Scan
from tests.snapshot.disk import File, Tree, plant
from tests.snapshot.packs_in_memory import MemorySink
from tests.snapshot.unprivileged import FailedAsNobody, as_nobody, open_folder


def random_bytes(seed: int, length: int) -> bytes:
    return Random(seed).randbytes(length)


def many_files(count: int = 300, *, seed: int = 1) -> dict[bytes, File]:
    return {
        b"%02d/%03d" % (number % 7, number): File(random_bytes(seed + number, 10_000))
        for number in range(count)
    }


class Saving:
    """Saves of one folder, one after the other, each with the one before as its base."""

    def __init__(self, folder: Path, *, indexed: bool = True) -> None:
        self.root = folder / "root"
        self.index = FileIndex(folder / "index") if indexed else None
        self.sinks: list[MemorySink] = []
        self.manifests: list[Manifest] = []

    def save(self, tree: Tree | None = None) -> Written:
        if tree is not None:
            plant(self.root, tree)
        self.sinks.append(MemorySink(str(len(self.sinks))))
        written = save(
            [bytes(self.root)], sink=self.sinks[-1], bases=self.manifests[-1:], index=self.index
        )
        self.manifests.append(Manifest.decode(written.manifest))
        return written


def test_everything_is_stored_once(tmp_path: Path) -> None:
    tree = many_files() | {b"copy": many_files()[b"00/000"], b"empty": File(b"")}

    written = Saving(tmp_path).save(tree)

    assert written.files == written.files_read + 1 == 302
    assert written.chunks == 300
    assert written.size_bytes == 301 * 10_000
    assert written.packs == ("0-0",)
    assert 3_000_000 < written.new_bytes < 3_100_000


def test_the_same_again_stores_nothing_and_reads_nothing(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    first = saving.save(many_files())

    again = saving.save()

    assert again.files_read == 0
    assert again.new_bytes == len(again.manifest)
    assert again.manifest == first.manifest


def test_without_an_index_all_is_read_and_nothing_is_stored(tmp_path: Path) -> None:
    saving = Saving(tmp_path, indexed=False)
    first = saving.save(many_files())

    again = saving.save()

    assert again.files_read == 300
    assert again.manifest == first.manifest


def test_a_change_stores_what_changed(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    saving.save(many_files())

    written = saving.save({b"00/007": File(random_bytes(9, 12_345))})

    assert written.files_read == 1
    assert 12_345 <= written.new_bytes - len(written.manifest) < 12_400
    assert written.packs == ("0-0", "1-0")


def test_a_file_that_was_renamed_is_read_and_not_stored(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    saving.save(many_files())

    (saving.root / "00").rename(saving.root / "moved")
    written = saving.save()

    assert written.files_read == 43
    assert written.packs == ("0-0",)


def test_of_a_large_file_only_what_changed_is_stored(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    large = random_bytes(1, 20 * MIB)
    saving.save({b"large": File(large)})

    written = saving.save({b"large": File(large[:MIB] + b"inserted" + large[MIB:])})

    assert written.files_read == 1
    assert 0 < written.new_bytes < 3 * MIB


def test_a_pack_that_is_used_less_than_half_is_stored_anew(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    saving.save(many_files())

    for number in range(160):
        (saving.root / os.fsdecode(b"%02d/%03d" % (number % 7, number))).unlink()
    written = saving.save()

    assert written.packs == ("1-0",)
    assert written.files_read == 140
    assert 1_400_000 < written.new_bytes < 1_450_000


def test_many_small_changes_do_not_add_up_to_many_packs(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    saving.save(many_files())

    packs = [
        len(saving.save({b"00/000": File(random_bytes(seed, 100_000))} | new_file(seed)).packs)
        for seed in range(30)
    ]

    assert max(packs) <= 10
    stored = sum(len(pack) for sink in saving.sinks for pack in sink.packs.values())
    assert stored < 3 * 3_000_000


def new_file(seed: int) -> dict[bytes, File]:
    return {b"new/%d" % seed: File(random_bytes(seed, 50_000))}


def test_what_cannot_be_compressed_is_stored_as_it_is(tmp_path: Path) -> None:
    saving = Saving(tmp_path)

    saving.save({b"noise": File(random_bytes(1, 100_000)), b"zeros": File(bytes(900_000))})

    frames = saving.manifests[0].frames
    stored = sorted(zip(frames.lengths, frames.sizes, strict=True))
    assert (100_000, 100_000) in stored
    assert sum(frames.sizes) < 101_000


@pytest.mark.parametrize("size_bytes", [CUT_ABOVE_BYTES, CUT_ABOVE_BYTES + 1, 9 * MIB])
def test_one_thread_is_enough(tmp_path: Path, size_bytes: int) -> None:
    root = plant(tmp_path / "root", {b"file": File(random_bytes(1, size_bytes)), b"b": File(b"b")})

    alone = save([bytes(root)], sink=MemorySink(), threads=1)
    together = save([bytes(root)], sink=MemorySink(), threads=4)

    assert alone.size_bytes == together.size_bytes == size_bytes + 1
    assert alone.chunks == together.chunks


def test_several_roots_are_saved_by_number(tmp_path: Path) -> None:
    plant(tmp_path, {b"a/x": File(b"1"), b"c": File(b"2")})

    written = save([bytes(tmp_path / name) for name in "abc"], sink=MemorySink())

    records = [(r.root, r.name) for r in Manifest.decode(written.manifest).records()]
    assert records == [(0, b""), (0, b"x"), (2, b"")]


def test_what_a_selection_leaves_out_is_not_saved(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"keep": File(b"1"), b"no/x": File(b"2")})

    written = save(
        [bytes(root)],
        sink=MemorySink(),
        scanning=Scan(
            [bytes(root)], lambda _, name, __: Choice.SKIP if name == b"no" else Choice.TAKE
        ),
    )

    assert Manifest.decode(written.manifest).names == [b"", b"keep"]


def test_hard_links_are_files_that_share_their_contents(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"a": File(b"x" * 1000)})
    (root / "b").hardlink_to(root / "a")

    written = save([bytes(root)], sink=MemorySink())

    manifest = Manifest.decode(written.manifest)
    assert written.chunks == 1
    assert list(manifest.sizes) == [0, 1000, 1000]


def test_a_level_is_what_zstd_makes_of_it(tmp_path: Path) -> None:
    words = [b"%x" % number for number in range(500)]
    text = b" ".join(Random(1).choices(words, k=100_000))
    root = plant(tmp_path / "root", {b"text": File(text)})

    quick, thorough = (save([bytes(root)], sink=MemorySink(), level=level) for level in (1, 19))

    assert thorough.new_bytes < quick.new_bytes < len(text)


def test_a_file_that_cannot_be_read_is_an_error_that_names_it() -> None:
    with open_folder() as folder:
        root = plant(folder / "root", {b"secret": File(b"x", 0o000)})

        with pytest.raises(FailedAsNobody) as refused:
            as_nobody(save_it, root)

    assert str(refused.value) == f"FileUnreadable: cannot read `{root}/secret`: Permission denied"


def save_it(root: Path) -> None:
    save([bytes(root)], sink=MemorySink())


def test_nothing_to_save_is_an_empty_snapshot(tmp_path: Path) -> None:
    written = save([bytes(tmp_path / "absent")], sink=MemorySink())

    assert (written.files, written.packs) == (0, ())
    assert list(Manifest.decode(written.manifest).records()) == []


def test_progress_adds_up_to_the_whole(tmp_path: Path) -> None:
    class Counting:
        def __init__(self) -> None:
            self.phases: list[tuple[str, int | None, int | None]] = []
            self.files = self.size_bytes = 0
            self.lock = threading.Lock()

        def phase(
            self, name: str, *, total_files: int | None = None, total_bytes: int | None = None
        ) -> None:
            self.phases.append((name, total_files, total_bytes))

        def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
            with self.lock:
                self.files += files
                self.size_bytes += size_bytes

    tree: Tree = many_files() | {b"large": File(bytes(5 * MIB))}
    root = plant(tmp_path / "root", tree)
    index = FileIndex(tmp_path / "index")
    base = Manifest.decode(save([bytes(root)], sink=MemorySink(), index=index).manifest)
    for bases in ([], [base]):
        progress = Counting()

        save([bytes(root)], sink=MemorySink("2"), bases=bases, index=index, progress=progress)

        total_bytes = 3_000_000 + 5 * MIB
        assert progress.phases == [("save", None, None), ("save", 301, total_bytes)]
        assert (progress.files, progress.size_bytes) == (301, total_bytes)


def test_an_error_of_the_sink_ends_the_save(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"%d" % n: File(random_bytes(n, 20 * MIB)) for n in range(6)})

    with pytest.raises(ConnectionError, match="the sink is gone"):
        save([bytes(root)], sink=MemorySink(fail_at=1))


def test_an_interrupted_save_ends_at_once(tmp_path: Path) -> None:
    class Interrupting(MemorySink):
        def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
            if number == 0:
                signal.raise_signal(signal.SIGINT)
            has_ended.wait()
            super().put(number, body, blake3=blake3, sha256=sha256)

    has_ended = threading.Event()
    root = plant(tmp_path / "root", {b"%d" % n: File(random_bytes(n, 20 * MIB)) for n in range(6)})

    with pytest.raises(KeyboardInterrupt):
        save([bytes(root)], sink=Interrupting())

    has_ended.set()


def test_an_error_of_the_sink_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    saving.save(many_files(3))
    plant(saving.root, many_files(3, seed=50))

    with pytest.raises(ConnectionError):
        save([bytes(saving.root)], sink=MemorySink(fail_at=0), index=saving.index)

    assert saving.save().files_read == 3


def test_a_selected_folder_that_vanishes_is_not_there(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {b"a/x": File(b"1"), b"b/y": File(b"2")})

    def vanish(_: int, name: bytes, __: bool) -> Choice:  # noqa: FBT001
        if name == b"b":
            (root / "b/y").unlink()
            (root / "b").rmdir()
        return Choice.TAKE

    written = save([bytes(root)], sink=MemorySink(), scanning=Scan([bytes(root)], vanish))

    names = Manifest.decode(written.manifest).names
    assert b"b/y" not in names
    assert b"a/x" in names
    assert not written.warnings
