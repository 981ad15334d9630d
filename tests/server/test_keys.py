import subprocess
import sys
from pathlib import Path

import pytest

from runcache.config import load
from runcache.errors import InvalidSettings
from runcache.server.keys import SigningKey, key_of, own_signing_key, signing_key

MAKES_A_KEY = """
import sys
from pathlib import Path
from runcache.server.keys import own_signing_key
sys.stdin.readline()
print(own_signing_key(Path(sys.argv[1])).secret.hex())
"""


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "data" / "signing.key"

    first = own_signing_key(file)
    second = own_signing_key(file)

    assert first == second
    assert len(first.secret) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["signing.key"]


def test_two_data_folders_have_two_keys(tmp_path: Path) -> None:
    assert own_signing_key(tmp_path / "a" / "key") != own_signing_key(tmp_path / "b" / "key")


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKES_A_KEY, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]

    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = {process.communicate()[0] for process in processes}

    assert keys == {f"{file.read_text().strip()}\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["signing.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_of_the_data_folder_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "signing.key"
    own_signing_key(file)
    file.chmod(mode)

    with pytest.raises(InvalidSettings, match="others may read") as refusal:
        own_signing_key(file)

    assert refusal.value.hint == f"`chmod 600 {file}`"


def test_a_key_that_was_mounted_may_be_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"  {'ab' * 32}\n\n")
    file.chmod(0o444)

    assert signing_key(file) == SigningKey(b"\xab" * 32)


def test_of_several_keys_the_first_one_signs(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{'ab' * 32}\n\n  {'cd' * 32}\n{'ef' * 32}\n")

    key = signing_key(file)

    first, second, third = (SigningKey(bytes([byte]) * 32) for byte in (0xAB, 0xCD, 0xEF))
    assert key.derived("links") == first.derived("links")
    assert key.derived_formerly("links") == (second.derived("links"), third.derived("links"))
    assert first.derived_formerly("links") == ()


def test_a_named_key_that_is_missing_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "secret"

    with pytest.raises(InvalidSettings, match="cannot read the signing key") as refusal:
        signing_key(file)

    assert refusal.value.hint == f"`openssl rand -hex 32 > {file}` makes one"
    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"ab" * 31, b"xy" * 32, b"\xff" * 64, b"\n", b"ab" * 32 + b"\n" + b"ab" * 31],
)
def test_what_is_not_a_key_is_refused_without_being_repeated(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)

    with pytest.raises(InvalidSettings) as refusal:
        signing_key(file)

    assert str(refusal.value) == f"`{file}` is not a signing key: 64 hex digits a line are wanted"


def test_a_folder_that_cannot_be_made_is_a_setting_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InvalidSettings, match="cannot make the signing key"):
        own_signing_key(tmp_path / "file" / "data" / "signing.key")


def test_keys_for_different_purposes_have_nothing_in_common() -> None:
    key = SigningKey(b"s" * 32)

    assert key.derived("links") == key.derived("links")
    assert len({key.derived("links"), key.derived("job tokens"), key.secret}) == 3


def test_a_key_is_not_printed() -> None:
    assert "ssss" not in repr(SigningKey(b"s" * 32, former=(b"s" * 32,)))


def test_the_settings_say_whose_key_it_is(tmp_path: Path) -> None:
    mounted = tmp_path / "secret"
    mounted.write_text("cd" * 32)

    own = load({"data": str(tmp_path)}, environ={}).settings
    named = load({"signing_key_file": str(mounted)}, environ={}).settings

    assert key_of(named) == SigningKey(b"\xcd" * 32)
    assert key_of(own) == signing_key(tmp_path / "signing.key")
