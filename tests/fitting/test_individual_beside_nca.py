"""Fitted Cmax, Tmax and areas beside the noncompartmental ones."""

import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.individual import fit
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import STEIN_2019
from cellkinetics.models.registry import get_model

DAYS = [1, 3, 5, 7, 9, 9.3, 11, 14, 17, 21, 28, 42, 56, 84, 180]


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    curve = ECP.predict(STEIN_2019.typical, DAYS).tolist()
    return Cohort.from_arrays(
        [DAYS, [7, 14], [3, 7, 10, 14, 21, 28]],
        [curve, [900.0, 0.0], [10.0, 1000.0, 9000.0, 20.0, 10.0, 5.0]],
        lloq=1.0,
        subject=["exact", "failed", "odd"],
    )


def test_an_exact_curve_has_ratios_near_one_and_the_exact_area(cohort: Cohort) -> None:
    table = fit(cohort).beside_nca.set_index(["subject", "quantity"]).loc["exact"]
    assert table.loc[["CMAX", "TMAX"], "ratio"].tolist() == pytest.approx([1.0, 1.0], rel=1e-3)
    exact = ECP.auc(STEIN_2019.typical, 0.0, 180.0)
    assert table.loc["AUCLST", "fitted"] == pytest.approx(exact, rel=1e-3)
    assert table.loc["AUCINT_0_28", "fitted"] == pytest.approx(171774.285, rel=1e-3)
    nca = ck.noncompartmental(cohort, windows=[(0, 28)]).wide
    assert table.loc["AUCINT_0_28", "nca"] == nca["AUCINT_0_28"].iloc[0]
    assert table.loc["AUCLST", "unit"] == "day*copies/ug"
    np.testing.assert_allclose(table["ratio"], table["fitted"] / table["nca"])


def test_a_number_that_one_side_lacks_is_empty_with_its_reason(cohort: Cohort) -> None:
    table = fit(cohort).beside_nca
    lacking = table[table["ratio"].isna()]
    assert "failed" in set(lacking["subject"])
    assert (lacking["status"] == "not_calculated").all()
    assert (lacking["reason"] != "").all()
    assert (lacking["reason_code"] != "").all()
    failed = table[table["subject"] == "failed"]
    assert failed["reason"].str.contains("one quantified sample").all()


def test_values_far_apart_are_flagged(cohort: Cohort) -> None:
    table = fit(cohort, prior="stein2019").beside_nca
    apart = table[(table["ratio"] > 2) | (table["ratio"] < 0.5)]
    assert len(apart)
    assert (apart["status"] == "flagged").all()
    assert apart["reason"].str.contains("more than a factor of 2 apart").all()
    assert (table.loc[table["ratio"].between(0.5, 2), "status"] == "ok").all()


def test_with_a_smooth_switch_the_fitted_peak_is_that_of_the_curve_and_not_the_parameters() -> None:
    model = get_model("ecp+smooth=1")
    values = dict(STEIN_2019.typical)
    exact = Cohort.from_arrays([DAYS], [model.predict(values, DAYS).tolist()], lloq=1.0, subject=["exact"])
    table = fit(exact, model=model, starts=values).beside_nca.set_index("quantity")
    # the maximum of the blend on a grid of 1e-5 days: 26323.871 on day 10.12215, where cmax is 24000 and tmax 9.3
    assert table.loc["CMAX", "fitted"] == pytest.approx(26323.87, rel=5e-3)
    assert table.loc["TMAX", "fitted"] == pytest.approx(10.122, abs=0.02)
