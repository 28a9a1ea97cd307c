"""Short form of `validation/simulation_estimation.py`: what is simulated is found again, within the stated errors."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.summary import working_covariance

SCRIPT = Path(__file__).parents[3] / "validation" / "simulation_estimation.py"
TRIALS, PATIENTS = 8, 48


@pytest.fixture(scope="module")
def study() -> ModuleType:
    if not SCRIPT.is_file():
        pytest.skip("the folder validation is not part of this copy")
    spec = importlib.util.spec_from_file_location("simulation_estimation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fits(study: ModuleType) -> list[PopulationFit]:
    return [pool(study.trial(PATIENTS, (3, number)), seed=number) for number in range(TRIALS)]


def z_scores(fits: list[PopulationFit], truth: np.ndarray) -> np.ndarray:
    """Estimates less the truth in standard errors, working scale, ``(trials, k)``; NaN where no error is stated."""
    rows = []
    for fit in fits:
        stated = [row.se is not None for row in fit.estimates]
        assert fit.importance is not None
        error = np.sqrt(np.diag(working_covariance(fit.importance, np.ones(len(fit.x), bool), "information")))
        rows.append(np.where(stated, (fit.x - truth) / error, np.nan))
    return np.array(rows)


def test_every_trial_converges(fits: list[PopulationFit]) -> None:
    assert [fit.status for fit in fits if not fit.converged] == []


def test_no_estimate_is_biased_beyond_its_error(fits: list[PopulationFit], study: ModuleType) -> None:
    truth = study.truth(fits[0])
    offset = np.array([fit.x for fit in fits]) - truth
    # With eight trials Student's t is beyond 4.5 for one of 13 parameters in one study of 28.
    t = offset.mean(0) / (offset.std(axis=0, ddof=1) / np.sqrt(TRIALS))
    assert {label: one for label, one in zip(fits[0].problem.labels, t, strict=True) if abs(one) > 4.5} == {}
    typical = [fits[0].problem.labels.index(name) for name in ("cmax", "tmax", "alpha", "sigma")]
    assert np.abs(offset.mean(0)[typical]).max() < 0.15


def test_intervals_hold_the_truth_as_often_as_they_say(fits: list[PopulationFit], study: ModuleType) -> None:
    z = z_scores(fits, study.truth(fits[0]))
    seen = np.isfinite(z)
    assert seen.mean() > 0.9
    # 104 intervals of which some go together: 95 % of them, give or take 8.
    assert 0.87 <= (np.abs(z[seen]) < 1.96).mean() <= 1.0
    assert 0.7 < np.sqrt((z[seen] ** 2).mean()) < 1.4


def test_a_wrong_truth_is_noticed(fits: list[PopulationFit], study: ModuleType) -> None:
    wrong = study.truth(fits[0])
    wrong[fits[0].problem.labels.index("sigma")] += 0.2
    z = z_scores(fits, wrong)[:, fits[0].problem.labels.index("sigma")]
    assert (np.abs(z) > 1.96).mean() > 0.8
