"""The bodies of GitHub's REST API."""

import json

from hypothesis import given
from hypothesis import strategies as st

from runcache.model import Usage
from runcache.wire import github_rest


def test_usage_has_exactly_the_documented_members() -> None:
    usage = Usage(repository="octo/hello", entry_count=3, size_bytes=2**40)

    assert json.loads(github_rest.usage_body(usage)) == {
        "full_name": "octo/hello",
        "active_caches_size_in_bytes": 2**40,
        "active_caches_count": 3,
    }


def test_the_status_of_an_error_is_a_string() -> None:
    assert json.loads(github_rest.error_body(404, "Not Found")) == {
        "message": "Not Found",
        "documentation_url": "https://docs.github.com/rest/actions/cache",
        "status": "404",
    }


@given(message=st.text(st.characters()))
def test_an_error_can_quote_any_text(message: str) -> None:
    assert json.loads(github_rest.error_body(400, message))["message"] == message
