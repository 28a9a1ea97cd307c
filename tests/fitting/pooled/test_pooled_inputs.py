"""Comedication and covariates on their way into a population problem."""

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.data.comedication import STILL_GIVEN, comedication_of
from cellkinetics.errors import DataError, FitError, SettingsError
from cellkinetics.fitting.pooled.criteria import criteria
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.start import population_start
from cellkinetics.models.published import library
from cellkinetics.models.registry import get_model

TOCI = get_model("ecp+comedication=toci")


@pytest.fixture(scope="module")
def cohort() -> ck.Cohort:
    samples = library["stein2019"].simulate(2, [1, 4, 7, 9, 11, 14, 28, 56, 120], lloq=50, seed=2).samples
    first = samples["subject"] == samples["subject"].iloc[0]
    return ck.read(samples.assign(toci_day=np.where(first, 4.0, np.nan), stage=np.where(first, "I", "")))


def problem(cohort: ck.Cohort) -> PooledProblem:
    windows, _ = comedication_of({"toci": "toci_day"}, cohort).windows(cohort, TOCI.inputs)
    return PooledProblem.from_cohort(cohort, TOCI, given=windows)


def test_windows_reach_the_patients_and_the_factor_has_no_random_effect(cohort: ck.Cohort) -> None:
    found = problem(cohort)
    given = np.asarray(found.samples.given)
    assert given[:2, 0, 0].tolist() == [[4.0, STILL_GIVEN], [0.0, 0.0]]
    assert not given[2:].any()
    assert "omega_f_toci" not in found.labels
    x = population_start(found, cohort)
    assert x[found.labels.index("f_toci")] == 0.0


def test_bicc_counts_a_factor_without_random_effect_with_the_samples(cohort: ck.Cohort) -> None:
    found = criteria(problem(cohort), 100.0)
    # 7 typical values (one of them the factor), 6 SDs, sigma; 2 patients, 18 samples.
    assert found.n_parameters == 14
    assert found.aic == 128.0
    assert found.bic == pytest.approx(100 + 14 * np.log(2))
    assert found.bicc == pytest.approx(100 + 12 * np.log(2) + 2 * np.log(18))


def test_a_drug_that_no_patient_was_given_must_be_fixed(cohort: ck.Cohort) -> None:
    drugs = {"toci": "toci_day"}
    with pytest.raises(SettingsError, match=r"was given ster.*fix it \(f_ster=1\)"):
        pool(cohort, model="ecp+comedication", comedication=drugs)
    with pytest.raises(FitError, match="2 of 2 patients"):
        pool(cohort, model="ecp+comedication", comedication=drugs, fix={"f_ster": 1.0})
    with pytest.raises(SettingsError, match="needs to know when toci were given"):
        pool(cohort, model=TOCI)
    table = pd.DataFrame({"subject": [cohort.subject[0]], "drug": ["dexa"], "start": [3]})
    with pytest.raises(SettingsError, match="no input 'dexa'"):
        pool(cohort, model=TOCI, comedication=table)


def test_a_missing_covariate_needs_a_rule(cohort: ck.Cohort) -> None:
    labelled = ck.Cohort.from_arrays(
        [cohort.time[0].tolist()] * 3, [cohort.value[0].tolist()] * 3, subject=["A", "B", "C"], group=["x", "y", ""]
    )
    with pytest.raises(DataError, match="covariate group is missing for C"):
        pool(labelled, covariates=["cmax ~ group"])
    with pytest.raises(FitError, match="2 of 2 patients"):
        pool(labelled, covariates=["cmax ~ group"], missing_covariates="drop")
    with pytest.raises(SettingsError, match="'guess' is no rule"):
        pool(labelled, covariates=["cmax ~ group"], missing_covariates="guess")
