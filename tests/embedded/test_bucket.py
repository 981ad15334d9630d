"""The cache without a server where the bytes are in a bucket."""

from pathlib import Path

import pytest

from runcache.client.environment import Given
from runcache.client.results import Format
from tests.client.machines import Machine
from tests.client.test_client import each_format
from tests.conformance.trees import MIB, described, plant

pytestmark = pytest.mark.usefixtures("s3_credentials")


@each_format
def test_what_is_saved_is_restored(
    tmp_path: Path, s3_store_url: str, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_STORE", s3_store_url)
    given = Given(data=str(tmp_path / "data"))
    saving, restoring = (Machine(tmp_path / name, given) for name in ("one", "two"))
    plant(saving.workspace / "deps", size_bytes=12 * MIB)

    saved = saving.save("deps-1", format=form)
    hit = restoring.restore("deps-2", "deps-")

    assert saved.created
    assert hit is not None
    assert hit.matched_key == "deps-1"
    assert described(restoring.workspace) == described(saving.workspace)
    assert not list(tmp_path.rglob("blobs"))
