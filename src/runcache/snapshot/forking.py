"""Whether a copy of this process can do a part of its work, on another core."""

import os
import signal
import sys


def may_fork_now() -> bool:
    """Say whether this process has one thread and two cores, and keeps children to wait for.

    What other threads hold, a child would never get.
    """
    if sys.platform != "linux" or signal.getsignal(signal.SIGCHLD) != signal.SIG_DFL:
        return False
    if len(os.sched_getaffinity(0)) == 1:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False
