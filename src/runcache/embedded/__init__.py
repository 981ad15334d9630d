"""The cache without a server: its catalog, store and service, in this process.

The service is asynchronous: an event loop in one thread runs it, whatever thread calls. Any number
of processes may use one folder at once, a server among them.
"""

from runcache.embedded.blobs import EmbeddedBlob, EmbeddedReader
from runcache.embedded.transport import EmbeddedTransport

__all__ = ("EmbeddedBlob", "EmbeddedReader", "EmbeddedTransport")
