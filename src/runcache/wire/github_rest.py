"""Bodies of GitHub's REST API for caches (management §1.5, §1.7)."""

import json
from typing import Final

import msgspec

from runcache.model import Usage

DOCUMENTATION_URL: Final = "https://docs.github.com/rest/actions/cache"


def usage_body(usage: Usage) -> bytes:
    """Return what a repository keeps."""
    return msgspec.json.encode(
        {
            "full_name": usage.repository,
            "active_caches_size_in_bytes": usage.size_bytes,
            "active_caches_count": usage.entry_count,
        }
    )


def error_body(status: int, message: str) -> bytes:
    """Return the basic error, in which the HTTP `status` is a string."""
    error = {"message": message, "documentation_url": DOCUMENTATION_URL, "status": str(status)}
    # ASCII, since a message may quote text that UTF-8 cannot hold.
    return json.dumps(error, separators=(",", ":")).encode()
