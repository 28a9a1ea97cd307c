"""How long does the command take for a million profiles from Parquet to Parquet, and how much memory?

    python benchmarks/nca_batch.py [--profiles 1000000] [--jobs 2] [--format parquet] [--keep FOLDER]

Twenty samples a profile to day 168, log-normal scatter, an LLOQ of 50, all core parameters and four windows. Time is
that of `cellkinetics nca` as a user starts it; memory is the sum over all its processes, looked at five times a second
(PSS where the system tells it: pages that processes share count once). Needs psutil, which comes with the extra dask.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from nca_speed import DAYS, LLOQ, WINDOWS, cohort

CHUNK = 50_000  # profiles that are drawn at a time


def make_input(path: Path, profiles: int) -> None:
    """Write one row a sample: subject, group, time, value, lloq; the same bytes every time."""
    writer = None
    for number, begin in enumerate(range(0, profiles, CHUNK)):
        n = min(CHUNK, profiles - begin)
        samples = cohort(n, seed=number + 1)
        rows = np.repeat(np.arange(begin, begin + n), len(DAYS))
        table = pa.table(
            {
                "subject": pa.array([f"P{subject:07d}" for subject in rows]),
                "group": pa.array([f"G{subject % 4}" for subject in rows]),
                "time": samples.time.ravel(),
                "value": samples.value.ravel(),
                "lloq": np.full(len(rows), LLOQ),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def memory(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            full = each.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
        except psutil.Error:
            continue
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--format", choices=("csv", "parquet"), default="parquet")
    parser.add_argument("--keep", type=Path, help="folder that input and results stay in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        data, out = folder / "profiles.parquet", folder / "results"
        if not data.exists():
            make_input(data, options.profiles)
        print(f"{options.profiles} profiles, {pq.ParquetFile(data).metadata.num_rows} rows, {options.jobs} processes")
        program = [sys.executable, "-m", "cellkinetics", "nca", str(data), "--out", str(out), "--force", "--quiet"]
        begun, peak = time.perf_counter(), 0
        process = psutil.Popen(
            [*program, "--windows", WINDOWS, "--format", options.format, "--jobs", str(options.jobs)]
        )
        used = 0.0
        while process.poll() is None:
            peak = max(peak, memory(process))
            used = max(used, cpu_seconds(process))
            time.sleep(0.2)
        seconds = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in out.iterdir())
        print(f"exit code {process.returncode}; results {size / 1e9:.2f} GB in {len(list(out.iterdir()))} files")
        print(f"wall {seconds:.0f} s, CPU {used:.0f} s, {options.profiles / seconds:,.0f} profiles a second")
        print(f"peak memory of all processes {peak / 2**30:.2f} GiB")


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process and its children, those that ended included."""
    total = 0.0
    try:
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    except psutil.Error:
        return 0.0
    for each in process.children(recursive=True):
        try:
            times = each.cpu_times()
            total += times.user + times.system
        except psutil.Error:
            continue
    return total


if __name__ == "__main__":
    main()
