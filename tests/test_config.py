from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from runcache.config import Loaded, Settings, load
from runcache.errors import InvalidSettings
from runcache.locations import Folder, PostgresDatabase, SqliteFile
from runcache.retention import Limits
from runcache.settings import SETTINGS, variable_of


def loaded(
    folder: Path,
    flags: dict[str, str | None] | None = None,
    environ: dict[str, str] | None = None,
    file: str | None = None,
) -> Loaded:
    if file is not None:
        (folder / "runcache.toml").write_text(file, "utf-8")
    return load(flags or {}, environ=environ or {}, folder=folder)


def source_of(found: Loaded, name: str) -> tuple[str, str]:
    return next((s.text, s.origin) for s in found.sources if s.name == name)


def test_the_defaults_are_those_that_are_documented(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"data": "/srv/cache"}).settings

    assert settings == Settings(
        host="127.0.0.1",
        port=8480,
        data=Path("/srv/cache"),
        store=Folder(Path("/srv/cache/blobs")),
        catalog=SqliteFile(Path("/srv/cache/catalog.sqlite3")),
        read_cache=None,
        public_url=None,
        direct_transfers=False,
        results_upstream=None,
        behind_proxy=False,
        trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        tls_cert=None,
        tls_key=None,
        signing_key_file=Path("/srv/cache/signing.key"),
        repo_limit=10_000_000_000,
        total_limit=None,
        min_free=536_870_912,
        unused_for=timedelta(days=7),
        sweep_every=timedelta(hours=1),
        entry_limit=None,
        upload_ttl=timedelta(hours=24),
        link_ttl=timedelta(hours=1),
        drain_after=timedelta(0),
        drain_for=timedelta(seconds=30),
        workers=1,
        log_level="info",
    )


def test_data_is_in_the_users_data_folder_unless_told_otherwise(tmp_path: Path) -> None:
    settings = loaded(tmp_path).settings

    assert settings.data.is_absolute()
    assert settings.data.name == "runcache"


def test_a_flag_beats_a_variable_beats_a_file_beats_the_default(tmp_path: Path) -> None:
    file = 'repo_limit = "1GB"\nmin_free = "1GB"\ntotal_limit = "1GB"\n'
    environ = {"RUNCACHE_REPO_LIMIT": "2GB", "RUNCACHE_MIN_FREE": "2GB"}

    found = loaded(tmp_path, {"repo_limit": "3GB", "min_free": None}, environ, file)

    assert source_of(found, "repo_limit") == ("3GB", "--repo-limit")
    assert source_of(found, "min_free") == ("2GB", "RUNCACHE_MIN_FREE")
    assert source_of(found, "total_limit") == ("1GB", str(tmp_path / "runcache.toml"))
    assert source_of(found, "entry_limit") == ("none", "default")
    assert found.settings.repo_limit == 3_000_000_000
    assert found.settings.min_free == 2_000_000_000
    assert found.settings.total_limit == 1_000_000_000


def test_every_row_of_the_table_is_a_setting_with_a_source(tmp_path: Path) -> None:
    found = loaded(tmp_path)

    names = [row.name for row in SETTINGS]

    assert names == list(Settings.__slots__)
    assert names == [source.name for source in found.sources]
    assert {source.origin for source in found.sources} == {"default"}


def test_what_is_shown_can_be_set_again(tmp_path: Path) -> None:
    first = loaded(
        tmp_path,
        {
            "data": "data",
            "store": "file:///srv/blobs and more",
            "tls_cert": "cert.pem",
            "tls_key": "/etc/key.pem",
            "entry_limit": "5GiB",
            "public_url": "https://cache.example.com/",
            "trusted_proxies": "10.0.0.0/8, fd00::/8",
        },
    )

    again = loaded(tmp_path, {source.name: source.text for source in first.sources})

    assert again.settings == first.settings


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "cache.toml").write_text('data = "data"\ntls_key = "/etc/key.pem"\n')
    flags: dict[str, str | None] = {"tls_cert": "cert.pem"}

    settings = load(flags, file=Path("etc/cache.toml"), environ={}, folder=tmp_path).settings

    assert settings.data == tmp_path / "etc" / "data"
    assert settings.catalog == SqliteFile(tmp_path / "etc" / "data" / "catalog.sqlite3")
    assert settings.tls_key == Path("/etc/key.pem")
    assert settings.tls_cert == tmp_path / "cert.pem"


def test_a_variable_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 9000\nbehind_proxy = true\n")
    (tmp_path / "runcache.toml").write_text("port = 1\n")

    found = loaded(tmp_path, environ={"RUNCACHE_CONFIG": "other.toml"})

    assert found.settings.port == 9000
    assert found.settings.behind_proxy is True


def test_a_file_may_list_what_a_flag_separates_by_commas(tmp_path: Path) -> None:
    file = 'trusted_proxies = ["10.0.0.0/8", "192.168.0.1"]'

    settings = loaded(tmp_path, file=file).settings

    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("192.168.0.1/32"))
    assert loaded(tmp_path, file="trusted_proxies = []").settings.trusted_proxies == ()


