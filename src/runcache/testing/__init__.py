"""What helps to test against runcache; public, and kept stable like everything else that is.

It needs nothing but runcache itself. `FaultProxy` stands between two programs and shows the faults
of `runcache.testing.faults`.
"""

from runcache.testing.fault_proxy import FaultProxy
from runcache.testing.live_server import LiveServer

__all__ = ["FaultProxy", "LiveServer"]
