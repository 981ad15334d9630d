"""What the cache does, whichever protocol asks for it."""

from runcache.service.cache import CacheService, Piece
from runcache.service.observer import Observer
from runcache.service.receiving import Body, UploadLimits, now_ms

__all__ = (
    "Body",
    "CacheService",
    "Observer",
    "Piece",
    "UploadLimits",
    "now_ms",
)
