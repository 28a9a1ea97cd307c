"""Rows that are ok and still have something to say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.remarks import far_from_observed
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
    assert row.reason_code.split(";")[0] == "cmax_far_from_observed"
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


def above_uloq(days: list[float], seed: int, uloq: float = 5000.0) -> Cohort:
    """A patient of the published typical values whose samples near the peak are above the ULOQ."""
    scatter = np.exp(0.3 * np.random.default_rng(seed).standard_normal(len(days)))
    values = ECP.predict(STEIN_2019.typical, days) * scatter
    above = values > uloq
    cohort = Cohort.from_arrays([days], [np.where(above, uloq, values)], censored=[np.where(above, -1, 0)])
    return replace(cohort, uloq=np.where(above, uloq, np.nan)[None])


def test_samples_above_the_uloq_are_no_degrees_of_freedom() -> None:
    # 5 quantified samples and 6 above the ULOQ, for the 6 parameters of the curve.
    cohort = above_uloq([3, 5, 7, 8, 9, 10, 11, 12, 14, 28, 60], 1)
    assert (cohort.censored[0] == 0).sum() == 5
    one = fit(cohort).fits[0]
    for name in (*ECP.names, "sigma"):
        assert one[name].estimate is None
        assert one[name].reason_code in {"no_degrees_of_freedom", "one_phase"}
    assert one["cmax"].reason.startswith("5 quantified samples for 6 parameters")


def test_a_prior_fit_with_samples_above_the_uloq_only_says_that_none_is_quantified() -> None:
    cohort = Cohort.from_arrays([[7, 9]], [[5000.0, 5000.0]], censored=[[-1, -1]])
    cohort = replace(cohort, uloq=np.array([[5000.0, 5000.0]]))
    one = fit(cohort, prior="stein2019").fits[0]
    assert one.reason.startswith("no quantified sample and 2 censored: the estimates are mostly the prior's")


@pytest.mark.parametrize(
    ("cmax", "highest", "ceiling", "said"),
    [
        (10_500.0, None, 2_000.0, "far above the highest ULOQ that a sample is above, 2000"),
        (9_500.0, None, 2_000.0, ""),
        (9_500.0, 2_000.0, None, "far from the highest quantified sample, 2000"),
        (900.0, 2_000.0, None, "far from the highest quantified sample, 2000"),
        (3_900.0, 2_000.0, None, ""),
        (3_900.0, None, None, ""),
    ],
)
def test_a_cmax_far_from_the_samples_is_remarked_on_by_the_limits_in_the_guide(
    cmax: float, highest: float | None, ceiling: float | None, said: str
) -> None:
    remarks = far_from_observed(cmax, highest, ceiling)
    assert [remark.code for remark in remarks] == (["cmax_far_from_observed"] if said else [])
    assert all(said in remark.sentence for remark in remarks)


@pytest.fixture(scope="module")
def real(shared: Path) -> IndividualFits:
    cohort = ck.read(shared / "data" / "ball32.csv")
    return fit(cohort.take([list(cohort.subject).index(name) for name in ("CR-01", "CR-02", "PR-06")]))


def test_rows_whose_standard_errors_take_tmax_as_known_say_so(real: IndividualFits) -> None:
    one = real["PR-06"]
    assert one["tmax"].se is None
    rows = {row.parameter: row.reason_code.split(";") for row in one.rows if row.status == "ok" and row.se is not None}
    assert {"cmax", "foldx", "alpha", "half_life_alpha", "auc_0_28"} <= set(rows)
    for name, codes in rows.items():
        assert ("at_sampling_time" in codes) == (name != "sigma"), name
    assert "takes tmax as known, which ended at a sampling day" in one["alpha"].reason
    smooth = real["CR-01"]
    assert smooth["tmax"].se is not None
    assert not any("at_sampling_time" in row.reason_code for row in smooth.rows)


def test_a_curve_drawn_far_above_the_samples_is_said_where_cmax_is_not_reported(real: IndividualFits) -> None:
    one, highest = real["CR-02"], np.nanmax(real.cohort.value[1])
    assert one["cmax"].reason_code == "few_samples_before_peak"
    assert one.curve.max() > 2 * highest
    assert "drawn with its peak on the day of the highest sample" in one["tmax"].reason
    number = f"{one.curve.max():.4g}, {one.curve.max() / highest:.2g} times the highest quantified sample"
    assert one["cmax"].reason.endswith(f"the curve is drawn with a peak of {number}")
    assert "drawn with a peak of" not in one["foldx"].reason