def test_a_variable_that_is_empty_is_not_set(tmp_path: Path) -> None:
    assert source_of(loaded(tmp_path, environ={"RUNCACHE_PORT": ""}), "port") == ("8480", "default")


@pytest.mark.parametrize(
    "name", ["RUNCACHE_URL", "RUNCACHE_TOKEN", "RUNCACHE_REPO", "RUNCACHE_REF"]
)
def test_the_clients_variables_are_known_and_ignored(tmp_path: Path, name: str) -> None:
    assert loaded(tmp_path, environ={name: "x"}).settings == loaded(tmp_path).settings


def refusal_of(
    folder: Path,
    flags: dict[str, str | None] | None = None,
    environ: dict[str, str] | None = None,
    file: str | None = None,
) -> tuple[str, str | None]:
    with pytest.raises(InvalidSettings) as refusal:
        loaded(folder, flags, environ, file)
    return str(refusal.value), refusal.value.hint


def test_an_unknown_name_in_a_file_is_an_error_with_the_one_that_was_meant(tmp_path: Path) -> None:
    message, hint = refusal_of(tmp_path, file='repo-limit = "1GB"')

    assert message == f"unknown setting `repo-limit` in `{tmp_path / 'runcache.toml'}`"
    assert hint == "did you mean `repo_limit`?"


def test_an_unknown_variable_is_an_error_with_the_one_that_was_meant(tmp_path: Path) -> None:
    message, hint = refusal_of(tmp_path, environ={"RUNCACHE_REPOLIMIT": "1GB"})

    assert message == "unknown variable `RUNCACHE_REPOLIMIT`"
    assert hint == "did you mean `RUNCACHE_REPO_LIMIT`?"


def test_a_name_like_no_other_gets_a_way_to_the_list(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, file="[zzzzz]\n")[1] == "`runcache config show` lists all settings"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("host", " ", "it is empty"),
        ("port", "http", "is not a port"),
        ("port", "65536", "is not a port"),
        ("workers", "0", "is not a number from 1 to 999"),
        ("data", "", "it is empty"),
        ("data", "a\0b", "it holds a NUL"),
        ("behind_proxy", "maybe", "is neither `true` nor `false`"),
        ("public_url", "cache.example.com", "is not a URL such as"),
        ("public_url", "https://cache.example.com/prefix", "without a path"),
        ("public_url", "https://me:secret@cache.example.com", "is not a URL such as"),
        ("public_url", "http://[::1", "Invalid IPv6 URL"),
        ("trusted_proxies", "10.0.0.0/8,proxy", "does not appear to be an IPv4 or IPv6 network"),
        ("store", "/srv/blobs", "is not a URL such as `file:///"),
        ("store", "file:///", "is not a URL such as `file:///"),
        ("store", "file://host/blobs", "is not a URL such as `file:///"),
        ("catalog", "/srv/catalog", "is not a URL such as `sqlite:////"),
        ("catalog", "sqlite://", "is not a URL such as `sqlite:////"),
        ("catalog", "sqlite:///:memory:", "is not a URL such as `sqlite:////"),
        ("catalog", "sqlite:////srv/x?mode=ro", "is not a URL such as `sqlite:////"),
        ("repo_limit", "10XB", "is not a size such as"),
        ("repo_limit", "none", "is not a size such as"),
        ("total_limit", "no", "is not a size such as"),
        ("unused_for", "7", "is not a duration such as"),
        ("unused_for", "0d", "the least is `1s`"),
        ("link_ttl", "59s", "the least is `1m`"),
        ("log_level", "loud", "is not one of `debug`, `info`, `warning`, `error`"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_name_and_source(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    message, _ = refusal_of(tmp_path, {name: text})
    assert message.startswith(f"`{name}` (--{name.replace('_', '-')}): ")
    assert why in message

    if text:
        message, _ = refusal_of(tmp_path, environ={variable_of(name): text})
        assert message.startswith(f"`{name}` ({variable_of(name)}): ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("issuers", "https://token.actions.githubusercontent.com"),
        ("uploads_per_minute", "100"),
    ],
)
def test_what_does_not_exist_yet_is_refused_with_a_way_out(
    tmp_path: Path, name: str, text: str
) -> None:
    for message, hint in (
        refusal_of(tmp_path, {name: text}),
        refusal_of(tmp_path, environ={variable_of(name): text}),
        refusal_of(tmp_path, file=f'{name} = "{text}"'),
    ):
        assert f"`{name}`" in message
        assert message.endswith("yet")
        assert hint is not None
        assert hint.startswith("leave it out")


def test_what_does_not_exist_yet_may_be_set_to_none(tmp_path: Path) -> None:
    assert (
        loaded(tmp_path, file='uploads_per_minute = "none"').settings
        == loaded(tmp_path, environ={}).settings
    )


def test_a_catalog_in_postgresql_may_have_its_password_in_the_environment_or_the_file(
    tmp_path: Path,
) -> None:
    url = "postgresql://me:s3cret@db.example.com/cache?sslmode=require"

    for found in (
        loaded(tmp_path, environ={"RUNCACHE_CATALOG": url}),
        loaded(tmp_path, file=f'catalog = "{url}"'),
    ):
        text, _ = source_of(found, "catalog")
        assert text == "postgresql://me:•••@db.example.com/cache?sslmode=require"
        assert isinstance(found.settings.catalog, PostgresDatabase)
        assert found.settings.catalog.url == url
        assert "s3cret" not in repr(found)
        # Whether it is there, only a connection tells.
        found.settings.require_cache(hint="")


def test_a_password_on_the_command_line_is_refused_with_a_way_out(tmp_path: Path) -> None:
    message, hint = refusal_of(tmp_path, {"catalog": "postgresql://me:s3cret@db/cache"})

    assert message == "`--catalog` holds a password, which others on this machine could read"
    assert hint == "set `RUNCACHE_CATALOG`, or `catalog` in the file of settings"
    assert loaded(tmp_path, {"catalog": "postgresql://me@db/cache"}).settings.catalog


def test_a_password_in_a_url_is_never_repeated(tmp_path: Path) -> None:
    message, _ = refusal_of(tmp_path, {"catalog": "mysql://me:s3cret/@:x@db/cache"})

    assert "s3cret" not in message
    assert "me:•••@db" in message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_encryption(tmp_path: Path, host: str) -> None:
    assert loaded(tmp_path, {"host": host}).settings.host == host


@pytest.mark.parametrize("host", ["::", "192.168.1.2", "cache.example.com", "localhost."])
def test_other_hosts_need_tls_or_a_proxy_in_front(tmp_path: Path, host: str) -> None:
    message, hint = refusal_of(tmp_path, {"host": host})

    assert message == f"refusing to listen on `{host}` without encryption"
    assert hint is not None
    assert "behind_proxy" in hint
    assert loaded(tmp_path, {"host": host, "behind_proxy": "true"}).settings.behind_proxy
    assert loaded(tmp_path, {"host": host, "tls_cert": "c", "tls_key": "k"}).settings.tls_cert


@pytest.mark.parametrize(("given", "missing"), [("tls_cert", "tls_key"), ("tls_key", "tls_cert")])
def test_a_certificate_and_its_key_come_together(tmp_path: Path, given: str, missing: str) -> None:
    message, _ = refusal_of(tmp_path, {given: "file.pem"})

    assert message == f"`{given}` is set, `{missing}` is not"


@pytest.mark.parametrize(
    "text", ["port = ", "port = 1.5", "port = {}", "data = 1979-05-27", "\xe9"]
)
def test_a_file_that_is_not_flat_toml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "runcache.toml").write_text(text, "latin-1")

    assert str(tmp_path / "runcache.toml") in refusal_of(tmp_path)[0]


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot read the settings in"):
        load({}, file=Path("missing.toml"), environ={}, folder=tmp_path)


