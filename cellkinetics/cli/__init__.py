"""The command line: one file a command; whatever is heavy is imported inside the command."""

from __future__ import annotations


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 faults in the data (the results of the others are written), 2 usage,
    3 an error of cellkinetics itself, 130 interrupted.
    """
    import os
    import sys

    # Our matrices are small: more threads for them cost processor time and save none. Read when NumPy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from cellkinetics.cli.app import app

        app(prog_name="cellkinetics")
    except KeyboardInterrupt:
        sys.exit(130)
