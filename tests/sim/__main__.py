"""`python -m tests.sim SEED…`: live the lives of some seeds and print their stories. Exit 1 where one fails.

`python -m tests.sim --from A --to B` lives many and prints the stories of those that fail.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.sim.account import Breach
from tests.sim.world import LifeFailed, live


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="*")
    parser.add_argument("--from", type=int, dest="begin", default=0)
    parser.add_argument("--to", type=int, default=0)
    parser.add_argument("--first", action="store_true", help="stop at the first that fails")
    arguments = parser.parse_args()
    quiet = range(arguments.begin, arguments.to)
    failed = [seed for seed in arguments.seeds if not run_life(seed, verbose=True)]
    started = time.process_time()
    for seed in quiet:
        if not run_life(seed, verbose=False):
            failed.append(seed)
            if arguments.first:
                quiet = range(arguments.begin, seed + 1)
                break
    if quiet:
        print(
            f"{len(quiet)} lives in {time.process_time() - started:.1f} s of CPU; failed: {failed or 'none'}"
        )
    return bool(failed)


def run_life(seed: int, *, verbose: bool) -> bool:
    try:
        story = live(seed)
    except LifeFailed as failed:
        print(*failed.story.lines, sep="\n")
        if not isinstance(failed.__cause__, Breach):
            traceback.print_exception(failed.__cause__, file=sys.stdout)
        return False
    if verbose:
        print(*story.lines, sep="\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
