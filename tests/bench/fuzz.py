"""Damaged recordings for as long as you like.

    python tests/bench/fuzz.py [--seconds 600] [--seed N]

Prints each fault once, with the first seed that shows it, and exits with 1 where there is any.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fuzz import check, damaged, recording_of  # noqa: E402
from synthetic_logs import write_gallery  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the first one")
    arguments = parser.parse_args()
    seed = arguments.seed
    with tempfile.TemporaryDirectory() as folder:
        whole = recording_of(write_gallery(Path(folder)))
    by_run = itertools.groupby(sorted(whole), key=lambda key: key[0])
    recordings = [{key: whole[key] for key in keys} for _, keys in by_run]
    end, known, tried = time.monotonic() + arguments.seconds, set(), 0
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            check(damaged(recordings[seed % len(recordings)], seed))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            if (place.filename, place.lineno) not in known:
                known.add((place.filename, place.lineno))
                print(f"seed {seed}:")
                traceback.print_exc()
        if time.monotonic() - began > 5:
            print(f"seed {seed}: {time.monotonic() - began:.1f} s")
        seed, tried = seed + 1, tried + 1
    print(f"{tried} recordings, {len(known)} faults")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
