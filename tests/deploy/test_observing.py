"""Dashboard and alerts ask for nothing that the server does not count."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import promql_parser
import pytest
import yaml

from runcache.server.app import ROUTES
from tests.documentation import ROOT, code, only_code, table

DASHBOARD: Final = json.loads((ROOT / "deploy/grafana/runcache.json").read_text())
RULES: Final = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What Grafana puts in, and what Prometheus adds to each series.
VARIABLES: Final = {"$__rate_interval": "5m", "$job": "runcache"}
OF_PROMETHEUS: Final = {"instance", "job", "le"}
OF_THE_PROCESS: Final = {
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
}


def expressions() -> Iterator[str]:
    for rule in RULES:
        yield rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            expression: str = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield expression


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """Return what is asked for, or raise `ValueError` if the expression is none."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def documented() -> dict[str, set[str]]:
    """Return the labels of each series that the server shows."""
    series = dict.fromkeys(OF_THE_PROCESS, OF_PROMETHEUS)
    for row in table("operating.md", "metric", "kind"):
        name, labels = only_code(row["metric"]), set(code(row["labels"])) | OF_PROMETHEUS
        endings = ("_bucket", "_sum", "_count") if row["kind"] == "histogram" else ("",)
        series |= {f"{name}{ending}": labels for ending in endings}
    return series


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_asks_for_series_that_exist(expression: str) -> None:
    series = documented()

    asked = selectors(expression)

    assert asked
    for selector in asked:
        assert selector.name in series
        matchers = {matcher.name for matcher in selector.matchers.matchers}
        assert matchers <= series[selector.name]


def test_the_routes_that_are_asked_for_are_routes() -> None:
    routes = {route.path for route in ROUTES}
    patterns = {
        pattern
        for expression in expressions()
        for pattern in re.findall(r'route=~"([^"]*)"', expression)
    }

    for pattern in patterns:
        for alternative in pattern.split("|"):
            assert any(re.fullmatch(alternative, route) for route in routes), alternative


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert promql_parser.parse_duration(rule.get("for", "1s"))
    for text in rule["annotations"].values():
        assert text.count("{{") == text.count("}}")


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [(panel["id"], panel["gridPos"]) for panel in DASHBOARD["panels"]]

    assert len({number for number, _ in places}) == len(places)
    for (_, a), (_, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    assert all(place["x"] + place["w"] <= 24 for _, place in places)


def test_the_dashboard_asks_the_source_that_the_viewer_chose() -> None:
    sources = {panel["datasource"]["uid"] for panel in PANELS}

    assert sources == {"${datasource}"}
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {
        "datasource",
        "job",
    }
