"""Kill a batch at random moments, resume it, and compare it byte by byte with one that was never interrupted.

    python validation/kill_and_resume.py [--kills 10] [--profiles 20000] [--format csv] [--jobs 2] [--seed 1]

A table of simulated profiles is analysed once without interruption. Then, as often as told, a new batch is begun,
killed (SIGKILL to the first of its processes) after a random part of that time, and resumed; all files but
manifest.json, which holds times, are compared byte by byte, and the pieces that were done before the kill must not
have been done again. A batch that is over before its kill does not count, and is begun again. Prints one line a kill;
the exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

DAYS = np.array([0, 1, 3, 5, 7, 10, 14, 21, 28, 56, 84, 168], float)
PIECES = 40


def make_table(path: Path, profiles: int, seed: int) -> None:
    """Write profiles that rise to day 10 and fall in two phases, with samples below quantification."""
    rng = np.random.default_rng(seed)
    fall = 0.8 * np.exp(-0.15 * (DAYS - 10)) + 0.2 * np.exp(-0.01 * (DAYS - 10))
    curve = np.where(DAYS < 10, np.exp(0.6 * (DAYS - 10)), fall)
    value = rng.lognormal(8.0, 1.5, (profiles, 1)) * curve * rng.lognormal(0.0, 0.4, (profiles, len(DAYS)))
    table = pd.DataFrame(
        {
            "subject": np.repeat([f"S{number:06d}" for number in range(profiles)], len(DAYS)),
            "group": np.repeat([f"G{number % 3}" for number in range(profiles)], len(DAYS)),
            "time": np.tile(DAYS, profiles),
            "value": np.where(value < 50.0, 0.0, value.round(3)).ravel(),
            "lloq": 50.0,
        }
    )
    table.to_csv(path, index=False)


def command(data: Path, out: Path, rows: int, options: argparse.Namespace) -> list[str]:
    program = [sys.executable, "-m", "cellkinetics", "nca", str(data), "--out", str(out), "--quiet", "--resume"]
    return [*program, "--format", options.format, "--jobs", str(options.jobs), "--piece-rows", str(rows // PIECES)]


def hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of every file but the manifest; a file or folder too many shows too."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def done_pieces(out: Path) -> dict[int, float]:
    """Return how long each piece took that is done, a number that doing it again would change."""
    receipts = (json.loads(path.read_text()) for path in out.glob("unfinished/pieces/[0-9]*/receipt.json"))
    return {receipt["number"]: receipt["seconds"] for receipt in receipts}


def stage(out: Path) -> str:
    """Say in words how far a batch that was killed had come."""
    work = out / "unfinished"
    if (out / "manifest.json").exists():
        return "after the files were moved"
    if (work / "commit.json").exists():
        return "while the files were moved"
    if (work / "final").exists():
        return "while the pieces were put together"
    return "at work on the pieces" if (work / "plan.json").exists() else "before there was a plan"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--profiles", type=int, default=20_000)
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        data, out = Path(name) / "table.csv", Path(name) / "whole"
        make_table(data, options.profiles, options.seed)
        rows = options.profiles * len(DAYS)
        begun = time.perf_counter()
        process = subprocess.Popen(command(data, out, rows, options))
        while not (out / "unfinished" / "plan.json").exists() and process.poll() is None:
            time.sleep(0.01)
        planned = time.perf_counter() - begun
        if process.wait():
            return 1
        seconds = time.perf_counter() - begun
        expected = hashes(out)
        pieces = len(json.loads((out / "manifest.json").read_text())["input"]["pieces"])
        print(f"{options.profiles} profiles, {rows} rows, {pieces} pieces, {options.jobs} processes: {seconds:.1f} s")
        print(f"files compared: {', '.join(expected)}")
        number = 0
        while number < options.kills:
            out = Path(name) / "killed"
            process = subprocess.Popen(command(data, out, rows, options), stderr=subprocess.DEVNULL)
            # Before there is a plan nothing is lost: most kills come after it.
            moment = chance.uniform(0.8 * planned, seconds)
            time.sleep(moment)
            over = process.poll() is not None
            process.kill()
            process.wait()
            if over:
                shutil.rmtree(out)
                continue
            number += 1
            where, before = stage(out), done_pieces(out)
            subprocess.run(command(data, out, rows, options), check=True)
            recorded = json.loads((out / "manifest.json").read_text())["input"]["pieces"]
            again = sum(recorded[piece]["seconds"] != taken for piece, taken in before.items())
            same = hashes(out) == expected
            wrong += not same or again > 0
            verdict = "identical" if same else f"DIFFERENT: {set(hashes(out).items()) ^ set(expected.items())}"
            print(
                f"kill {number:2d} after {moment:5.2f} s, {where}, {len(before)} of {pieces} pieces done: "
                f"resumed, {again} done again, {verdict}",
                flush=True,
            )
            shutil.rmtree(out)
    print(f"{options.kills - wrong} of {options.kills} resumed batches are the same bytes as the uninterrupted one")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
