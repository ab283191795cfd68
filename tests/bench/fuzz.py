"""Damaged recordings for as long as you like.

    python tests/bench/fuzz.py [--seconds 600] [--seed N]
    python tests/bench/fuzz.py --serve [--runs 40]

Prints each fault once, with the first seed that shows it, and exits with 1 where there is any.
With `--serve` the recordings are damaged on disk, and a TensorBoard in each of its modes is asked
about them in rounds of so many runs; files are damaged once more while they are served.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from damaged_logs import (  # noqa: E402
    Questions,
    damage_again,
    faults_of_report,
    write_damaged,
    write_recording,
)
from fuzz import FAILED, Recording, check, damaged, recording_of  # noqa: E402
from server import serve, write_entry_point  # noqa: E402
from synthetic_logs import write_gallery  # noqa: E402

SOUND = ("first", "sound")
"""Folders of a sound run, of which one comes before the damaged ones and one after them."""

MODES = ("--load_fast=true", "--load_fast=false")


def in_memory(recordings: Sequence[Recording], seed: int, end: float) -> int:
    """The number of faults."""
    known, tried = set(), 0
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
    return len(known)


def served(recordings: Sequence[Recording], seed: int, runs: int, end: float) -> int:
    """The number of faults."""
    run = "nan_feature"
    sound = next(each for each in recordings if any(run in name for name, _ in each))
    faults, asked, tried, peak = 0, 0, 0, 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            entry_point = write_entry_point(Path(folder, "entry_point"))
            for mode in MODES:
                logs = Path(folder, mode)
                for name in SOUND:
                    write_recording(logs / name, sound)
                write_damaged(logs, recordings, range(seed, seed + runs))
                with serve(logs, entry_point, mode) as server:
                    questions = Questions(server.url)
                    names = [f"{name}/{run}" for name in SOUND]
                    before = questions.everything(names)
                    damage_again(logs, seed)
                    time.sleep(2)  # TensorBoard looks once a second.
                    after = questions.everything(names)
                    if any(before.get(name) != after.get(name) for name in names):
                        questions.faults.append("a sound run has other findings than before")
                    peak = max(peak, server.peak_bytes())
                found = questions.faults
                if FAILED in server.log.read_text():
                    found.append(server.log.read_text()[-4000:])
                for options in (["--format=json"], ["--html", f"{folder}/report.html"]):
                    found += faults_of_report(logs, *options)
                for folder in sorted(logs.glob("seed-*"))[:10]:  # By the Python loader: small.
                    found += faults_of_report(folder)
                for fault in found:
                    print(f"seeds from {seed}, {mode}: {fault}", flush=True)
                faults, asked, tried = faults + len(found), asked + questions.asked, tried + runs
        seed += runs
        print(
            f"{tried} runs, {asked} questions, {faults} faults, {peak / 2**20:.0f} MiB at the peak"
        )
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the first one")
    parser.add_argument("--serve", action="store_true", help="by TensorBoard, from disk")
    parser.add_argument("--runs", type=int, default=40, help="that are served at a time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = recording_of(write_gallery(Path(folder)))
    by_run = itertools.groupby(sorted(whole), key=lambda key: key[0])
    recordings = [{key: whole[key] for key in keys} for _, keys in by_run]
    end = time.monotonic() + arguments.seconds
    if arguments.serve:
        return int(served(recordings, arguments.seed, arguments.runs, end) > 0)
    return int(in_memory(recordings, arguments.seed, end) > 0)


if __name__ == "__main__":
    sys.exit(main())
