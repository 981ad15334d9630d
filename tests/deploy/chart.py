"""Renders the Helm chart, as `helm template` does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

from tests.documentation import ROOT

CHART: Final = ROOT / "deploy/helm/runcache"
LEAST: Final[dict[str, Any]] = {
    "publicUrl": "https://cache.example.com",
    "store": {"url": "s3://caches?region=eu-central-1"},
}
EVERYTHING: Final[dict[str, Any]] = {
    **LEAST,
    "store": {"url": "s3://caches?endpoint=https://s3.example.com", "secret": "runcache-s3"},
    "image": {"repository": "registry.example.com/runcache", "tag": "main"},
    "imagePullSecrets": [{"name": "registry"}],
    "settings": {"repo_limit": 20_000_000_000, "unused_for": "14d", "log_level": "debug"},
    "autoscaling": {"enabled": True},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "cache-example-com"},
    "networkPolicy": {"from": []},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "serviceAccount": {"annotations": {"example.com/role": "caches"}},
    "podAnnotations": {"example.com/team": "ci"},
    "podLabels": {"team": "ci"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "ci", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


def rendered(values: dict[str, Any]) -> dict[str, str]:
    """Return the text of each template, by its file's name."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values, name="runcache", namespace="ci")
    return {Path(name).name: text for name, text in texts.items()}


def manifests(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what would be applied, by its kind."""
    return {document["kind"]: document for document in _documents(rendered(values))}


def _documents(texts: dict[str, str]) -> Iterator[dict[str, Any]]:
    for name, text in texts.items():
        if name.endswith(".yaml"):
            yield from filter(None, yaml.safe_load_all(text))
