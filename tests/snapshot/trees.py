"""Trees of all kinds for hypothesis, and random changes to them."""

from collections.abc import Mapping
from random import Random

from hypothesis import strategies as st

from runcache.snapshot.chunking import CUT_ABOVE_BYTES
from runcache.snapshot.limits import MAX_CHUNK_BYTES
from tests.snapshot.disk import LONG_AGO_NS, File, Folder, Link, Thing

# Short, so that names meet: `a` before `a-b` before `a/b`, odd bytes, and what is not UTF-8.
PARTS = (b"a", b"a-b", b"b", "ü".encode(), b"\xff\xfe", b" ", b"a\nb", b"-rf", b"...", b"\x01")

parts = st.sampled_from(PARTS)
names = st.lists(parts, min_size=0, max_size=3).map(b"/".join)
mtimes = st.one_of(
    st.just(LONG_AGO_NS),
    st.integers(min_value=-(10**18), max_value=4 * 10**18),
)


def large_contents(seed: int, length: int) -> bytes:
    """Return contents that are cut into chunks, half of them random."""
    random = Random(seed)
    half = random.randbytes(length // 2)
    return half + bytes(length - len(half))


contents = st.one_of(
    st.binary(max_size=40),
    st.sampled_from((b"the same", b"x" * 5_000)),
    st.builds(
        large_contents,
        st.integers(0, 3),
        st.sampled_from((CUT_ABOVE_BYTES, CUT_ABOVE_BYTES + 1, 3 * MAX_CHUNK_BYTES + 5)),
    ),
)
files = st.builds(
    File, contents=contents, mode=st.sampled_from((0o644, 0o755, 0o400, 0o000)), mtime_ns=mtimes
)
folders = st.builds(Folder, mode=st.sampled_from((0o755, 0o700, 0o555)), mtime_ns=mtimes)
links = st.builds(
    Link,
    target=st.sampled_from((b"a", b"../..", b"/etc/passwd", b"nowhere", b"\xff")),
    mtime_ns=mtimes,
)


def completed(things: Mapping[bytes, Thing]) -> dict[bytes, Thing]:
    """Return a tree with these things, and the folders that they are in, as far as both can be."""
    tree: dict[bytes, Thing] = {}
    for name, thing in sorted(things.items()):
        parents = [name[:at] for at in range(len(name)) if name[at : at + 1] == b"/"]
        ancestors = [b"", *parents] if name else []
        if all(isinstance(tree.get(parent, Folder()), Folder) for parent in ancestors):
            for parent in ancestors:
                tree.setdefault(parent, Folder())
            tree[name] = thing
    return tree


trees = st.dictionaries(names, st.one_of(files, folders, links), max_size=8).map(completed)
