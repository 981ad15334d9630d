from pathlib import Path

import pytest

from tests.insight.lint.workflows import findings, found_rules, job


def cache(*paths: str) -> str:
    lines = "".join(f"      {path}\n" for path in paths)
    return job(f"- uses: actions/cache@v4\n  with:\n    key: x-1\n    path: |\n{lines}")


@pytest.mark.parametrize(
    "path",
    [
        *(".npmrc", "web/.npmrc", "~/.npmrc", "./.netrc", "~\\_netrc", ".pypirc"),
        *("~/.git-credentials", "~/.docker", "~/.docker/", "~/.docker/**", "~/.docker/config.json"),
        *(
            "/Users/runner/.docker/config.json",
            "~/.ssh",
            "~/.ssh/id_rsa",
            "~/.aws/credentials",
            "~/.gnupg/*",
        ),
        *("~", "~/", "/home/runner", "certs/private.pem", "tls-server.key", "release.p12"),
        *("~/.cargo/credentials.toml", "~/.config/gh"),
    ],
)
def test_files_with_secrets_are_found_in_each_spelling(tmp_path: Path, path: str) -> None:
    assert found_rules(tmp_path, cache(path)) == {"sensitive-path"}


@pytest.mark.parametrize(
    "path",
    [
        *("~/.npm", "~/.dockerx", "docker/config.json", "~/.ssh/known_hosts", "~/.ssh/id_rsa.pub"),
        *("ca.pem", "cert.pem", "cache.key", "~/.cargo", "!~/.npmrc", ".npmrc.example", "**/*.key"),
    ],
)
def test_other_files_are_not(tmp_path: Path, path: str) -> None:
    assert "sensitive-path" not in found_rules(tmp_path, cache(path))


def test_an_exclusion_below_a_folder_says_which_one_packs_it(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, cache("build", "dist/", "!dist/maps"))

    assert finding.message == (
        "`dist/` is packed with all that is in it, and this exclusion has no effect"
    )
    assert "such as `dist/*`" in finding.fix


def test_an_exclusion_of_nothing_says_so(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, cache("build/*", "!dist"))

    assert finding.message == "the exclusion matches nothing that the paths before it list"
