"""CPU seconds and memory of population fits: the whole command, cold and warm, and patients a second by their number.

    python benchmarks/pooled_speed.py cart_n91.csv            # a table of yours; without one, a simulated cohort
    python benchmarks/pooled_speed.py --patients 91,217,1000,10000

Each fit is the command `cellkinetics pool` in a process of its own, with SAEM, standard errors and the likelihood by
importance sampling. Cold means an empty compilation cache. Compare numbers of one run only.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from cellkinetics.models.published import library

DAYS = [1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 56, 84, 180, 365]


def fitted(data: Path, cache: Path, out: Path) -> tuple[float, float, float]:
    """Return CPU seconds, wall seconds and peak MiB of one command."""
    command = [sys.executable, "-c", MEASURED, str(data), str(out)]
    environment = {**os.environ, "CELLKINETICS_CACHE_DIR": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    cpu, wall, peak = done.stdout.strip().splitlines()[-1].split()
    return float(cpu), float(wall), float(peak)


MEASURED = """
import resource, subprocess, sys, time
begin = time.perf_counter()
command = [sys.executable, "-m", "cellkinetics", "pool", sys.argv[1], "--out", sys.argv[2], "--force", "--quiet"]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, time.perf_counter() - begin, used.ru_maxrss / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="a table to fit")
    parser.add_argument("--patients", default="91,217,1000", help="sizes of simulated cohorts")
    parser.add_argument("--repeats", type=int, default=3, help="warm runs of the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache, out = Path(folder) / "cache", Path(folder) / "out"
        if options.data is not None:
            cache.mkdir()
            rows = [("cold", *fitted(options.data, cache, out))]
            rows += [("warm", *fitted(options.data, cache, out)) for _ in range(options.repeats)]
            print(f"{options.data.name}: the whole command")
            for name, cpu, wall, peak in rows:
                print(f"  {name}  {cpu:6.1f} CPU s  {wall:6.1f} s wall  {peak:7.0f} MiB")
            return
        print("patients     CPU s cold  CPU s warm   patients/CPU s      MiB")
        for n in map(int, options.patients.split(",")):
            data = Path(folder) / f"n{n}.csv"
            library["stein2019"].simulate(n, DAYS, lloq=50, seed=n).samples.to_csv(data, index=False)
            own = cache / str(n)
            own.mkdir(parents=True)
            cold, _, _ = fitted(data, own, out)
            warm, _, peak = fitted(data, own, out)
            print(f"{n:8d}   {cold:10.1f}  {warm:10.1f}   {n / warm:14.1f}  {peak:7.0f}", flush=True)
    print(f"peak memory of all commands {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
