"""`python -m benchmarks`, which is what `make bench` runs: measure this checkout on this machine.

Everything stays on loopback and in one folder that is removed at the end.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import (
    client,
    client_memory,
    client_phases,
    hashing,
    listing,
    lookup,
    memory,
    postgres,
    read_cache,
    records,
    replicas,
    s3,
    sizing,
    transfer,
    versions,
    writers,
)
from benchmarks.machine import description, scratch
from benchmarks.report import Section, json_text, summary

BENCHMARKS: Final[dict[str, Callable[..., Section]]] = {
    "transfer": transfer.measure,
    "memory": memory.measure,
    "lookup": lookup.measure,
    "listing": listing.measure,
    "records": records.measure,
    "writers": writers.measure,
    "postgres": postgres.measure,
    "client": client.measure,
    "client-large": client.measure_large,
    "client-memory": client_memory.measure,
    "client-phases": client_phases.measure,
    "versions": versions.measure,
    "hashing": hashing.measure,
    "sizing": sizing.measure,
    "s3": s3.measure,
    "replicas": replicas.measure,
    "read-cache": read_cache.measure,
}


def main() -> int:
    """Run the benchmarks that were asked for, and print each table as soon as it is there."""
    arguments = _parser().parse_args()
    # The folder on the RAM disk must go, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    machine = description()
    print("; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in machine.items()))
    sections: list[Section] = []
    for name in arguments.only or BENCHMARKS:
        with scratch() as folder:
            section = BENCHMARKS[name](folder, quick=arguments.quick)
        print(f"\n{section.text()}", flush=True)
        sections.append(section)
    print(f"\n{summary(sections)}")
    if arguments.json is not None:
        arguments.json.write_text(json_text(machine, sections))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure runcache.")
    parser.add_argument(
        "--only", choices=BENCHMARKS, action="append", help="run only this one; may be repeated"
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller and fewer: to try it, not to judge by"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
