"""What `pool` takes, what it says of wrong arguments and data, and how it names covariates."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from line_model import LINE

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.errors import DataError, SettingsError
from cellkinetics.fitting.covariates import parse_terms
from cellkinetics.fitting.pooled.bootstrap import bootstrap
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.known import read_population
from cellkinetics.fitting.pooled.newcomers import problem_of
from cellkinetics.fitting.pooled.result import PopulationFit

DAYS = np.array([0.5, 1.0, 2.0, 4.0, 6.0, 9.0])
START = {"c0": 60.0, "k": 0.3}


def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = []
    for k in range(20):
        c0, rate = 50 * np.exp(0.5 * rng.standard_normal()), 0.2 * np.exp(0.4 * rng.standard_normal())
        values = c0 * np.exp(-rate * DAYS + 0.3 * rng.standard_normal(len(DAYS)))
        rows += [(k + 1, day, value, 60 + 2 * k, "AB"[k % 2]) for day, value in zip(DAYS, values, strict=True)]
    return pd.DataFrame(rows, columns=["subject", "time", "value", "WT", "site"])


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return read(table())


@pytest.fixture(scope="module")
def fit(cohort: Cohort) -> PopulationFit:
    return pool(cohort, model=LINE, method="focei", start=START, covariates="c0 ~ power(WT, 72) + site")


def test_one_formula_may_stand_alone_and_its_terms_are_explained(fit: PopulationFit) -> None:
    weight, site = fit["beta_c0_WT"], fit["beta_c0_site_B"]
    assert weight.se is not None
    assert weight.rse_percent is None
    assert weight.reason == "power of WT, 1 at 72; no RSE, as it may be zero"
    assert site.reason == "site B against A; no RSE, as it may be zero"
    assert "beta_c0_WT: power of WT, 1 at 72" in repr(fit)


def test_a_subject_is_drawn_by_its_number(fit: PopulationFit) -> None:
    assert "3" in fit.plot(kind="profiles", subject=3).axes[0].get_title(loc="left")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fix": ["c0"]}, "fix names values"),
        ({"seed": 1.5}, r"seed is 1\.5"),
        ({"iov": "c0, z"}, "iov 'z'"),
        ({"mixture": "z"}, "mixture 'z'"),
        ({"missing_covariates": "mean"}, "'mean' is no rule"),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused(cohort: Cohort, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pool(cohort, model=LINE, start=START, **options)


def test_a_file_is_no_cohort() -> None:
    given: Any = "trial.csv"
    with pytest.raises(SettingsError, match=r"ck\.pool\(ck\.read\('trial\.csv'\)\)"):
        pool(given)


def test_values_that_a_covariate_cannot_have_are_named_with_their_patients() -> None:
    wrong = table().astype({"WT": object})
    wrong.loc[wrong["subject"] == 2, "WT"] = "heavy"
    message = r"WT is no number for 2: 'heavy'; correct the value, or write categorical\(WT\) if it is a label"
    with pytest.raises(DataError, match=message):
        parse_terms(["c0 ~ power(WT)"], LINE, read(wrong))
    low = table()
    low.loc[low["subject"] == 5, "WT"] = -1
    with pytest.raises(DataError, match="WT is -1 for 5, and a power takes positive values"):
        parse_terms(["c0 ~ power(WT)"], LINE, read(low))


def test_a_column_that_varies_within_a_patient_is_named_as_such() -> None:
    changing = table()
    changing.loc[3, "WT"] = 99
    with pytest.raises(SettingsError, match="WT varies within patient 1, so it is no covariate"):
        parse_terms(["c0 ~ wt"], LINE, read(changing))


def test_a_forecast_names_the_patients_without_a_covariate(fit: PopulationFit) -> None:
    lacking = table()
    lacking.loc[lacking["subject"] == 4, "WT"] = np.nan
    with pytest.raises(DataError, match="covariate WT is missing for 4; complete the data, or leave"):
        problem_of(read(lacking), fit.population)


def test_strata_are_those_of_the_data(fit: PopulationFit, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"strata 'nosuch': the data have WT, site$"):
        bootstrap(fit, replicates=2, strata="nosuch", folder=tmp_path)


@pytest.mark.parametrize("broken", [None, "many", True])
def test_a_number_that_is_none_makes_a_population_file_unusable(
    fit: PopulationFit, tmp_path: Path, broken: object
) -> None:
    record = fit.to_dict()
    record["population"]["working"][0] = broken
    path = tmp_path / "population.json"
    path.write_text(json.dumps(record))
    with pytest.raises(SettingsError, match=r"is not a usable population\.json: working\[0\] is not a number"):
        read_population(path, LINE)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "it has no 'population'"), ("[]", "no population"), ('{"population": 3}', "population")],
)
def test_a_file_without_a_population_is_unusable(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "population.json").write_text(text)
    with pytest.raises(SettingsError, match=rf"is not a usable population\.json: .*{message}"):
        read_population(tmp_path)
