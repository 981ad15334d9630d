"""`python -m fuzz`, which is what `make fuzz` runs: many more generated cases than the tests have.

A failure is printed with its case, which belongs into the corpus of the tests once it is mended.
The same seed and count make the same cases.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Final

from fuzz import expressions, globs


@dataclass(frozen=True, slots=True)
class Target:
    """Something to be fuzzed: `failures(random, count)` yields what is wrong, one text a case."""

    failures: Callable[[Random, int], Iterator[str]]
    count: int


TARGETS: Final[dict[str, Target]] = {
    "expressions": Target(expressions.differences, 5000),
    "expression-parser": Target(expressions.mishaps, 20_000),
    "globs": Target(globs.differences, 2000),
    "patterns": Target(globs.mishaps, 2000),
}


def main() -> int:
    """Fuzz what was asked for, or everything; return 1 if something failed."""
    arguments = _parser().parse_args()
    seed = SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    has_failed = False
    for name in arguments.targets or TARGETS:
        target = TARGETS[name]
        count = arguments.count or target.count
        print(f"{name}: {count} cases with --seed {seed}", flush=True)
        begin, failed = time.monotonic(), 0
        for failure in target.failures(Random(seed), count):
            failed += 1
            print(f"  {failure}", flush=True)
        print(f"{name}: {failed} failed, in {time.monotonic() - begin:.1f} s", flush=True)
        has_failed = has_failed or failed > 0
    return int(has_failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Try generated cases.")
    # Not `choices`: Python 3.11 then refuses that there is none.
    parser.add_argument(
        "targets", nargs="*", type=_target, metavar="TARGET", help=f"of {', '.join(TARGETS)}"
    )
    parser.add_argument("--count", type=int, metavar="N", help="how many cases a target gets")
    parser.add_argument("--seed", type=int, metavar="S", help="which cases; at random by default")
    return parser


def _target(name: str) -> str:
    if name not in TARGETS:
        raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(TARGETS)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
