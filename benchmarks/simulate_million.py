"""How long do a million virtual patients take, and how much memory?

    python benchmarks/simulate_million.py [--patients 1000000] [--jobs 2] [--format csv|parquet]

The whole command, from its start to its files: Stein 2019, eleven samples over a year with jittered days, an LLOQ,
drop-out and missed samples. CPU seconds are those of all processes together; memory is the largest of any one of them
(there is one more process than jobs, which joins the pieces).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIAL = (
    *("stein2019", "--days", "standard", "--jitter", "0.2", "--lloq", "50", "--missed", "0.05"),
    *("--dropout", "exponential:0.002", "--seed", "1", "--force"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cellkinetics", "simulate", *TRIAL, "--subjects", str(given.patients)]
        command += ["--jobs", str(given.jobs), "--format", given.format, "--out", folder]
        begin = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begin
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    cpu = used.ru_utime + used.ru_stime
    print(done.stdout.splitlines()[0])
    print(f"{given.patients / seconds:,.0f} patients per second on {given.jobs} processes: {seconds:.1f} s")
    print(f"CPU {cpu:.1f} s, peak memory of a process {used.ru_maxrss / 1024:.0f} MiB, files {size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
