"""What the cache does, whichever protocol asks for it."""

from runcache.service.cache import CacheService
from runcache.service.observer import Lookup, Observer
from runcache.service.receiving import Body, UploadLimits, now_ms
from runcache.service.records import Records
from runcache.store.blobs import ArrivingBytes, FileBytes, Piece

__all__ = (
    "ArrivingBytes",
    "Body",
    "CacheService",
    "FileBytes",
    "Lookup",
    "Observer",
    "Piece",
    "Records",
    "UploadLimits",
    "now_ms",
)
