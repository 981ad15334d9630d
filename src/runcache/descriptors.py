"""Waiting for descriptors in the event loop."""

import asyncio


async def readable(descriptor: int) -> None:
    """Return once there is something to read, be it the end."""
    loop = asyncio.get_running_loop()
    is_readable = asyncio.Event()
    loop.add_reader(descriptor, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(descriptor)


async def writable(descriptor: int) -> None:
    """Return once there is room to write, or nobody there any more who would read it."""
    loop = asyncio.get_running_loop()
    is_writable = asyncio.Event()
    loop.add_writer(descriptor, is_writable.set)
    try:
        await is_writable.wait()
    finally:
        loop.remove_writer(descriptor)