def test_the_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    flags: dict[str, str | None] = {"repo_limit": "1KB", "total_limit": "2KB", "min_free": "3KB"}

    limits = loaded(tmp_path, {**flags, "unused_for": "4h", "link_ttl": "5m"}).settings.limits()

    assert limits == Limits(
        repo_limit_bytes=1000,
        total_limit_bytes=2000,
        min_free_bytes=3000,
        unused_for=timedelta(hours=4),
        link_ttl=timedelta(minutes=5),
    )


@pytest.mark.parametrize(
    ("flags", "origin"),
    [
        ({}, "http://127.0.0.1:8480"),
        ({"host": "::1", "port": "9000"}, "http://[::1]:9000"),
        ({"tls_cert": "c", "tls_key": "k"}, "https://127.0.0.1:8480"),
        ({"public_url": "https://cache.example.com:8443/"}, "https://cache.example.com:8443"),
    ],
)
def test_the_origin_is_where_the_settings_say_the_server_is(
    tmp_path: Path, flags: dict[str, str | None], origin: str
) -> None:
    assert loaded(tmp_path, flags).settings.origin == origin


def test_a_signing_key_can_come_from_stdin(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"signing_key_file": "-"}).settings

    assert settings.signing_key_file == Path("/dev/stdin")
    assert not settings.is_own_signing_key
    assert loaded(tmp_path).settings.is_own_signing_key


def test_direct_transfers_need_a_store_that_clients_can_reach(tmp_path: Path) -> None:
    bucket = "s3://bucket/prefix?endpoint=https://s3.example.com"

    with pytest.raises(InvalidSettings, match="cannot reach a folder") as refused:
        loaded(tmp_path, {"direct_transfers": "true"})
    found = loaded(tmp_path, {"direct_transfers": "true", "store": bucket})

    assert "s3://bucket/prefix" in (refused.value.hint or "")
    assert found.settings.direct_transfers
    assert not loaded(tmp_path, {"store": bucket}).settings.direct_transfers
