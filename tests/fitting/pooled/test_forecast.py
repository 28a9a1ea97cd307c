"""Forecasts of new patients from a population and their samples so far."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.errors import DataError, FitError, SettingsError
from cellkinetics.fitting.covariates import Term
from cellkinetics.fitting.pooled.forecast import Forecast, forecast
from cellkinetics.fitting.pooled.known import know, read_population
from cellkinetics.fitting.pooled.newcomers import problem_of
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.structure import Coefficient, Form, Structure
from cellkinetics.fitting.virtual.trial import VirtualTrial, simulate_trial
from cellkinetics.models.ecp import ECP
from cellkinetics.models.residual import LOG_CONSTANT

DAYS = [1, 3, 5, 7, 10, 14, 21, 28, 56, 84, 112, 180, 270, 365]
UNTIL = 28
TIMES = [float(day) for day in DAYS]


@pytest.fixture(scope="module")
def trial() -> VirtualTrial:
    return simulate_trial("stein2019", 48, DAYS, lloq=50, seed=6)


@pytest.fixture(scope="module")
def found(trial: VirtualTrial) -> Forecast:
    return forecast("stein2019", trial.cohort, TIMES, until=UNTIL, levels=[50.0, 1000.0])


def test_intervals_hold_the_truth_as_often_as_they_say(trial: VirtualTrial, found: Forecast) -> None:
    rows = found.quantities.merge(
        trial.patients.melt("subject", value_vars=ECP.names, var_name="quantity", value_name="truth"),
        on=["subject", "quantity"],
    )
    assert len(rows) == 48 * 6
    inside = (rows["ci_low"] <= rows["truth"]) & (rows["truth"] <= rows["ci_high"])
    # 288 intervals of 95 %: the SD of the share is 1.3 % (if those of a patient are independent).
    assert 0.90 <= inside.mean() <= 0.99


def test_later_samples_fall_into_their_band_as_often_as_it_says(trial: VirtualTrial, found: Forecast) -> None:
    later = trial.samples[trial.samples["time"] > UNTIL].merge(found.table, on=["subject", "time"])
    assert len(later) == 48 * 6
    low, high, value = later["sample_low"], later["sample_high"], later["value"]
    inside = np.where(later["censored"] == 1, low < 50, (low <= value) & (value <= high))
    assert 0.90 <= inside.mean() <= 0.995
    # And the band of the curve alone is too narrow for samples.
    assert (np.where(later["censored"] == 1, True, (later["low"] <= value) & (value <= later["high"]))).mean() < 0.97


def test_probabilities_below_a_level_come_true(trial: VirtualTrial, found: Forecast) -> None:
    later = trial.samples[trial.samples["time"] > UNTIL]
    below = found.below[found.below["level"] == 50.0].merge(later, on=["subject", "time"])
    # The expected number of samples below the LLOQ is that seen; its SD is about 10 of 288.
    assert below["sample_probability"].sum() == pytest.approx((below["censored"] == 1).sum(), abs=30)
    curve = found.below[(found.below["level"] == 1000.0) & (found.below["time"] == 365.0)]
    assert (curve["probability"] > 0.9).mean() > 0.8


def test_the_probability_of_a_sample_below_is_that_of_its_residual(found: Forecast) -> None:
    place = found.places[3]
    log_curve = found.log_curves[3, :, 9]
    exact = norm.cdf((np.log(50.0) - log_curve) / 0.56).mean()
    row = found.below[(found.below["level"] == 50.0) & (found.below["time"] == TIMES[9])]
    row = row[row["subject"] == found.cohort.subject[place.profile]]
    assert row["sample_probability"].iloc[0] == pytest.approx(exact, rel=1e-9)


def test_samples_after_the_last_day_change_nothing(trial: VirtualTrial) -> None:
    population = know("stein2019").population
    early = read(trial.samples[trial.samples["time"] <= UNTIL])
    one, two = (problem_of(cohort, population, until=UNTIL) for cohort in (trial.cohort, early))
    for name in ("time", "y", "censored", "mask"):
        np.testing.assert_array_equal(getattr(one.samples, name), getattr(two.samples, name))


def test_without_a_sample_the_population_alone_speaks() -> None:
    silent = Cohort.from_arrays([[-1.0]], [[0.0]], lloq=50.0, subject=["P01"])
    found = forecast("stein2019", silent, [28.0], n=4000)
    assert "of P01 no sample enters" in found.status
    draws = np.log(found.conditional.theta[0, :, 0, [0, 1]])
    np.testing.assert_allclose(draws.mean(axis=1), np.log([24e3, 9.3]), atol=0.05)
    np.testing.assert_allclose(draws.std(axis=1), [0.65, 0.38], rtol=0.08)
    np.testing.assert_allclose(found.mode, found.typical, rtol=1e-6)


def test_a_population_is_read_from_its_file(tmp_path: Path, trial: VirtualTrial) -> None:
    record = {
        "population": know("stein2019").population.to_dict(),
        "covariance": None,
        "uncertainty": "none: no optimum",
        "parameters": [{"name": p.name, "unit": "copies/ug" if p.unit == "value" else ""} for p in ECP.parameters],
    }
    (tmp_path / "population.json").write_text(json.dumps(record))
    known = read_population(tmp_path)
    assert known.value_unit == "copies/ug"
    np.testing.assert_allclose(known.population.x, know("stein2019").population.x)
    with pytest.raises(SettingsError, match="none: no optimum"):
        known.require_covariance()
    cells = trial.samples.assign(unit="cells/uL")
    with pytest.raises(FitError, match=r"values are in copies/ug, those of V01 in cells/uL"):
        forecast(known, read(cells), TIMES)
    (tmp_path / "population.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"is not a usable population\.json"):
        read_population(tmp_path)


def test_covariates_of_new_patients_make_their_design() -> None:
    structure = Structure(ECP.names, (0,), LOG_CONSTANT.names, coefficients=(Coefficient("beta_cmax_group_NR", 0),))
    x = structure.pack(know("stein2019").population.mu, np.array([0.5]), [0.5], beta=np.array([-2.0]))
    term = Term("cmax", "group", "categorical", "R", ("NR",))
    population = PopulationModel(Form(ECP, LOG_CONSTANT, structure), x, (term,))
    both = Cohort.from_arrays([[7.0]] * 2, [[900.0]] * 2, lloq=50.0, group=["R", "NR"])
    design = np.asarray(problem_of(both, population).samples.design)
    assert design[:2, 0, 0].tolist() == [0.0, 1.0]
    assert not design[:, 1:].any()
    with pytest.raises(DataError, match="group is"):
        problem_of(Cohort.from_arrays([[7.0]], [[900.0]], lloq=50.0, group=["?"]), population)


def test_comedication_is_asked_for_and_stands_with_its_patient() -> None:
    population = know("stein2019-comedication").population
    new = Cohort.from_arrays([[2.0, 3.0]] * 2, [[60.0, 90.0]] * 2, lloq=50.0, subject=["a", "b"])
    with pytest.raises(SettingsError, match="when toci and ster were given"):
        problem_of(new, population)
    given = np.zeros((2, 2, 1, 2))
    given[1, 0, 0] = 4.0, 40.0
    windows = np.asarray(problem_of(new, population, given=given).samples.given)
    np.testing.assert_array_equal(windows[:2], given)


def test_what_was_done_to_comedication_is_said() -> None:
    new = Cohort.from_arrays([[2.0, 9.0, 28.0]], [[60.0, 9e3, 400.0]], lloq=50.0, subject=["a"])
    table = pd.DataFrame({"subject": ["a", "a", "z"], "drug": "toci", "start": [4, 6, 3], "end": [8, 9, 5]})
    found = forecast("stein2019-comedication", new, [28.0], comedication=table, n=50)
    assert len(found.notes) == 2
    assert "without samples is not used: z" in found.notes[0]
    assert "overlap or touch were joined: a (toci)" in found.notes[1]
    assert all(f"- {note}" in repr(found) for note in found.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": [28, 7]}, "rising order"),
        ({"times": [-1, 7]}, "rising order"),
        ({"levels": [0]}, "levels are positive"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        forecast("stein2019", Cohort.from_arrays([[7.0]], [[900.0]], lloq=50.0), **{"times": [7.0], **options})


def test_several_occasions_are_refused_where_the_population_has_none() -> None:
    table = pd.DataFrame({"subject": "a", "occasion": [1, 2], "time": [7.0, 7.0], "value": [900.0, 800.0]})
    with pytest.raises(FitError, match="subject a has several occasions"):
        forecast("stein2019", read(table), [28.0])


def test_a_forecast_is_a_public_verb_and_draws_itself(found: Forecast) -> None:
    assert ck.forecast is forecast
    figure = found.plot(subject="V02")
    assert figure.axes[0].get_title(loc="left") == "V02"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:4] == ["patient (MAP)", "asked day", "curve, 95 %", "sample, 95 %"]
    assert "later, not used" in labels
