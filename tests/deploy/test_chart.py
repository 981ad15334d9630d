import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from runcache.quantities import parse_duration
from runcache.settings import SETTINGS, variable_of
from tests.conformance.programs import found
from tests.documentation import example_of

if platform.machine() != "x86_64":
    pytest.skip("needs Helm's library, which there is for x86-64", allow_module_level=True)

import helm_python

from tests.deploy.chart import CHART, EVERYTHING, LEAST, manifests, rendered

# The chart sets these from values of their own, or they have no place in a pod.
NOT_IN_SETTINGS = {
    *("host", "port", "data", "store", "catalog", "public_url", "behind_proxy"),
    *("tls_cert", "tls_key", "signing_key_file", "drain_after", "drain_for"),
}
VALUES = {"least": LEAST, "everything": EVERYTHING}


def schema() -> dict[str, Any]:
    described: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return described


def variables(values: dict[str, Any]) -> dict[str, str]:
    (container,) = manifests(values)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helm_finds_no_fault_with_the_chart(values: dict[str, Any]) -> None:
    report = helm_python.lint(CHART, values)

    assert report["errors"] in (None, [])
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", ["1.25", "1.37"])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_kubernetes_would_take_all_that_the_chart_makes(
    values: dict[str, Any], version: str, tmp_path: Path
) -> None:
    made = manifests(values)
    monitor = made.pop("ServiceMonitor", None)
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(made.values()))

    subprocess.run(
        [found("kubernetes-validate"), "--strict", "--kubernetes-version", version, file],
        check=True,
    )

    assert {"Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"} <= made.keys()
    assert (monitor is not None) == (values is EVERYTHING)


def test_a_pod_is_given_more_time_to_end_than_its_transfers() -> None:
    values = {**LEAST, "drainForSeconds": 600}

    pod = manifests(values)["Deployment"]["spec"]["template"]["spec"]

    given = variables(values)
    drain = parse_duration(given["RUNCACHE_DRAIN_AFTER"])
    drain += parse_duration(given["RUNCACHE_DRAIN_FOR"])
    assert pod["terminationGracePeriodSeconds"] > drain.total_seconds()


def test_the_variables_of_a_pod_are_settings() -> None:
    known = {variable_of(setting.name) for setting in SETTINGS}

    given = variables(EVERYTHING)

    assert {name for name in given if name.startswith("RUNCACHE_")} <= known
    assert given["RUNCACHE_REPO_LIMIT"] == "20000000000"


def test_the_schema_of_the_values_knows_every_setting() -> None:
    names = schema()["properties"]["settings"]["propertyNames"]["enum"]

    assert names == sorted({setting.name for setting in SETTINGS} - NOT_IN_SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"settings": {"repolimit": "1GB"}},
        {"publicUrl": "https://example.com/cache"},
        {"store": {"url": "file:///srv"}},
        {"replica": 3},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_before_anything_is_applied(wrong: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmValuesError, match="schema"):
        rendered({**LEAST, **wrong})


def test_nobody_is_let_in_by_an_empty_list_of_peers() -> None:
    values = {**LEAST, "networkPolicy": {"from": []}}

    assert manifests(values)["NetworkPolicy"]["spec"]["ingress"] == []
    assert "Nobody can connect yet" in rendered(values)["NOTES.txt"]


def test_every_value_is_described_by_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    described = schema()["properties"]

    assert values.keys() == described.keys() - {"global"}
    for name, value in values.items():
        if "properties" in described[name]:
            assert value.keys() == described[name]["properties"].keys(), name


@pytest.mark.parametrize("page", ["deploy.md", "runners/kubernetes-arc.md"])
def test_the_values_in_the_documentation_are_values_of_the_chart(page: str) -> None:
    values = yaml.safe_load(example_of(page, "yaml"))

    assert manifests({**LEAST, **values})["NetworkPolicy"]
