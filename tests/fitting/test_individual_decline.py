"""The phases of a fitted decline, as lines of their own."""

import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.models.decline import decline_lines
from cellkinetics.models.ecp import ECP, expansion_model
from cellkinetics.models.phases import Phases
from cellkinetics.models.published import STEIN_2019

DAYS = [1, 3, 5, 7, 9, 11, 13, 15, 18, 21, 28, 42, 56, 84, 112, 180, 270, 365]
DECLINE = ["contraction", "persistence"]


@pytest.fixture(scope="module")
def fits() -> IndividualFits:
    values = ECP.predict(STEIN_2019.typical, DAYS) * np.exp(0.1 * np.random.default_rng(2).standard_normal(len(DAYS)))
    days = [DAYS, DAYS[:7], DAYS[:1]]
    return fit(ck.Cohort.from_arrays(days, [values[: len(one)].tolist() for one in days], subject=["A", "B", "C"]))


@pytest.mark.parametrize("phases", [Phases(), Phases(persistence=False), Phases(contraction=False)])
def test_the_phases_of_the_decline_add_up_to_the_curve(phases: Phases) -> None:
    model = expansion_model(phases)
    values = {name: STEIN_2019.typical[name] for name in model.names}
    time = np.array([0.0, 9.0, 9.3, 10.0, 28.0, 365.0])
    lines = decline_lines(phases, values, time)
    assert list(lines) == [name for name in DECLINE if getattr(phases, name)]
    np.testing.assert_allclose(sum(lines.values())[2:], model.predict(values, time)[2:], rtol=1e-12)
    assert all(np.isnan(line[:2]).all() for line in lines.values())


def test_a_model_without_decline_has_no_lines() -> None:
    assert decline_lines(Phases(contraction=False, persistence=False), {"cmax": 9.0, "tmax": 3.0}, [4.0]) == {}


def test_the_table_of_curves_holds_the_lines_after_the_peak(fits: IndividualFits) -> None:
    rows = fits.curves[fits.curves["subject"] == "A"]
    after = rows[rows["time"] >= fits["A"]["tmax"].estimate]
    np.testing.assert_allclose(after[DECLINE].sum(axis=1), after["predicted"], rtol=1e-9)
    assert rows.loc[rows["time"] < fits["A"]["tmax"].estimate, DECLINE].isna().all(axis=None)


def test_a_phase_that_the_samples_do_not_identify_has_no_line(fits: IndividualFits) -> None:
    assert fits["B"]["beta"].estimate is None
    assert "persistence" not in fits["B"].decline
    assert fits.curves.loc[fits.curves["subject"] == "B", "persistence"].isna().all()


def test_a_failed_fit_has_neither_curve_nor_lines(fits: IndividualFits) -> None:
    assert fits["C"].decline == {}
    assert "C" not in set(fits.curves["subject"])
