from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import LinkRefused
from runcache.model import Upload
from runcache.server.links import PATH, PURPOSES, Links, Purpose

ORIGIN: Final = "http://127.0.0.1:8480"
BLOB: Final = "0123456789abcdef" * 2
NOW_MS: Final = 1_800_000_000_000
KEY: Final = b"k" * 32
UPLOAD: Final = Upload(
    1, "octo/hello", "refs/heads/main", "k", "v", BLOB, "job", NOW_MS + 86_400_999
)

READ = Purpose.READ
WRITE = Purpose.WRITE


def links(*, passed_seconds: float = 0, key: bytes = KEY) -> Links:
    return Links(key, link_ttl=timedelta(hours=1), now=lambda: NOW_MS + int(passed_seconds * 1000))


def download() -> str:
    """Return the path and query of a link as a client sends them."""
    return links().for_download(ORIGIN, BLOB).removeprefix(ORIGIN)


def upload() -> str:
    return links().for_upload(ORIGIN, UPLOAD).removeprefix(ORIGIN)


def refused(target: str, purpose: Purpose = READ, *, passed_seconds: float = 0) -> bool:
    with pytest.raises(LinkRefused) as refusal:
        links(passed_seconds=passed_seconds).verify(target, purpose)
    return str(refusal.value) == "server failed to authenticate the request"


def test_a_link_has_the_form_that_all_clients_take() -> None:
    url = urlsplit(links().for_download(ORIGIN, BLOB))

    assert f"{url.scheme}://{url.netloc}" == ORIGIN
    assert url.path == f"/devstoreaccount1/actions-cache/{BLOB}"
    assert [name for name, _ in parse_qsl(url.query)] == ["se", "sp", "sr", "sig"]
    assert set(url.query) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=&"
    )


def test_a_link_leads_to_its_blob() -> None:
    assert links().verify(download(), READ) == BLOB
    assert links().verify(upload(), WRITE) == BLOB


def test_a_link_outlives_the_key_that_has_signed_it() -> None:
    rotated = Links(b"n" * 32, former=(KEY,), link_ttl=timedelta(hours=1), now=lambda: NOW_MS)
    renewed = rotated.for_download(ORIGIN, BLOB).removeprefix(ORIGIN)

    assert rotated.verify(download(), READ) == BLOB
    assert rotated.verify(renewed, READ) == BLOB
    assert refused(renewed)


def test_a_link_serves_no_other_purpose() -> None:
    assert refused(download(), WRITE)
    assert refused(upload(), READ)
    assert refused(upload().replace("sp=w", "sp=r"), READ)
    assert refused(download().replace("sp=r", "sp=w"), WRITE)
    assert refused(download().replace("sp=r", "sp=rw"))


def test_reading_is_get_and_head_and_writing_is_put() -> None:
    assert PURPOSES == {"GET": READ, "HEAD": READ, "PUT": WRITE}


def test_a_download_link_lives_as_long_as_link_ttl() -> None:
    assert links(passed_seconds=3599.9).verify(download(), READ) == BLOB
    assert refused(download(), passed_seconds=3600)


def test_an_upload_link_lives_as_long_as_its_upload() -> None:
    assert links(passed_seconds=86_399.9).verify(upload(), WRITE) == BLOB
    assert refused(upload(), WRITE, passed_seconds=86_400)


@pytest.mark.parametrize(
    "added", ["comp=blocklist", "comp=block&blockid=QUFB%2BA%3D%3D", "timeout=30"]
)
def test_what_clients_append_is_not_under_the_signature(added: str) -> None:
    assert links().verify(f"{upload()}&{added}", WRITE) == BLOB


def test_a_client_may_sort_the_whole_query() -> None:
    # Go's SDK parses the query, sets its own parameters and writes all of it in order of names.
    path, query = upload().split("?")
    again = urlencode(sorted([*parse_qsl(query), ("comp", "block"), ("blockid", "QUFB")]))

    assert again.startswith("blockid=QUFB&comp=block&se=")
    assert links().verify(f"{path}?{again}", WRITE) == BLOB


@pytest.mark.parametrize("added", ["se=9999999999", "sp=r", "sr=b", "sig=x", "sig=", "sig"])
@pytest.mark.parametrize("spelled", [str, str.upper, lambda text: f"%73{text[1:]}"])
def test_a_second_one_of_our_parameters_is_refused_wherever_it_stands(
    added: str, spelled: type[str]
) -> None:
    path, query = download().split("?")

    assert refused(f"{path}?{query}&{spelled(added)}")
    assert refused(f"{path}?{spelled(added)}&{query}")


def test_any_other_signature_is_refused() -> None:
    target, _, signature = download().rpartition("=")
    others = [
        "",
        signature[:-1],
        f"{signature}=",
        f"{signature}A",
        signature[::-1],
        signature.swapcase(),
        f"%{ord(signature[0]):02X}{signature[1:]}",
        "é" * 43,
        "\ud800",
    ]

    assert all(refused(f"{target}={other}") for other in others)


@pytest.mark.parametrize("name", ["se", "sp", "sr", "sig"])
def test_a_link_without_one_of_our_parameters_is_refused(name: str) -> None:
    path, query = download().split("?")
    rest = urlencode([(n, v) for n, v in parse_qsl(query) if n != name])

    assert refused(f"{path}?{rest}")


@pytest.mark.parametrize("expiry", ["", "-1", "+1800003600", "01800003600", "1e10", "٣", "9" * 13])
def test_another_expiry_is_refused(expiry: str) -> None:
    assert refused(download().replace("se=1800003600", f"se={expiry}"))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        PATH,
        f"{PATH}{BLOB}/",
        f"{PATH}{BLOB[:-1]}",
        f"{PATH}{BLOB}0",
        f"{PATH}{BLOB.upper()}",
        f"{PATH}{'f' * 32}",
        f"{PATH}../{BLOB}",
        f"{PATH}%30{BLOB[1:]}",
        f"{PATH}x%2F{BLOB}",
        f"/{PATH}{BLOB}",
        f"/devstoreaccount1//actions-cache/{BLOB}",
        f"/other/actions-cache/{BLOB}",
        BLOB,
    ],
)
def test_another_path_is_refused(path: str) -> None:
    assert refused(f"{path}?{download().split('?')[1]}")


def test_a_link_of_another_server_is_refused() -> None:
    other = links(key=b"x" * 32).for_download(ORIGIN, BLOB).removeprefix(ORIGIN)

    assert refused(other)


@given(st.text(), st.sampled_from(Purpose))
def test_no_target_that_strangers_make_up_does_more_than_be_refused(
    target: str, purpose: Purpose
) -> None:
    for made_up in (target, f"{PATH}{BLOB}?{target}", f"{PATH}{target}?{download()}"):
        assert refused(made_up, purpose)


@given(st.data())
def test_no_character_of_a_link_can_be_changed(data: st.DataObject) -> None:
    target = download()
    position = data.draw(st.integers(0, len(target) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != target[position]))

    assert refused(target[:position] + other + target[position + 1 :])


@pytest.mark.parametrize("spelling", ["SIG", "siG", "%73ig", "s%69g"])
def test_our_parameters_are_taken_only_as_we_spell_them(spelling: str) -> None:
    assert refused(download().replace("&sig=", f"&{spelling}="))
