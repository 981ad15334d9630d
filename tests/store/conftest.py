"""Failures in the contract suite tell what they compared."""

import pytest

pytest.register_assert_rewrite("runcache.testing.blob_store_suite")
