"""Small workflows for tests."""

import textwrap
from pathlib import Path

from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.check import check
from runcache.insight.lint.findings import Finding
from runcache.insight.lint.nodes import Node, Scalar, Sequence
from runcache.insight.lint.reader import read
from runcache.insight.lint.recognize import cache_steps_of
from runcache.insight.lint.source import Source
from runcache.insight.lint.workflow import Workflow, read_workflow

ON_PUSH = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n"
CHECKOUT = "- uses: actions/checkout@v4\n"


def job(steps: str) -> str:
    """Return a workflow with one job, on Linux, of these steps."""
    return ON_PUSH + textwrap.indent(textwrap.dedent(steps), "      ")


def workflow_of(text: str) -> Workflow:
    return read_workflow(Source("test.yml", textwrap.dedent(text)))


def cache_steps(text: str) -> list[CacheStep]:
    return list(cache_steps_of(workflow_of(text)))


def only_step(steps: str) -> CacheStep:
    """Return the one cache step of a job."""
    (found,) = cache_steps(job(steps))
    return found


def node_of(text: str) -> Node:
    found = read(Source("test.yml", text))
    assert found is not None
    return found


def scalar_of(text: str) -> Scalar:
    """Return the last scalar of a document."""
    node = node_of(text)
    while not isinstance(node, Scalar):
        node = node.items[-1] if isinstance(node, Sequence) else node.entries[-1][1]
    return node


def findings(folder: Path, workflow: str, **files: str) -> list[Finding]:
    """Check a workflow in a repository with these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    path = folder / ".github/workflows/test.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(workflow)
    return list(check([path]).findings)


def found_rules(folder: Path, workflow: str, **files: str) -> set[str]:
    return {finding.rule for finding in findings(folder, workflow, **files)}
