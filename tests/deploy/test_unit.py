import subprocess
from configparser import RawConfigParser
from pathlib import Path

from runcache.config import load
from runcache.settings import variable_of
from tests.conformance.programs import found
from tests.documentation import ROOT

UNIT = ROOT / "deploy/systemd/runcache.service"


def startable(folder: Path) -> Path:
    """Return the unit with a program that is there."""
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/runcache/bin/runcache", "/bin/true"))
    return unit


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    done = subprocess.run(
        [found("systemd-analyze"), "verify", "--man=no", startable(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "runcache" not in done.stderr, done.stderr


def test_systemd_calls_the_unit_well_confined(tmp_path: Path) -> None:
    command = (found("systemd-analyze"), "security", "--offline=true", "--no-pager")

    # 0 is the best and 10 is the worst; from 2.5 on systemd calls it medium.
    subprocess.run([*command, "--threshold=15", startable(tmp_path)], check=True)


def test_the_unit_is_given_more_time_to_end_than_its_transfers(tmp_path: Path) -> None:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names have capitals
    parser.read(UNIT)
    service = parser["Service"]
    name, _, folder = service["Environment"].partition("=")

    drain_for = load({}, environ={}, folder=tmp_path).settings.drain_for

    assert int(service["TimeoutStopSec"]) > drain_for.total_seconds()
    assert name == variable_of("data")
    assert folder == f"/var/lib/{service['StateDirectory']}"
