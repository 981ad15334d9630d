"""What a process needs that forks in order to be sooner done."""

import os
import sys

import pytest

needs_second_core = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) == 1,
    reason="needs Linux and a second core, without which nothing is forked",
)
