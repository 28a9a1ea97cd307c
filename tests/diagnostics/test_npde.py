"""Prediction errors of a population fit: standard normal at the truth with a fifth below quantification."""

from typing import Any

import numpy as np
import pytest
from known_population import LLOQ, SIGMA, at, cohort

import cellkinetics as ck
from cellkinetics.errors import SettingsError


@pytest.fixture(scope="module")
def fit() -> Any:
    return at(cohort(100, seed=2))


def test_at_the_truth_they_are_standard_normal(fit: Any) -> None:
    share = fit.problem.n_censored / fit.problem.n_observations
    assert 0.15 < share < 0.25
    found = ck.npde(fit, simulations=400)
    n = found.summary.n
    assert n == fit.problem.n_observations
    assert found.summary.mean == pytest.approx(0, abs=3 / np.sqrt(n))
    assert found.summary.variance == pytest.approx(1, abs=3 * np.sqrt(2 / n))
    assert found.summary.p_ks > 0.05
    assert found.summary.p_global > 0.05
    drawn = found.table["drawn"]
    assert drawn.sum() == fit.problem.n_censored


@pytest.mark.parametrize("wrong", [{"sigma": (1.6 * SIGMA,)}, {"alpha": 0.5}, {"cmax": 8e3}])
def test_of_a_misspecified_model_they_are_not(fit: Any, wrong: dict[str, Any]) -> None:
    summary = ck.npde(at(fit.cohort, **wrong), simulations=200).summary
    assert min(summary.p_global, summary.p_ks) < 1e-3


def test_dropped_samples_are_judged_as_censored(fit: Any) -> None:
    whole = ck.npde(fit, simulations=120).table
    assert whole.loc[whole["drawn"], "value"].eq(LLOQ).all()
    assert (whole.loc[~whole["drawn"], "value"] >= LLOQ).all()


def test_too_few_simulations_are_refused(fit: Any) -> None:
    with pytest.raises(SettingsError, match="at least 100"):
        ck.npde(fit, simulations=99)


def test_patients_in_blocks_get_the_same_places(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cellkinetics.diagnostics import simulation

    monkeypatch.setattr(simulation, "AT_ONCE", 120 * 16 * 16)
    blocks = ck.npde(fit, simulations=120)
    assert blocks.table["subject"].tolist() == ck.npde(fit, simulations=120).table["subject"].tolist()
    assert blocks.summary.variance == pytest.approx(1, abs=0.2)
    assert "npde of" in repr(blocks)
