"""Kill a bootstrap at random moments, resume it, and compare its numbers with an uninterrupted one.

    python validation/bootstrap_resume.py [--replicates 200] [--kills 1] [--patients 24] [--method focei] [--jobs 2]
        [--at-half] [--seed 1]

A simulated trial is bootstrapped once without interruption. Then, as often as told, a new run is begun, killed (SIGKILL
to the first of its processes) when a random number of its replicates are done (with --at-half, half of them), and
resumed; both tables are compared byte by byte, and the records that were there before the kill must not have been
written again. Prints one line a kill; the exit code is 1 if anything differs. The short form is
``--replicates 6 --patients 8 --method naive``.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cellkinetics.models.published import library

TABLES = ("bootstrap.csv", "bootstrap_replicates.csv")
DAYS = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84]


def records(out: Path) -> dict[str, int]:
    """Return when each record was written."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("bootstrap_records/records/[0-9]*.json")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--method", default="focei")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--at-half", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        data, whole = Path(name) / "trial.csv", Path(name) / "whole"
        trial = library["stein2019"].simulate(options.patients, DAYS, lloq=50, seed=options.seed)
        trial.samples.to_csv(data, index=False)

        def command(out: Path) -> list[str]:
            program = [sys.executable, "-m", "cellkinetics", "bootstrap", str(data), "--out", str(out), "--quiet"]
            program += ["--method", options.method, "--replicates", str(options.replicates), "--resume"]
            return [*program, "--jobs", str(options.jobs), "--seed", str(options.seed)]

        begun = time.perf_counter()
        subprocess.run(command(whole), check=True)
        print(
            f"{options.replicates} replicates, {options.jobs} processes: {time.perf_counter() - begun:.0f} s",
            flush=True,
        )
        for number in range(1, options.kills + 1):
            out = Path(name) / "killed"
            last = options.replicates - options.jobs
            moment = options.replicates // 2 if options.at_half else chance.randint(1, max(last - 1, 1))
            process = subprocess.Popen(command(out), stderr=subprocess.DEVNULL)
            while len(records(out)) < moment and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            process.wait()
            before = records(out)
            subprocess.run(command(out), check=True)
            after = records(out)
            again = sum(after[file] != written for file, written in before.items())
            same = all((out / table).read_bytes() == (whole / table).read_bytes() for table in TABLES)
            wrong += not same or again > 0
            print(
                f"kill {number:2d} with {len(before)} of {options.replicates} replicates done: resumed, {again} done "
                f"again, {'identical' if same else 'DIFFERENT'}",
                flush=True,
            )
            shutil.rmtree(out)
    print(f"{options.kills - wrong} of {options.kills} resumed bootstraps are the same bytes as the uninterrupted one")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
