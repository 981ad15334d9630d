"""Workflows that are made to take long, or to break something, end soon and in no traceback."""

import time
from pathlib import Path

import pytest

from tests.insight.lint.workflows import findings, job

LIMIT_SECONDS = 20  # of the processor; the slowest takes 5 on an idle machine


def aliased(step: str, times: int = 500) -> str:
    """Return a workflow with one step many times."""
    return f"x: &s {step}\njobs: {{a: {{runs-on: ubuntu, steps: [{'*s, ' * times}]}}}}\n"


def cache(key: str, *, path: str = ".venv", restore_keys: str = "x") -> str:
    inputs = f'path: "{path}", key: "{key}", restore-keys: "{restore_keys}"'
    return f"{{uses: actions/cache@v4, with: {{{inputs}}}}}"


def variables(name: str, value: str, times: int) -> str:
    return f'{{{name}: "{value * times}"}}'


NESTED = "format('{0}{0}{0}', " * 45 + "github.sha" + ")" * 45
SIXTEEN = list(range(16))
CASES = {
    "steps": aliased(cache("x-${{ hashFiles('x.lock') }}")),
    "paths": aliased(cache("x-1", path="\\n".join(["a/*", "!a/b"] * 200))),
    "restore keys": aliased(cache("x-1", restore_keys="\\n".join(f"x-{n}" for n in range(500)))),
    "matrix": (
        f"jobs: {{a: {{strategy: {{matrix: {{a: {SIXTEEN}, b: {SIXTEEN}}}}}, steps: ["
        + ", ".join(cache(f"{n}-${{{{ matrix.a }}}}-${{{{ matrix.b }}}}") for n in range(60))
        + "]}}"
    ),
    "variables": (
        f"env: {variables('A', '${{ github.sha }}', 150)}\n"
        f"jobs: {{a: {{env: {variables('B', '${{ env.A }}', 150)}, steps: ["
        + f"{{uses: actions/cache@v4, env: {variables('C', '${{ env.B }}', 100)},"
        " with: {path: .venv, key: '${{ env.C }}${{ env.B }}'}}, " * 150 + "]}}"
    ),
    "formats": job(f"- {cache('${{ ' + NESTED + ' }}')}\n"),
    "long key": job(f"- {cache('a' * 900_000)}\n"),
    "digests": job(f"- {cache('a' * 19_000)}\n"),
    "expressions": job(f"- {cache('${{ a }}' * 100_000)}\n"),
    "open braces": job(f"- {cache('${{ ' * 200_000)}\n"),
    "brackets": job(f"- {cache('${{ ' + '(' * 9000 + '1' + ')' * 9000 + ' }}')}\n"),
    "names": job(f"- {cache('${{ github' + '.a' * 9000 + ' }}')}\n"),
    "stars": job(f"- {cache('x-1', path='a*' * 5000 + chr(92) + 'n!' + '*a' * 5000 + 'b')}\n"),
    "systems": job(f"- {cache('ubuntu-', restore_keys='ubuntu-2....' * 5000 + 'x')}\n"),
    "commands": job('- run: "' + "runcache save --key a --path b\\n" * 30_000 + '"\n'),
    "words": job(f'- run: "runcache save {"--path a" * 100_000}"\n'),
    "quotes": job(f'- run: "runcache save {chr(39) * 99_999}"\n'),
    "braces in words": job(f'- run: "runcache save {"${{ " * 100_000}"\n'),
    "comments": "# runcache: ignore[x]\n" * 40_000 + "on: push\n",
    "rules": f"# runcache: ignore[{'x,' * 300_000}]\non: push\n",
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_workflow_ends_soon(tmp_path: Path, case: str) -> None:
    began = time.process_time()

    found = findings(tmp_path, CASES[case])

    assert time.process_time() - began < LIMIT_SECONDS
    assert len(found) <= 1_000
    assert all(len(finding.message) + len(finding.excerpt) < 2_000 for finding in found)
