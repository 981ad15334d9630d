"""The examples of the guides are what the systems that they are for would take."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.conformance.programs import found
from tests.documentation import DOCS

SCHEMAS: Final = {
    "runners/buildkite.md": "vendor.buildkite",
    "runners/gitea-forgejo.md": "vendor.github-workflows",
    "runners/gitlab.md": "vendor.gitlab-ci",
    "runners/kubernetes-arc.md": "vendor.github-workflows",
}
# Values of our chart, which are checked with it, and of the one that starts the runners.
OF_KUBERNETES: Final = {"networkPolicy", "template"}


def examples(page: str) -> list[str]:
    blocks = re.findall(
        r"^```yaml\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE
    )
    return [block for block in blocks if not OF_KUBERNETES & yaml.safe_load(block).keys()]


@pytest.mark.parametrize("page", SCHEMAS)
def test_the_examples_of_a_guide_have_the_form_that_they_need(page: str, tmp_path: Path) -> None:
    assert examples(page)
    for example in examples(page):
        file = tmp_path / "example.yml"
        file.write_text(example)

        checked = subprocess.run(
            [found("check-jsonschema"), "--builtin-schema", SCHEMAS[page], file],
            capture_output=True,
            text=True,
            check=False,
        )

        assert checked.returncode == 0, checked.stdout
