"""Draw the README's figure from the results of `make demo`.

Run: python docs/figures/demo_profiles.py [results/demo]
"""

import sys
from dataclasses import replace
from pathlib import Path

from cellkinetics.report.figures import profile_pages, save_png
from cellkinetics.report.results import read_results
from cellkinetics.report.sections.profiles import profiles_by_series

TARGET = Path(__file__).with_suffix(".png")
SUBJECTS = ("DL2-03", "DL3-06", "DL3-08", "DL4-16", "DL4-17", "DL4-20")  # long and short persistence, each dose level


def main(folder: str = "results/demo") -> None:
    (profiles,) = profiles_by_series(read_results(folder)).values()
    chosen = replace(profiles, samples=profiles.samples[profiles.samples["subject"].isin(SUBJECTS)])
    (figure,) = profile_pages(chosen)
    TARGET.write_bytes(save_png(figure, dpi=130))


if __name__ == "__main__":
    main(*sys.argv[1:2])
