"""Fits with a population as prior: the mode of the posterior, what samples and prior say, and refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import lmfit
import numpy as np
import pytest
from handmade_fit import population_fit

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, ModelError, SettingsError
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import PopulationEstimate
from cellkinetics.fitting.posterior import laplace, plan_posterior
from cellkinetics.fitting.prior import PopulationPrior
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import STEIN_2019, library
from cellkinetics.models.registry import get_model

DAYS = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84, 180]


@pytest.fixture(scope="module")
def trial() -> Cohort:
    return ck.read(STEIN_2019.simulate(10, DAYS, lloq=50, seed=5).samples)


@pytest.fixture(scope="module")
def maps(trial: Cohort) -> IndividualFits:
    return fit(trial, prior="stein2019")


def test_estimates_are_the_conditional_modes_of_the_population(trial: Cohort, maps: IndividualFits) -> None:
    problem = PooledProblem.from_cohort(trial, ECP)
    x = problem.pack(STEIN_2019.typical, STEIN_2019.omega_sd, (STEIN_2019.residual_sd,))
    modes = conditional_modes(problem, x)
    omega = np.array([STEIN_2019.omega_sd[name] for name in ECP.names])
    with jax.enable_x64(True):
        eta = np.asarray(modes.u)[: len(trial)] * omega
        pooled = np.asarray(ECP.to_natural(jnp.asarray(x[:6] + eta)))
    ours = np.array([one.theta for one in maps])
    # The pooled search has the switch at Tmax smoothed over 0.05 d; ours has the kink.
    np.testing.assert_allclose(ours, pooled, rtol=0.03)
    # joint_nll of the pooled code is half of what is minimised here.
    value = np.array([one["minus2lp"].estimate for one in maps])
    np.testing.assert_allclose(value, 2 * np.asarray(modes.value)[: len(trial)], atol=0.3)


def test_a_fit_without_the_prior_term_is_the_likelihood_of_the_samples(maps: IndividualFits) -> None:
    one = maps.fits[0]
    away = np.array(
        [
            (h.transformed(theta) - h.transformed(STEIN_2019.typical[h.name])) / STEIN_2019.omega_sd[h.name]
            for h, theta in zip(ECP.parameters, one.theta, strict=True)
        ]
    )
    assert one["minus2lp"].estimate - one["minus2ll"].estimate == pytest.approx(float(away @ away), rel=1e-9)


def test_lmfit_finds_the_same_modes(trial: Cohort, maps: IndividualFits) -> None:
    few = trial.take([0, 1])
    alone = fit(few, prior="stein2019", method="lmfit")
    for ours, theirs in zip(maps.fits[:2], alone, strict=True):
        np.testing.assert_allclose(theirs.theta, ours.theta, rtol=1e-3)
        assert theirs["minus2lp"].estimate == pytest.approx(ours["minus2lp"].estimate, abs=1e-4)


@pytest.mark.parametrize("method", ["batch", "lmfit"])
def test_a_prior_that_names_the_phases_the_other_way_round_keeps_its_names(
    method: Literal["batch", "lmfit"], trial: Cohort, maps: IndividualFits
) -> None:
    typical, omega = dict(STEIN_2019.typical), dict(STEIN_2019.omega_sd)
    typical |= {"alpha": typical["beta"], "beta": typical["alpha"], "fb": 1 - typical["fb"]}
    omega |= {"alpha": omega["beta"], "beta": omega["alpha"]}
    prior = PopulationPrior.given(typical, omega, STEIN_2019.residual_sd)
    # Those whose alpha is a beta within its bounds too.
    few = [k for k, one in enumerate(maps) if one.estimates["alpha"] < 0.4][:2]
    turned = fit(trial.take(few), prior=prior, method=method)
    for one, other in zip([maps.fits[k] for k in few], turned, strict=True):
        assert other["minus2lp"].estimate == pytest.approx(one["minus2lp"].estimate, abs=1e-4)
        there = other.estimates
        for name, exchanged in {"alpha": there["beta"], "beta": there["alpha"], "fb": 1 - there["fb"]}.items():
            assert exchanged == pytest.approx(one.estimates[name], rel=2e-3)


def test_lmfit_view_minimises_samples_and_prior_together(maps: IndividualFits) -> None:
    one = maps.fits[0]
    result = one.lmfit
    assert result.params["ln_cmax"].value == pytest.approx(np.log(one["cmax"].estimate), rel=1e-6)
    # One residual a sample and one a parameter of the prior.
    assert result.ndata == one["n_samples"].estimate + 6
    assert "ln_cmax" in lmfit.fit_report(result)


def test_residual_is_held_at_the_populations_and_can_be_estimated(trial: Cohort, maps: IndividualFits) -> None:
    held = maps.fits[0]["sigma"]
    assert (held.estimate, held.se, held.reason_code) == (0.56, None, "held_at_population")
    free = fit(trial.take([0]), prior="stein2019", estimate_sigma=True).fits[0]["sigma"]
    assert free.estimate != pytest.approx(0.56)
    assert free.se is not None


def test_what_the_samples_say_is_the_posterior_sd_over_the_priors() -> None:
    # Days 14 to 180, all after any peak: the level is seen, the rise is not.
    days = [21, 28, 42, 56]
    late = Cohort.from_arrays([days], [ECP.predict(STEIN_2019.typical, days).tolist()])
    one = fit(late, prior="stein2019").fits[0]
    foldx = one["foldx"]
    assert foldx.status == "prior"
    assert foldx.reason_code == "says_the_prior"
    assert foldx.sd_ratio == pytest.approx(1.0, abs=0.01)
    assert foldx.estimate == pytest.approx(3900.0, rel=0.01)
    assert foldx.se == pytest.approx(3900.0 * 2.4, rel=0.02)  # delta method: omega times the estimate
    assert one.status == "prior"
    assert one["alpha"].sd_ratio < 0.9
    assert one["alpha"].status == "ok"
    assert one["half_life_alpha"].sd_ratio == pytest.approx(one["alpha"].sd_ratio)


def test_patients_with_one_quantified_sample_or_none_have_an_estimate_with_the_reason() -> None:
    cohort = Cohort.from_arrays(
        [[7, 14], [7, 14, 28], [0]], [[900.0, 0.0], [0.0, 0.0, 0.0], [0.0]], lloq=50.0, subject=["one", "none", "empty"]
    )
    fits = fit(cohort, prior="stein2019")
    assert fits["one"]["cmax"].estimate is not None
    assert fits["one"].reason.startswith("one quantified sample and 1 censored")
    # Nothing above 50 where the population has thousands: the curve is below its typical one.
    assert fits["none"].reason.startswith("no quantified sample and 3 censored")
    assert fits["none"]["auc_0_28"].estimate < 171774
    assert (fits["empty"].status, fits["empty"]["cmax"].reason_code) == ("failed", "no_sample")
    alone = fit(cohort)
    assert [one["cmax"].reason_code for one in alone][:2] == ["one_quantified_sample", "no_quantified_sample"]
    silent = fit(cohort, prior="stein2019", flat=["cmax"])
    assert silent["none"]["cmax"].reason_code == "no_quantified_sample"


def test_a_parameter_that_the_prior_is_silent_about_comes_from_the_samples(trial: Cohort) -> None:
    thousandth = replace(trial, value=trial.value / 1000, lloq=trial.lloq / 1000)
    silent = fit(thousandth, prior="stein2019", flat=["cmax"])
    same = fit(trial, prior="stein2019", flat=["cmax"])
    ours, theirs = (np.array([one.theta for one in fits]) for fits in (silent, same))
    np.testing.assert_allclose(ours[:, 0] * 1000, theirs[:, 0], rtol=1e-3)
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], rtol=1e-3)
    assert silent.fits[0]["cmax"].sd_ratio is None
    assert "says nothing about cmax" in silent.status
    wrong = fit(thousandth, prior="stein2019")
    assert "times below the prior's typical Cmax" in wrong.status
    assert any("unlike_population" in one["cmax"].reason_code for one in wrong)


def test_a_prior_in_another_unit_is_refused(trial: Cohort) -> None:
    cells = replace(trial, value_unit=("cells/uL",) * len(trial))
    with pytest.raises(FitError, match=r"cmax in copies/ug, the values of .* in cells/uL.*flat=\['cmax'\]"):
        fit(cells, prior="stein2019")
    PopulationPrior.of("stein2019").without("cmax").check_units(cells, ECP)
    micro = replace(trial, value_unit=("copies/\N{MICRO SIGN}g gDNA",) * len(trial))
    PopulationPrior.of("stein2019").check_units(micro, ECP)


def test_prior_is_silent_about_a_phase_that_its_population_did_not_have() -> None:
    prior = PopulationPrior.of("stein2019")
    with pytest.raises(SettingsError, match=r"says nothing about tlag of model ecp\+lag"):
        fit(Cohort.from_arrays([DAYS], [[1.0] * len(DAYS)]), model="ecp+lag", prior=prior)
    one_phase = get_model("ecp-persistence")
    assert prior.on(one_phase).known.all()


def test_a_prior_with_correlations_keeps_those_of_what_is_left() -> None:
    covariance = np.array([[0.4, 0.1, 0.0], [0.1, 0.2, 0.05], [0.0, 0.05, 0.3]])
    prior = PopulationPrior.given({"cmax": 1e4, "tmax": 9.0, "alpha": 0.2}, covariance, 0.5).without("cmax")
    assert prior.names == ("tmax", "alpha")
    np.testing.assert_array_equal(prior.covariance, covariance[1:, 1:])
    on = prior.without("foldx", "fb", "beta").on(ECP)
    assert on.known.tolist() == [False, True, False, True, False, False]
    np.testing.assert_allclose(on.precision[np.ix_([1, 3], [1, 3])], np.linalg.inv(covariance[1:, 1:]))
    assert (on.precision[0] == 0).all()


def test_a_population_fit_and_its_file_are_the_same_prior(tmp_path: Path, trial: Cohort) -> None:
    values = {
        "model": "ecp",
        "parameters": [
            {"name": name, "estimate": number, "unit": "copies/ug" if name == "cmax" else ""}
            for name, number in STEIN_2019.typical.items()
        ],
        "omega": {
            "names": list(STEIN_2019.omega_sd),
            "covariance": np.diag([sd**2 for sd in STEIN_2019.omega_sd.values()]).tolist(),
        },
        "residual": {"scale": "log", "sd": 0.56},
    }
    path = tmp_path / "population.json"
    path.write_text(json.dumps(values))
    read, published = PopulationPrior.of(path), PopulationPrior.of(library["stein2019"])
    assert (read.names, read.sigma, read.value_unit) == (published.names, published.sigma, published.value_unit)
    np.testing.assert_allclose(read.covariance, published.covariance)
    path.write_text("{}")
    with pytest.raises(SettingsError, match=r"not a population.json of this program"):
        PopulationPrior.of(str(path))
    with pytest.raises(SettingsError, match="can be read"):
        PopulationPrior.of(tmp_path / "absent.json")


def test_a_population_fit_is_a_prior() -> None:
    rows = (
        *(PopulationEstimate(name, "typical", "log", x, "cells/uL") for name, x in STEIN_2019.typical.items()),
        *(PopulationEstimate(f"omega_{name}", "omega", "log", x, "") for name, x in STEIN_2019.omega_sd.items()),
        PopulationEstimate("sigma", "residual", "log", 0.4, ""),
    )
    of = {"typical": STEIN_2019.typical, "omega_sd": STEIN_2019.omega_sd, "sigma": 0.4}
    given = population_fit(rows, **of, n_subjects=12)
    prior = PopulationPrior.of(given)
    assert (prior.sigma, prior.value_unit, prior.source) == (0.4, "cells/uL", "population fit of 12 patients")
    assert prior.sd("foldx") == pytest.approx(2.4)
    assert prior.on(ECP).typical == STEIN_2019.typical


def test_every_sampling_interval_is_searched_and_each_place_of_a_lag() -> None:
    time, y = np.array([2.0, 6.0, 10.0, 20.0]), np.array([10.0, 900.0, 9000.0, 500.0])
    flags = np.zeros(4, dtype=np.int64)
    prior = PopulationPrior.of("stein2019").without("tlag")
    model = get_model("ecp+lag")
    plan = plan_posterior(model, prior.on(model), time, y, flags)
    edges = [segment.interval for segment in plan.segments]
    assert edges == [(model["tmax"].lower, 2.0), (2, 6), (6, 10), (10, 20), (20, model["tmax"].upper)]
    assert plan.held == {}
    assert plan.unidentified == {}
    # exp(ln 9.3 -+ 3 * 0.38) is 3.0 to 29 days: the first interval is further out.
    assert plan.central == (1, 5)
    spans = {start.limits["tlag"] for start in plan.segments[2].starts if "tlag" in start.limits}
    assert spans == {(model["tlag"].lower, 2.0), (2.0, 6.0), (6.0, 10.0)}
    # Cmax is the prior's matter here: only the model bounds it.
    assert plan.bounds["cmax"] == (model["cmax"].lower, model["cmax"].upper)
    silent = plan_posterior(model, prior.without("cmax").on(model), time, y, flags)
    assert silent.bounds["cmax"] == (1800.0, 45000.0)


def test_wrong_priors_are_refused() -> None:
    with pytest.raises(ModelError, match="stein2019"):
        PopulationPrior.of("stein")
    with pytest.raises(SettingsError, match="no published random effects"):
        PopulationPrior.of("ogasawara2021")
    with pytest.raises(SettingsError, match="positive definite"):
        PopulationPrior.given({"tmax": 9.0}, {"tmax": 0.0})
    with pytest.raises(SettingsError, match="give the prior as well"):
        fit(Cohort.from_arrays([DAYS], [[1.0] * len(DAYS)]), flat=["cmax"])


def test_laplace_takes_the_other_curvature_where_the_exact_one_leads_up() -> None:
    exact, approximate = np.diag([-2.0, 8.0, 4.0]), np.diag([2.0, 2.0, 2.0])
    free = np.array([True, True, False])
    np.testing.assert_array_equal(laplace(exact, approximate, free, smooth=True), np.diag([1.0, 1.0, 0.0]))
    free = np.array([False, True, True])
    np.testing.assert_array_equal(laplace(exact, approximate, free, smooth=True), np.diag([0.0, 0.25, 0.5]))
    np.testing.assert_array_equal(laplace(exact, approximate, free, smooth=False), np.diag([0.0, 1.0, 1.0]))


def test_every_real_patient_has_an_estimate_with_the_published_prior_or_a_cmax_at_its_bound(shared: Path) -> None:
    cohort = ck.read(shared / "data" / "ball32.csv")
    fits = fit(cohort, prior="stein2019", flat=["cmax"])
    stopped = {one.subject for one in fits if "cmax" in one.at_bound}
    assert stopped == {"CR-03", "CR-04", "NR-07"}
    for one, profile in zip(fits, cohort, strict=True):
        row, highest = one["cmax"], profile.value[profile.quantified].max()
        if one.subject in stopped:
            # No prior and no sample holds it: the bound is no estimate, and an interval would reach across it.
            assert (one.status, row.status, row.reason_code) == ("not_identifiable", "not_identifiable", "at_bound")
            assert row.estimate is row.se is row.ci_low is row.ci_high is None
            assert (one["auc_0_28"].status, one["auc_0_28"].reason_code) == ("not_identifiable", "at_bound")
            assert "the prior is silent about it, and cmax ended at a bound of its search" in one.reason
        else:
            assert one.status in {"ok", "prior"}
            assert 0.5 <= row.estimate / highest <= 2 or "cmax_far_from_observed" in row.reason_code
            low, high = one.bounds["cmax"]
            assert low < row.estimate < high
    table = fits.table[fits.table["parameter"].isin(ECP.names)]
    assert len(table) == 32 * 6
    assert np.isfinite(table.loc[table["status"] != "not_identifiable", ["estimate", "se"]]).all(axis=None)
    assert (table["status"] == "not_identifiable").sum() == len(stopped)
