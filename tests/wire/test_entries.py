"""What is told of a single entry, as it is written."""

from typing import Final

import pytest

from runcache.errors import MalformedMessage
from runcache.wire.entries import Details, File, Files, Origin
from runcache.wire.json_messages import JsonMessage

ENTRY: Final = Details(
    id=17,
    repository="octo/hello",
    ref="refs/heads/main",
    key="npm-1",
    version="v",
    format="snapshot",
    size_bytes=30,
    own_bytes=10,
    shared_bytes=20,
    blob_count=2,
    created_at=1_800_000_000_000,
    last_accessed_at=1_800_000_000_001,
    origin=Origin(ref="refs/heads/main", event="push", paths=("~/.npm",)),
    restored_at=(1_800_000_000_001,),
)

EXAMPLES: Final[tuple[tuple[JsonMessage, str], ...]] = (
    (
        ENTRY,
        (
            '{"id":17,"repository":"octo/hello","ref":"refs/heads/main","key":"npm-1","version":"v",'
            '"format":"snapshot","size_bytes":30,"own_bytes":10,"shared_bytes":20,"blob_count":2,'
            '"created_at":1800000000000,"last_accessed_at":1800000000001,"origin":{"ref":'
            '"refs/heads/main","event":"push","paths":["~/.npm"]},"restored_at":[1800000000001]}'
        ),
    ),
    (
        Files((File("a", "file", 4, 0o644), File("l", "link", 0, 0o777, "a")), 9, "2"),
        (
            '{"files":[{"path":"a","kind":"file","size_bytes":4,"mode":420},{"path":"l","kind":"link",'
            '"size_bytes":0,"mode":511,"target":"a"}],"total_count":9,"next":"2"}'
        ),
    ),
    (Files(None), '{"files":null,"total_count":0,"next":null}'),
)


@pytest.mark.parametrize(("message", "text"), EXAMPLES)
def test_a_message_is_written_and_read_alike(message: JsonMessage, text: str) -> None:
    assert message.encode() == text.encode()
    assert type(message).decode(text.encode()) == message


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"files":[{"path":"a","kind":"device","size_bytes":4,"mode":420}]}',
        '{"files":[{"path":"a","kind":"file","size_bytes":-4,"mode":420}]}',
    ],
)
def test_what_cannot_be_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessage):
        Files.decode(text.encode())
