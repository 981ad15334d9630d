"""What helps to test against runcache; public, and kept stable like everything else that is.

It needs nothing but runcache itself.
"""

from runcache.testing.live_server import LiveServer

__all__ = ["LiveServer"]
