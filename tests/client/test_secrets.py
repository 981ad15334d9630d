"""Which files are taken for credentials, and which are not."""

from pathlib import Path

import pytest

from runcache.client.secrets import Credentials, is_suspect
from runcache.errors import SecretsFound

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"


def found(file: Path) -> bool:
    warnings: list[str] = []
    credentials = Credentials(is_refused=False)
    credentials.look(str(file).encode())
    credentials.warn(warnings.append)
    assert not warnings or is_suspect(file.name.encode())
    return bool(warnings)


@pytest.mark.parametrize(
    ("name", "contents", "is_secret"),
    [
        (".npmrc", "//registry.example.com/:_authToken=npm_abc", True),
        (".npmrc", "registry=https://registry.example.com/\n_auth = dXNlcg==", True),
        (".npmrc", "//registry.example.com/:_authToken=${NPM_TOKEN}", False),
        (".npmrc", "# _authToken=x\nregistry=https://registry.example.com/", False),
        (".yarnrc.yml", "npmAuthToken: abc", True),
        (".yarnrc.yml", "nodeLinker: node-modules", False),
        (".netrc", "machine x login y password z", True),
        (".netrc", "", False),
        (".git-credentials", "https://user:pass@host", True),
        (".git/config", '[http "https://h/"]\n\textraheader = AUTHORIZATION: basic x', True),
        (".git/config", "[core]\n\tbare = false", False),
        ("other/config", "extraheader = x", False),
        (".pypirc", "[pypi]\nusername = u\npassword = p", True),
        (".pypirc", "[pypi]\nusername = u", False),
        ("pip.conf", "index-url = https://u:p@host.example.com/simple", True),
        ("pip.conf", "index-url = https://host.example.com/simple", False),
        (".docker/config.json", '{"auths": {"r": {"auth": "dTpw"}}}', True),
        (".docker/config.json", '{"credsStore": "desktop", "auths": {"r": {}}}', False),
        ("config.json", '{"auth": "x"}', False),
        (".cargo/credentials.toml", '[registry]\ntoken = "x"', True),
        (".m2/settings.xml", "<password>hush</password>", True),
        (".m2/settings.xml", "<password>${env.P}</password>", False),
        (".gradle/gradle.properties", "signing.password=x", True),
        (".gradle/gradle.properties", "org.gradle.jvmargs=-Xmx2g", False),
        (".aws/credentials", "[default]\naws_secret_access_key = x", True),
        (".kube/config", "users:\n- user:\n    token: abc", True),
        ("gh/hosts.yml", "github.com:\n    oauth_token: gho_x", True),
        ("id_ed25519", KEY, True),
        ("id_rsa.pub", "ssh-rsa AAAA", False),
        ("server.key", "-----BEGIN PRIVATE KEY-----\nabc", True),
        ("server.pem", "-----BEGIN CERTIFICATE-----\nabc", False),
        ("store.p12", "\x30\x82", True),
        ("node_modules/pkg/test/server.key", "-----BEGIN PRIVATE KEY-----\nabc", False),
        ("lib/site-packages/x/id_rsa", KEY, False),
        ("README.md", "password: x", False),
    ],
)
def test_a_file_is_known_by_its_name_and_what_is_in_it(
    tmp_path: Path, name: str, contents: str, *, is_secret: bool
) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(contents)

    assert found(file) == is_secret


def test_what_cannot_be_read_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / ".netrc").mkdir()
    (tmp_path / "id_rsa").symlink_to("/nowhere")

    assert not found(tmp_path / ".netrc")
    assert not found(tmp_path / "id_rsa")
    assert not found(tmp_path / ".npmrc")


def test_the_first_one_ends_a_save_that_refuses_them(tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_text(KEY)

    with pytest.raises(SecretsFound) as caught:
        Credentials(is_refused=True).look(str(tmp_path / "id_rsa").encode())

    assert str(tmp_path / "id_rsa") in str(caught.value)
    assert caught.value.hint is not None


def test_of_very_many_the_first_ones_are_named(tmp_path: Path) -> None:
    warnings: list[str] = []
    credentials = Credentials(is_refused=False)
    for number in range(25):
        file = tmp_path / f"{number}.key"
        file.write_text(KEY)
        credentials.look(str(file).encode())

    credentials.warn(warnings.append)

    (warning,) = warnings
    assert warning.endswith("/9.key` and 15 more")
