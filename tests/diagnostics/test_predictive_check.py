"""Percentiles beside simulations, on arrays whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from cellkinetics.diagnostics.predictive_check import (
    BLQ,
    CORRECTED,
    PERCENTILE,
    Cell,
    CheckedSamples,
    outside_counts,
    predictive_check,
)

N, BINS = 400, 4
RNG = np.random.default_rng(0)
TYPICAL = np.tile([4.0, 8.0, 6.0, 3.5], N // 4) + 0.3 * RNG.standard_normal(N)
NUMBER = np.tile(np.arange(BINS), N // 4)


def samples(shift: float = 0.0, lloq: float = 3.9, strata: int = 1) -> CheckedSamples:
    y = TYPICAL + np.random.default_rng(1).standard_normal(N) + shift
    return CheckedSamples(
        y=np.maximum(y, lloq),
        censored=(y < lloq).astype(int),
        lloq=np.full(N, lloq),
        uloq=np.full(N, np.nan),
        typical=TYPICAL,
        additive=True,
        bin=NUMBER,
        stratum=np.arange(N) // 4 % strata,
    )


def blocks(scale: float = 1.0):
    rng = np.random.default_rng(2)
    return (TYPICAL + scale * rng.standard_normal((size, N)) for size in (150, 150))


def test_a_right_model_lies_inside_and_a_shifted_one_outside() -> None:
    right = predictive_check(samples(), blocks())
    wrong = predictive_check(samples(shift=1.0), blocks())
    assert np.mean([cell.outside for cell in right]) < 0.15
    assert np.mean([cell.outside for cell in wrong]) > 0.6


def one(cells: list[Cell], check: str, number: int, share: float | None = None) -> Cell:
    (cell,) = (c for c in cells if c.check == check and c.bin == number and share in (None, c.share))
    return cell


def test_percentiles_below_the_limit_are_censored_on_both_sides() -> None:
    cells = predictive_check(samples(), blocks())
    low = one(cells, PERCENTILE, 3, 0.05)
    assert (low.observed, low.low, low.high) == (-np.inf, -np.inf, -np.inf)
    assert not low.outside
    assert one(cells, PERCENTILE, 1, 0.5).observed == pytest.approx(8.0, abs=0.4)
    assert one(cells, BLQ, 3).observed == pytest.approx(low.n_below / (N / BINS))
    assert one(cells, BLQ, 1).high == 0


def test_correction_removes_what_the_prediction_explains() -> None:
    half = samples(lloq=-99.0)
    steep = TYPICAL + np.where(np.arange(N) < N // 2, 3.0, -3.0)
    moved = CheckedSamples(**{**vars(half), "typical": steep, "y": half.y + steep - TYPICAL})
    rng = np.random.default_rng(2)
    simulated = [steep + rng.standard_normal((200, N))]
    cells = predictive_check(moved, simulated)
    width = {
        check: np.mean([cell.high - cell.low for cell in cells if cell.check == check and cell.share == 0.5])
        for check in (PERCENTILE, CORRECTED)
    }
    assert width[CORRECTED] < 0.5 * width[PERCENTILE]
    by_hand = half.y + np.median(steep[NUMBER == 0]) - TYPICAL
    assert one(cells, CORRECTED, 0, 0.5).observed == pytest.approx(np.median(by_hand[NUMBER == 0]))


def test_on_the_natural_scale_the_correction_is_a_ratio() -> None:
    own = samples(lloq=-99.0)
    natural = CheckedSamples(**{**vars(own), "additive": False})
    cells = predictive_check(natural, blocks())
    here = NUMBER == 1
    by_hand = np.median(own.y[here] * np.median(TYPICAL[here]) / TYPICAL[here])
    assert one(cells, CORRECTED, 1, 0.5).observed == pytest.approx(by_hand)


def test_strata_are_checked_apart() -> None:
    cells = predictive_check(samples(strata=2), blocks())
    assert {(cell.stratum, cell.n) for cell in cells} == {(0, N // BINS // 2), (1, N // BINS // 2)}
    assert len(cells) == 2 * BINS * (3 + 3 + 1)


def test_what_is_censored_on_both_sides_is_not_counted() -> None:
    rows = [
        ("vpc", 5.0, 4.0, 6.0, False),
        ("vpc", 9.0, 4.0, 6.0, True),
        ("vpc", np.nan, np.nan, 6.0, False),
        ("vpc", np.nan, np.nan, np.nan, False),
        ("blq", 0.5, 0.1, 0.2, True),
    ]
    table = pd.DataFrame(rows, columns=["check", "observed", "low", "high", "outside"])
    assert outside_counts(table, "vpc") == (1, 3)
    assert outside_counts(table, "blq") == (1, 1)
    assert outside_counts(table.assign(outside=table["outside"].astype(str)), "vpc") == (1, 3)  # as read from a file
