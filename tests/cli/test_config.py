import json
import tomllib
from pathlib import Path

import pytest

from runcache.settings import SETTINGS
from tests.cli.conftest import Runcache


def test_every_setting_is_shown_with_its_source(
    runcache: Runcache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runcache.toml").write_text('min_free = "1GiB"\n')
    monkeypatch.setenv("RUNCACHE_REPO_LIMIT", "20000MB")

    ended = runcache("config", "show", "--unused-for", "14d")
    found = json.loads(runcache("config", "show", "--unused-for", "14d", "--json").out)

    assert ended.code == 0
    assert list(found) == [row.name for row in SETTINGS]
    assert found["unused_for"] == {"value": "14d", "source": "--unused-for"}
    assert found["repo_limit"] == {"value": "20GB", "source": "RUNCACHE_REPO_LIMIT"}
    assert found["min_free"] == {"value": "1GiB", "source": str(tmp_path / "runcache.toml")}
    assert found["link_ttl"] == {"value": "1h", "source": "default"}


def test_what_is_shown_is_a_settings_file(runcache: Runcache, tmp_path: Path) -> None:
    shown = runcache("config", "show", "--data", "data", "--behind-proxy", "--port", "9000")
    (tmp_path / "other.toml").write_text(shown.out)

    again = runcache("config", "show", "--config", "other.toml")

    assert tomllib.loads(again.out) == tomllib.loads(shown.out)


def test_each_setting_has_a_flag(runcache: Runcache) -> None:
    text = runcache("serve", "--help").out

    for row in SETTINGS:
        assert f"--{row.name.replace('_', '-')} " in text
    assert "--issuers" not in text


def test_a_truth_can_be_taken_back_by_a_flag(
    runcache: Runcache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_BEHIND_PROXY", "true")

    found = json.loads(runcache("config", "show", "--no-behind-proxy", "--json").out)

    assert found["behind_proxy"] == {"value": "false", "source": "--behind-proxy"}


def test_a_setting_that_does_not_exist_yet_says_so_as_a_flag_too(runcache: Runcache) -> None:
    ended = runcache("serve", "--uploads-per-minute", "100")

    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: `uploads_per_minute` (--uploads-per-minute) cannot be set yet",
        "hint: leave it out: uploads are not limited yet",
    ]
