"""Rows that are ok and still have something to say."""

import numpy as np
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.result import Estimate, IndividualFits
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import STEIN_2019

DAYS = [1, 3, 5, 7, 9, 11, 13, 15, 18, 21, 28, 42, 56, 84, 112, 180]
INSIDE = {
    "rho": {"tmax", "foldx"},
    "doubling_time": {"tmax", "foldx"},
    "half_life_alpha": {"alpha"},
    "half_life_beta": {"beta"},
    "auc_0_28": set(ECP.names),
    "auc_0_inf": set(ECP.names),
}


def profile(factor: float, seed: int = 3) -> list[float]:
    """A patient of the published typical values whose sample next to the peak, on day 9, is ``factor`` as high."""
    values = ECP.predict(STEIN_2019.typical, DAYS) * np.exp(0.2 * np.random.default_rng(seed).standard_normal(16))
    values[4] *= factor
    return values.tolist()


def cmax_of(values: list[float], censored: list[int] | None = None) -> Estimate:
    flags = None if censored is None else [censored]
    return fit(Cohort.from_arrays([DAYS], [values], censored=flags)).fits[0]["cmax"]


def test_a_cmax_that_no_sample_came_near_says_so_with_both_numbers() -> None:
    values = profile(8.0)
    row = cmax_of(values)
    assert row.status == "ok"
    assert row.estimate is not None
    assert row.estimate < max(values) / 2
    assert row.reason_code == "cmax_far_from_observed"
    assert f"{row.estimate:.4g}" in row.reason
    assert f"{max(values):.4g}" in row.reason


def test_a_cmax_near_the_highest_sample_has_no_remark() -> None:
    values = profile(1.0)
    row = cmax_of(values)
    assert row.estimate is not None
    assert max(values) / 2 < row.estimate < 2 * max(values)
    assert row.reason == ""


def test_a_cmax_beside_a_sample_above_the_uloq_has_no_remark() -> None:
    values = profile(8.0)
    assert "cmax_far" not in cmax_of(values, [-1 if value == max(values) else 0 for value in values]).reason_code


@pytest.fixture(scope="module")
def short() -> IndividualFits:
    patients = STEIN_2019.simulate(16, [1, 3, 5, 7, 9, 11, 14, 21, 28, 56], lloq=50, seed=4)
    groups = [group for _, group in patients.samples.groupby("subject", sort=False)]
    return fit(
        Cohort.from_arrays(
            [g["time"].tolist() for g in groups],
            [g["value"].tolist() for g in groups],
            censored=[g["censored"].tolist() for g in groups],
            lloq=[g["lloq"].tolist() for g in groups],
        )
    )


def test_a_derived_row_is_ok_without_remark_only_if_all_its_parameters_can_be_had(short: IndividualFits) -> None:
    remarked = 0
    for one in short:
        unknown = {name for name in ECP.names if one[name].status != "ok"}
        for name, inside in INSIDE.items():
            row = one[name]
            marked = "contains_not_identifiable" in row.reason_code.split(";")
            assert marked == (row.status == "ok" and bool(unknown & inside))
            if marked:
                remarked += 1
                assert f"contains {', '.join(n for n in ECP.names if n in unknown & inside)}, not" in row.reason
    assert remarked > 3
