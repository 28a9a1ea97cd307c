"""Likelihood profiles of population parameters."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.diagnostics.profile import RISE, PopulationProfile
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.models.published import library
from cellkinetics.report.figures.population_profiles import population_profile_figure

DAYS = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84, 180]


@pytest.fixture(scope="module")
def fit() -> PopulationFit:
    drawn = library["stein2019"].simulate(12, DAYS, lloq=50, seed=5).samples
    return ck.pool(ck.read(drawn), method="importance", seed=1)


@pytest.fixture(scope="module")
def profile(fit: PopulationFit) -> PopulationProfile:
    return fit.profile("sigma", target_se=0.1)


def test_the_profile_of_a_well_known_parameter_agrees_with_its_standard_error(
    fit: PopulationFit, profile: PopulationProfile
) -> None:
    row = profile.intervals.iloc[0]
    assert row["parameter"] == "sigma"
    assert row["reason"] == ""
    assert row["low"] == pytest.approx(fit["sigma"].ci_low, rel=0.04)
    assert row["high"] == pytest.approx(fit["sigma"].ci_high, rel=0.04)


def test_the_rise_is_that_above_the_least_and_grows_outwards(fit: PopulationFit, profile: PopulationProfile) -> None:
    table = profile.table
    assert table["value"].is_monotonic_increasing
    best = int(table["delta"].argmin())
    assert table["delta"].iloc[best] == 0
    assert table["value"].iloc[best] == pytest.approx(fit["sigma"].estimate, rel=0.05)
    assert (np.diff(table["delta"].to_numpy()[best:]) > 0).all()
    assert (np.diff(table["delta"].to_numpy()[: best + 1]) < 0).all()
    assert table["delta"].iloc[0] > RISE < table["delta"].iloc[-1]
    assert (table["mc_se"] <= 0.1).all()
    assert table["converged"].all()
    assert table["minus2ll"].min() == pytest.approx(fit.objective.minus2ll, abs=4 * 0.11)  # both are estimates
    assert "sigma" in repr(profile)


def test_what_has_no_profile_is_refused(fit: PopulationFit) -> None:
    with pytest.raises(SettingsError, match="no parameter 'omega_gamma'"):
        fit.profile("omega_gamma")
    held = replace(fit.problem, fixed={**fit.problem.fixed, "foldx": 3900.0})
    with pytest.raises(SettingsError, match="foldx is fixed"):
        replace(fit, problem=held).profile("foldx")
    nobody: Any = SimpleNamespace(structure=SimpleNamespace(n_latent=0))
    with pytest.raises(FitError, match="without random effects"):
        replace(fit, problem=nobody).profile("sigma")


def test_an_end_that_the_profile_does_not_have_is_not_drawn() -> None:
    table = pd.DataFrame(
        {
            "parameter": "omega_beta", "value": [0.01, 0.1, 0.3, 0.6], "delta": [2.0, 1.0, 0.0, 5.0], "mc_se": 0.1,
            "low": np.nan, "high": 0.5, "reason": "no low end",
        }
    )  # fmt: skip
    ax = population_profile_figure(table).axes[0]
    assert ax.get_xscale() == "log"
    ends = [segment[0][0] for collection in ax.collections for segment in collection.get_segments()]
    assert ends.count(0.5) == 1
    assert len(ends) == 1 + len(table)
