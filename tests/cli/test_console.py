import inspect
import json

import pytest

from runcache import errors
from runcache.cli.console import Console, counted, exit_code_of
from runcache.errors import CacheError

EXIT_CODES = {
    "CacheError": 1,
    "Refused": 1,
    "InvalidInput": 2,
    "InvalidKey": 2,
    "InvalidVersion": 2,
    "InvalidRef": 2,
    "InvalidRepository": 2,
    "TooManyKeys": 2,
    "MalformedMessage": 2,
    "MessageTooLarge": 2,
    "InvalidBlockList": 2,
    "InvalidRange": 2,
    "RangeUnsatisfiable": 2,
    "SizeMismatch": 2,
    "InvalidCursor": 2,
    "InvalidLimit": 2,
    "InvalidPattern": 2,
    "ExpressionError": 2,
    "InvalidWorkflow": 2,
    "InvalidPreset": 2,
    "InvalidBackup": 2,
    "EntryExists": 1,
    "UploadTooLarge": 1,
    "NotAuthenticated": 5,
    "NotPermitted": 5,
    "ReadDenied": 5,
    "WriteDenied": 5,
    "FormRefused": 5,
    "LinkRefused": 5,
    "NotFound": 1,
    "UploadGone": 1,
    "BlobMissing": 1,
    "TokenMissing": 1,
    "Misdirected": 1,
    "ForwardingLoop": 1,
    "FileUnreadable": 1,
    "InvalidSettings": 2,
    "PresetUnresolved": 1,
    "DependenciesMissing": 1,
    "ToolMissing": 1,
    "ToolFailed": 1,
    "ToolHung": 1,
    "MachineUnknown": 1,
    "InterpretersDiffer": 1,
    "Unavailable": 1,
    "Draining": 1,
    "StoreFull": 1,
    "StoreUnavailable": 1,
    "CatalogUnavailable": 1,
    "UploadInterrupted": 2,
    "DigestMismatch": 2,
    "TooManyPacks": 2,
    "ManifestMissing": 2,
    "InvalidParameter": 2,
    "ReadOnlyToken": 5,
    "FilesUnlistable": 1,
    "PackGone": 1,
    "EntryMissing": 1,
    "FileUnwritable": 1,
    "NothingToSave": 1,
    "SecretsFound": 1,
    "SnapshotsUnsupported": 1,
    "BrokenEntry": 1,
    "UnsafeEntry": 1,
    "BackupDamaged": 4,
    "PartlyRestored": 1,
    "TwinLost": 1,
    "UnexpectedAnswer": 1,
    "ProtocolAbsent": 1,
    "UpstreamFailed": 1,
    "UpstreamSilent": 1,
    "ServerFailed": 1,
    "ServerUnreachable": 6,
    "ServerUntrusted": 6,
}


def test_every_error_has_an_exit_code() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, CacheError)
    ]

    found = {kind.__name__: exit_code_of(kind.__new__(kind)) for kind in kinds}

    assert found == EXIT_CODES


def test_the_result_is_text_or_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    Console().show("two lines\nof text", {"key": "ä"})
    Console(as_json=True).show("text", {"key": "ä"})
    Console().show("", {})

    text, _, rest = capsys.readouterr().out.partition("of text\n")

    assert text == "two lines\n"
    assert json.loads(rest) == {"key": "ä"}
    assert "ä" in rest


def test_talk_goes_to_stderr_unless_nobody_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    Console().talk("working")
    Console(is_quiet=True).talk("still working")

    assert capsys.readouterr() == ("", "working\n")


def test_a_failure_is_told_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    Console(is_quiet=True).fail("it went wrong", "try again")
    Console(is_quiet=True).fail("it went wrong")

    assert (
        capsys.readouterr().err == "error: it went wrong\nhint: try again\nerror: it went wrong\n"
    )


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(0, "blob", "0 blobs"), (1, "entry", "1 entry"), (2, "entry", "2 entries")],
)
def test_things_are_counted_in_words(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text
