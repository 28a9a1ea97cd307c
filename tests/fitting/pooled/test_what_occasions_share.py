"""A patient has one row of covariates and one set of windows: where occasions differ in them, a fit is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.comedication import read_comedication
from cellkinetics.errors import FitError
from cellkinetics.fitting.covariates import parse_terms
from cellkinetics.fitting.pooled.newcomers import problem_of
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.refit import Setting
from cellkinetics.fitting.pooled.structure import Coefficient, Form, Structure
from cellkinetics.fitting.terms import Term
from cellkinetics.models.ecp import ECP
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import LOG_CONSTANT

TOCI = get_model("ecp+comedication=toci")


def infused(subject: list[str], dose: list[float], group: list[str] | None = None) -> Cohort:
    """Profiles of three samples, occasions of a subject counted from 1."""
    n = len(subject)
    cohort = Cohort.from_arrays(
        [[2.0, 9.0, 28.0]] * n, [[90.0, 9e3, 400.0]] * n, subject=subject, dose=dose, group=group or [""] * n
    )
    return replace(cohort, occasion=tuple(str(1 + subject[:i].count(who)) for i, who in enumerate(subject)))


@pytest.fixture(scope="module")
def escalated() -> Cohort:
    """B has twice the dose on its second occasion, and is in one group."""
    return infused(["A", "B", "B", "C"], [50.0, 100.0, 200.0, 150.0], ["x", "y", "y", "x"])


def test_a_covariate_that_differs_between_occasions_is_refused_with_subject_and_values(escalated: Cohort) -> None:
    with pytest.raises(FitError, match=r"dose of subject B differs between occasions \(100, 200\)"):
        PooledProblem.from_cohort(escalated, ECP, iov=("cmax",), covariates=["cmax ~ power(dose, 100)"])


def test_a_covariate_that_no_term_names_may_differ(escalated: Cohort) -> None:
    found = PooledProblem.from_cohort(escalated, ECP, iov=("cmax",), covariates=["cmax ~ group"])
    assert np.asarray(found.samples.design)[:3, 0, 0].tolist() == [0.0, 1.0, 0.0]


def test_a_covariate_that_only_one_occasion_has_is_refused() -> None:
    cohort = infused(["A", "B", "B", "C"], [50.0, 100.0, np.nan, 150.0])
    with pytest.raises(FitError, match=r"dose of subject B differs between occasions \(100, missing\)"):
        PooledProblem.from_cohort(cohort, ECP, iov=("cmax",), covariates=["cmax ~ dose"])


def test_the_fits_of_a_search_refuse_it_too(escalated: Cohort) -> None:
    setting = Setting(escalated, parse_terms(["cmax ~ power(dose, 100)"], ECP, escalated), iov=("cmax",))
    with pytest.raises(FitError, match="dose of subject B"):
        setting.problem(())


def test_a_forecast_refuses_it_too(escalated: Cohort) -> None:
    structure = Structure(
        ECP.names, (0,), LOG_CONSTANT.names, coefficients=(Coefficient("beta_cmax_dose", 0),), occasion=(0,)
    )
    mu = ECP.working_values(ECP.theta({"cmax": 2e4, "tmax": 9, "foldx": 900, "alpha": 0.2, "fb": 0.02, "beta": 0.004}))
    x = structure.pack(mu, np.array([0.5]), [0.5])
    population = PopulationModel(Form(ECP, LOG_CONSTANT, structure), x, (Term("cmax", "dose", "power", 100.0),))
    with pytest.raises(FitError, match="dose of subject B"):
        problem_of(escalated, population)
    assert problem_of(escalated.take([0, 1, 3]), population).n_real == 3


def given(cohort: Cohort, occasion: list[str]) -> np.ndarray:
    table = pd.DataFrame(
        {"subject": "B", "drug": "toci", "start": 4, "end": 9, "occasion": occasion}, index=range(len(occasion))
    )
    return read_comedication(table).windows(cohort, TOCI.inputs)[0]


def test_windows_of_a_later_occasion_are_never_taken_from_the_first(escalated: Cohort) -> None:
    with pytest.raises(FitError, match="subject B was given toci on other days of one occasion than of another"):
        PooledProblem.from_cohort(escalated, TOCI, iov=("cmax",), given=given(escalated, ["2"]))
    both = PooledProblem.from_cohort(escalated, TOCI, iov=("cmax",), given=given(escalated, ["1", "2"]))
    assert np.asarray(both.samples.given)[:3, 0, 0].tolist() == [[0.0, 0.0], [4.0, 9.0], [0.0, 0.0]]


def test_windows_of_a_new_patient_are_those_of_each_occasion_or_none(escalated: Cohort) -> None:
    structure = Structure(TOCI.names, (0,), LOG_CONSTANT.names, occasion=(0,))
    population = PopulationModel(
        Form(TOCI, LOG_CONSTANT, structure), structure.pack(np.zeros(len(TOCI.names)), np.array([0.5]), [0.5])
    )
    with pytest.raises(FitError, match="subject B was given toci"):
        problem_of(escalated, population, given=given(escalated, ["1"]))
