import json
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path
from shutil import copy
from typing import Any, Final

import pytest
import yaml

from runcache.config import load
from runcache.locations import PostgresDatabase
from tests.conformance.programs import found
from tests.documentation import ROOT

COMPOSE: Final = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]


def secrets_in(folder: Path) -> Path:
    """Make the secrets, and return their folder."""
    copy(ROOT / "deploy/make-secrets", folder)
    subprocess.run([folder / "make-secrets"], check=True)
    return folder / "secrets"


def test_the_caddyfile_is_valid_and_in_its_usual_form() -> None:
    file = ROOT / "deploy/proxy/Caddyfile"
    caddy = found("caddy")

    shown = subprocess.run([caddy, "fmt", file], capture_output=True, text=True, check=True)
    subprocess.run(
        [caddy, "validate", "--adapter", "caddyfile", "--config", file],
        capture_output=True,
        check=True,
    )

    assert shown.stdout == file.read_text()


def test_every_secret_that_is_wanted_is_made(tmp_path: Path) -> None:
    made = {file.name for file in secrets_in(tmp_path).iterdir()}

    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == made
    wanted = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert wanted == COMPOSE["secrets"].keys()


def test_the_engines_are_given_the_passwords_that_replicas_have(tmp_path: Path) -> None:
    folder = secrets_in(tmp_path)

    catalog = tomllib.loads((folder / "runcache.toml").read_text())["catalog"]
    aws = ConfigParser()
    aws.read(folder / "aws_credentials")
    (identity,) = json.loads((folder / "seaweedfs.json").read_text())["identities"]

    password = (folder / "postgres_password").read_text()
    assert f":{password}@postgres/" in catalog
    assert identity["credentials"] == [
        {
            "accessKey": aws["default"]["aws_access_key_id"],
            "secretKey": aws["default"]["aws_secret_access_key"],
        }
    ]


def test_secrets_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    folder = secrets_in(tmp_path)
    before = (folder / "signing.key").read_text()

    again = subprocess.run([tmp_path / "make-secrets"], capture_output=True, text=True, check=False)

    assert again.returncode == 1
    assert again.stderr.startswith("error: `secrets` is already there\nhint: ")
    assert (folder / "signing.key").read_text() == before


def test_a_replica_understands_its_settings_and_is_given_time_to_end(tmp_path: Path) -> None:
    folder = secrets_in(tmp_path)
    replica = SERVICES["replica-1"]
    environ = {
        name: value.replace("${RUNCACHE_SITE:-localhost}", "localhost")
        for name, value in replica["environment"].items()
    }
    environ["RUNCACHE_CONFIG"] = str(folder / "runcache.toml")

    settings = load({}, environ=environ, folder=tmp_path).settings

    assert isinstance(settings.catalog, PostgresDatabase)
    assert settings.catalog.has_password
    leaving = settings.drain_after + settings.drain_for
    assert int(replica["stop_grace_period"].removesuffix("s")) > leaving.total_seconds()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_whether_it_is_well_and_cannot_gain_privileges(name: str) -> None:
    service = SERVICES[name]

    assert "no-new-privileges:true" in service["security_opt"]
    assert ("healthcheck" in service) == (service["image"] != "runcache")  # its image has one
