"""`python sampled.py FILE ARGUMENTS…`: run `runcache` and write down where its time went.

A thread looks at all others every millisecond. What a thread does counts for the innermost function
of runcache on its stack; imports and waiting for another thread count as such. The seconds are of
threads, so that two at once give two a second.
"""

import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Final

EVERY_SECONDS: Final = 0.001
_WAITING: Final = ("/threading.py", "/queue.py", "/concurrent/futures/")


def main() -> int:
    """Run the command, and return its exit code."""
    file, *arguments = sys.argv[1:]
    seconds: defaultdict[str, float] = defaultdict(float)
    is_over = threading.Event()
    sampler = threading.Thread(target=_sample, args=(seconds, is_over), daemon=True)
    sampler.start()
    # Importing is a part of what is measured.
    from runcache.cli.main import main as runcache  # noqa: PLC0415

    code = runcache(arguments)
    is_over.set()
    sampler.join()
    Path(file).write_text(json.dumps(sorted(seconds.items(), key=lambda pair: -pair[1])))
    return code


def _sample(seconds: dict[str, float], is_over: threading.Event) -> None:
    own = threading.get_ident()
    before = time.perf_counter()
    while not is_over.wait(EVERY_SECONDS):
        now = time.perf_counter()
        for thread, frame in sys._current_frames().items():  # noqa: SLF001  -- the one way
            if thread != own:
                seconds[_label(frame)] += now - before
        before = now


def _label(innermost: FrameType) -> str:
    if any(mark in innermost.f_code.co_filename for mark in _WAITING):
        return "waiting for another thread"
    label = "python"
    frame: FrameType | None = innermost
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            return "imports"
        if label == "python" and "/runcache/" in name:
            module = name.rpartition("/runcache/")[2].removesuffix(".py")
            label = f"{module} {frame.f_code.co_qualname}"
        frame = frame.f_back
    return label


if __name__ == "__main__":
    sys.exit(main())
