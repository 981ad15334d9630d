from pathlib import Path

import pytest

from tests.insight.lint.workflows import CHECKOUT, findings, found_rules, job

CACHE = """\
- uses: actions/cache@v4
  with: {{path: ~/.npm, key: "x-${{{{ {key} }}}}", restore-keys: x-}}
"""


def is_found(folder: Path, key: str, *, before: str = CHECKOUT, **files: str) -> bool:
    text = job(before + CACHE.format(key=key))
    return "hash-of-nothing" in found_rules(folder, text, **files)


@pytest.mark.parametrize(
    ("key", "is_fault"),
    [
        ("hashFiles('package-lock.json')", True),
        ("hashFiles('Web/package-lock.json')", True),
        ("hashFiles('*.lock')", True),
        ("hashFiles('web/*', '!web/*.json')", True),
        ("hashFiles('/web/package-lock.json')", True),
        ("hashFiles('../web')", True),
        ("format('{0}-{1}', runner.os, hashFiles('missing'))", True),
        ("hashFiles('web/package-lock.json')", False),
        ("hashFiles('./web')", False),
        ("hashFiles('**/package-lock.json')", False),
        ("hashFiles('missing', 'web/*')", False),
        ("hashFiles('missing') || hashFiles('web/*')", False),
        ("hashFiles('missing') && 'a'", False),
        ("hashFiles(github.event.path)", False),
        ("hashFiles(format('{0}/package-lock.json', inputs.folder))", False),
        ("hashFiles('/home/runner/work/x/x/package-lock.json')", False),
    ],
)
def test_a_hash_of_no_file_is_found_if_that_is_certain(
    tmp_path: Path, key: str, *, is_fault: bool
) -> None:
    assert is_found(tmp_path, key, **{"web/package-lock.json": "{}"}) is is_fault


@pytest.mark.parametrize("folder", ["node_modules/x", ".venv/lib", ".git"])
def test_what_a_job_has_not_checked_out_does_not_count(tmp_path: Path, folder: str) -> None:
    files = {f"{folder}/yarn.lock": ""}

    assert is_found(tmp_path, "hashFiles('**/yarn.lock')", **files)
    assert not is_found(tmp_path, f"hashFiles('{folder}/*')", **files)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "- run: git clone https://example.com/x .\n",
        CHECKOUT + "- run: ./scripts/yarn.lock.sh\n",
        CHECKOUT + "- run: yarn install\n",
        CHECKOUT + "- uses: ./.github/actions/generate\n",
        CHECKOUT + "- uses: actions/download-artifact@v4\n",
        CHECKOUT + "  with: {submodules: true}\n",
        CHECKOUT + "  with: {ref: other}\n",
        CHECKOUT + "  with: {sparse-checkout: web}\n",
    ],
)
def test_files_that_a_job_may_have_from_elsewhere_are_not_missed(
    tmp_path: Path, before: str
) -> None:
    assert not is_found(tmp_path, "hashFiles('yarn.lock')", before=before)


def test_a_link_that_leads_nowhere_makes_it_unknown(tmp_path: Path) -> None:
    (tmp_path / "yarn.lock").symlink_to("missing")

    assert not is_found(tmp_path, "hashFiles('yarn.lock')")


def test_a_hash_is_marked_up_to_its_closing_bracket(tmp_path: Path) -> None:
    key = "format('{0})', hashFiles('a)b', format('c')))"

    (finding,) = findings(tmp_path, job(CHECKOUT + CACHE.format(key=key)))

    line = finding.excerpt.split("\n")[0]
    marked = line[finding.start.column - 1 : finding.end.column - 1]
    assert marked == "hashFiles('a)b', format('c'))"


def test_steps_before_that_bring_no_files_do_not_matter(tmp_path: Path) -> None:
    before = CHECKOUT + "- uses: actions/setup-node@v4\n- run: npm --version\n"

    assert is_found(tmp_path, "hashFiles('yarn.lock')", before=before)


@pytest.mark.parametrize(
    ("steps", "is_fault"),
    [
        ("CACHE CHECKOUT", True),
        ("CHECKOUT CACHE CHECKOUT", False),
        ("CACHE", False),
        ("FETCH CACHE CHECKOUT", False),
        ("LOCAL CACHE CHECKOUT", False),
    ],
)
def test_a_hash_before_the_checkout_is_one_of_nothing(
    tmp_path: Path, steps: str, *, is_fault: bool
) -> None:
    texts = {
        "CACHE": CACHE.format(key="hashFiles('package-lock.json')"),
        "CHECKOUT": CHECKOUT,
        "FETCH": "- run: git fetch\n",
        "LOCAL": "- uses: ./.github/actions/checkout\n",
    }
    text = job("".join(texts[name] for name in steps.split()))

    found = found_rules(tmp_path, text, **{"package-lock.json": ""})

    assert ("hash-before-checkout" in found) is is_fault


def test_a_key_without_a_hash_can_come_before_the_checkout(tmp_path: Path) -> None:
    text = job(CACHE.format(key="github.sha") + CHECKOUT)

    assert found_rules(tmp_path, text) == set()
