"""Per-patient fits: recovery of the truth, statuses, and real profiles."""

import csv
import io
from collections import defaultdict
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, ModelError, SettingsError
from cellkinetics.fitting import search
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import STEIN_2019
from cellkinetics.models.registry import get_model
from cellkinetics.models.simulation import VirtualPatients, simulate_patients

STEIN = {"cmax": 24000.0, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}
RICH = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 17, 21, 28, 42, 56, 84, 112, 180, 270, 365, 545]


def cohort_of(patients: VirtualPatients) -> Cohort:
    groups = [group for _, group in patients.samples.groupby("subject", sort=False)]
    return Cohort.from_arrays(
        [g["time"] for g in groups],
        [g["value"] for g in groups],
        censored=[g["censored"] for g in groups],
        lloq=[g["lloq"] for g in groups],
        subject=[g["subject"].iloc[0] for g in groups],
    )


@pytest.fixture(scope="module")
def rich() -> tuple[VirtualPatients, IndividualFits]:
    patients = simulate_patients(
        ECP,
        12,
        RICH,
        typical=STEIN,
        omega_sd={"cmax": 0.65, "tmax": 0.3, "alpha": 0.3},
        residual_sd=0.3,
        lloq=10.0,
        jitter=0.2,
        seed=2,
    )
    return patients, fit(cohort_of(patients))


@pytest.fixture(scope="module")
def real(shared: Path) -> tuple[Cohort, IndividualFits]:
    rows = defaultdict(list)
    with (shared / "data" / "ball32.csv").open() as file:
        for row in csv.DictReader(file):
            rows[row["subject"]].append(row)
    value = [[float(r["value"]) for r in many] for many in rows.values()]
    cohort = Cohort.from_arrays(
        [[float(r["time"]) for r in many] for many in rows.values()],
        value,
        censored=[[int(r["censored"] == "1" or float(r["value"]) <= 0) for r in many] for many in rows.values()],
        lloq=[[float(r["lloq"] or "nan") for r in many] for many in rows.values()],
        subject=list(rows),
    )
    return cohort, fit(cohort)


def test_exact_values_give_back_the_parameters_behind_them() -> None:
    fits = fit(Cohort.from_arrays([RICH], [ECP.predict(STEIN, RICH).tolist()], subject=["P01"]))
    found = fits["P01"].estimates
    assert {name: found[name] for name in STEIN} == pytest.approx(STEIN, rel=1e-3)
    # No residual is left, so sigma is at its floor and is said to be.
    assert fits["P01"]["sigma"].reason_code == "at_bound"
    assert fits["P01"]["auc_0_28"].estimate == pytest.approx(171774.285, rel=1e-3)


def test_simulated_patients_recover_their_truth(rich: tuple[VirtualPatients, IndividualFits]) -> None:
    patients, fits = rich
    table = fits.table
    truth = patients.truth.set_index("subject")
    covered = []
    # Largest error in ln (12 patients, residual SD 0.3): about three standard errors of each.
    for name, largest in {"cmax": 0.5, "tmax": 0.15, "foldx": 1.5, "alpha": 0.35}.items():
        rows = table[table["parameter"] == name].set_index("subject")
        assert (rows["status"] == "ok").all()
        assert np.abs(np.log(rows["estimate"] / truth[name])).max() < largest
        known = rows[rows["se"].notna()]
        covered += list((known["ci_low"] < truth[name][known.index]) & (truth[name][known.index] < known["ci_high"]))
    assert np.mean(covered) > 0.85
    sigma = table.loc[table["parameter"] == "sigma", "estimate"]
    assert sigma.mean() == pytest.approx(0.3 * np.sqrt(18 / 24), abs=0.05)  # maximum likelihood: biased by df


def test_the_optimum_is_not_worse_than_the_truth_or_any_start(rich: tuple[VirtualPatients, IndividualFits]) -> None:
    patients, fits = rich
    best = fits.table[fits.table["parameter"] == "minus2ll"]["estimate"].to_numpy()
    others = [
        {"cmax": 1e4, "tmax": tmax, "foldx": 50.0, "alpha": alpha, "fb": 0.1, "beta": 0.02}
        for tmax in (4.0, 8.0, 13.0)
        for alpha in (0.05, 1.0)
    ]
    again = fit(cohort_of(patients), starts=[STEIN, *others])
    more = again.table[again.table["parameter"] == "minus2ll"]["estimate"].to_numpy()
    np.testing.assert_allclose(best, more, atol=1e-3)


def test_lmfits_result_prints_our_standard_errors(rich: tuple[VirtualPatients, IndividualFits]) -> None:
    import lmfit

    one = rich[1].fits[0]
    with redirect_stdout(io.StringIO()) as out:
        lmfit.report_fit(one.lmfit)
    text = out.getvalue()
    assert "uncertainties could not be estimated" not in text
    assert "ln_cmax:" in text
    assert one.lmfit.params["cmax"].value == pytest.approx(one["cmax"].estimate)
    assert one.lmfit.params["cmax"].stderr == pytest.approx(one["cmax"].se)
    assert one.lmfit.params["fb"].stderr == pytest.approx(one["fb"].se)
    assert one.lmfit.aic == pytest.approx(one["aic"].estimate)
    assert one["aic"].estimate == pytest.approx(one["minus2ll"].estimate + 2 * 7)
    assert one["bic"].estimate == pytest.approx(one["minus2ll"].estimate + 7 * np.log(24))


def test_table_and_curves_have_the_columns_of_the_files(rich: tuple[VirtualPatients, IndividualFits]) -> None:
    _, fits = rich
    key = ["subject", "analyte", "occasion", "specimen", "model", "parameter"]
    numbers = ["estimate", "se", "rse_percent", "ci_low", "ci_high", "profile_low", "profile_high", "sd_ratio"]
    assert list(fits.table) == [*key, *numbers, "unit", "status", "reason", "reason_code"]
    lines = ["time", "predicted", "contraction", "persistence"]
    assert list(fits.curves) == ["subject", "analyte", "occasion", "specimen", "model", *lines]
    one = fits.fits[0]
    assert one.curve_time[0] == pytest.approx(rich[0].samples["time"].iloc[0])
    assert one.curve.max() == pytest.approx(one.estimates["cmax"])  # the break at Tmax is a point of the grid
    assert (np.diff(one.curve_time) > 0).all()
    assert fits.table.loc[fits.table["parameter"] == "cmax", "unit"].eq("copies/ug").all()
    assert fits.table.loc[fits.table["parameter"] == "auc_0_28", "unit"].eq("day*copies/ug").all()


def test_every_real_patient_has_rows_and_every_empty_value_a_reason(real: tuple[Cohort, IndividualFits]) -> None:
    cohort, fits = real
    assert [f.subject for f in fits] == list(cohort.subject)
    table = fits.table
    assert (table.groupby("subject").size() == len(table) // 32).all()
    assert (table.loc[table["estimate"].isna(), "reason"] != "").all()
    assert (table.loc[table["se"].isna() & (table["status"] != "ok"), "reason_code"] != "").all()
    assert not (fits.table["status"] == "failed").any()
    assert np.isfinite(fits.curves["predicted"]).all()


def test_no_real_fit_reports_a_cmax_beyond_five_times_the_highest_sample(real: tuple[Cohort, IndividualFits]) -> None:
    cohort, fits = real
    for profile, one in zip(cohort, fits, strict=True):
        highest = profile.value[profile.quantified].max()
        assert one.theta[0] <= 5.000001 * highest
        if one.theta[0] >= 4.99 * highest:
            assert one["cmax"].status == "not_identifiable"


def test_growth_is_not_identifiable_where_fewer_than_two_samples_precede_the_peak(
    real: tuple[Cohort, IndividualFits],
) -> None:
    cohort, fits = real
    few_before = few_after = 0
    for profile, one in zip(cohort, fits, strict=True):
        day, value = profile.time[profile.quantified], profile.value[profile.quantified]
        before, after = (day < day[value.argmax()]).sum(), (day > day[value.argmax()]).sum()
        if before < 2:
            few_before += 1
            assert one["foldx"].reason_code == "few_samples_before_peak"
            assert one["foldx"].estimate is None
            assert one["doubling_time"].status == "not_identifiable"
        if after < 2:
            few_after += 1
            assert one["alpha"].reason_code == "few_samples_after_peak"
    # By the file's own flags; with its unflagged values below the floor of 0.2 counted as censored
    # the first number is 11.
    assert (few_before, few_after) == (9, 5)


def test_profiles_that_cannot_be_fitted_are_rows_and_the_others_are_fitted() -> None:
    good = ECP.predict(STEIN, RICH).tolist()
    cohort = Cohort.from_arrays(
        [RICH, [1, 7, 14], [1, 7], [], [7, 14]],
        [good, [50, 50, 50], [50, 900], [], [900, 400]],
        lloq=50.0,
        censored=[[0] * len(RICH), [1, 1, 1], [1, 0], [], [0, 0]],
        subject=["good", "all BLQ", "one value", "empty", "two values"],
    )
    fits = fit(cohort)
    # Exact values leave no residual: sigma is at its floor, and the only thing that cannot be had.
    assert [f.status for f in fits] == ["not_identifiable", "failed", "failed", "failed", "not_identifiable"]
    assert fits["good"].reason == "sigma not identifiable: sigma ended at a bound of its search, 0.05"
    assert fits["all BLQ"].reason == "no quantified sample; without a prior there is nothing to fit"
    assert fits["one value"]["cmax"].reason_code == "one_quantified_sample"
    assert fits["empty"].estimates["cmax"] is None
    assert fits["empty"].estimates["n_samples"] == 0
    assert fits["two values"]["cmax"].status == "not_identifiable"
    assert "3 failed" in fits.status
    assert "good" in repr(fits)
    assert "no quantified sample" in repr(fits["all BLQ"])


def test_a_decline_of_one_phase_is_contraction_and_persistence_is_not_reported() -> None:
    values = ECP.predict({**STEIN, "fb": 1e-9, "alpha": 0.3}, [1, 3, 5, 7, 9, 11, 14, 17, 21, 25, 28])
    noise = np.exp(0.2 * np.random.default_rng(8).standard_normal(11))
    one = fit(Cohort.from_arrays([[1, 3, 5, 7, 9, 11, 14, 17, 21, 25, 28]], [values * noise])).fits[0]
    assert one["alpha"].estimate == pytest.approx(0.3, rel=0.2)
    assert one["beta"].reason_code in {"one_phase", "flat_likelihood", "at_bound"}
    assert one["half_life_beta"].estimate is None


@pytest.fixture(scope="module")
def sparse() -> tuple[VirtualPatients, IndividualFits]:
    patients = STEIN_2019.simulate(40, [1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 56, 84, 180], lloq=50, seed=11)
    return patients, fit(cohort_of(patients))


@pytest.mark.parametrize("name", ECP.names)
def test_intervals_of_rows_that_are_ok_cover_the_truth(
    name: str, sparse: tuple[VirtualPatients, IndividualFits]
) -> None:
    patients, fits = sparse
    rows = fits.table[(fits.table["parameter"] == name) & (fits.table["status"] == "ok")].set_index("subject")
    rows = rows[rows["se"].notna()]
    truth = patients.truth.set_index("subject")[name][rows.index]
    assert len(rows) > (5 if name == "beta" else 12)
    # 200 patients cover 0.92 or more of each; with these few rows three more misses are chance.
    assert ((rows["ci_low"] <= truth) & (truth <= rows["ci_high"])).mean() > 0.85


def test_a_rate_of_persistence_that_may_be_zero_says_so(sparse: tuple[VirtualPatients, IndividualFits]) -> None:
    _, fits = sparse
    open_ended = [one for one in fits if "may_be_zero" in one["beta"].reason_code.split(";")]
    assert open_ended
    for one in open_ended:
        assert one["beta"].ci_low == 0.0
        assert one["half_life_beta"].estimate is None
        assert one["half_life_beta"].reason_code == "may_be_zero"


def test_a_peak_above_the_uloq_is_covered_or_not_reported() -> None:
    days = RICH[:20]
    noise = np.exp(0.2 * np.random.default_rng(3).standard_normal((5, len(days))))
    value = ECP.predict(STEIN, days) * noise
    above = value > 5000.0
    cohort = Cohort.from_arrays([days] * 5, np.where(above, 5000.0, value), censored=np.where(above, -1, 0))
    fits = fit(replace(cohort, uloq=np.where(above, 5000.0, np.nan)))
    for one in fits:
        assert one.theta[0] > 7000.0
        for name in ("cmax", "tmax"):
            row = one[name]
            assert row.estimate is None or row.se is None or row.ci_low <= STEIN[name] <= row.ci_high


def test_scaling_the_values_scales_cmax_and_moves_nothing_else(rich: tuple[VirtualPatients, IndividualFits]) -> None:
    patients, fits = rich
    cohort = cohort_of(patients).take([0])
    scaled = Cohort.from_arrays(
        [cohort.time[0]], [cohort.value[0] * 8], lloq=[cohort.lloq[0] * 8], censored=[cohort.censored[0]]
    )
    before, after = fits.fits[0], fit(scaled).fits[0]
    assert after.estimates["cmax"] == pytest.approx(8 * before.estimates["cmax"], rel=1e-4)
    for name in ("tmax", "foldx", "alpha", "beta", "sigma"):
        assert after.estimates[name] == pytest.approx(before.estimates[name], rel=1e-3)
    # ln y moves by a constant, so the likelihood stays.
    assert after.estimates["minus2ll"] == pytest.approx(before.estimates["minus2ll"], abs=1e-4)


def test_a_model_of_ones_own_is_fitted_from_given_starts() -> None:
    model = Model(
        "decline",
        "mono-exponential decline",
        (
            Parameter("c0", "log", "value", 1e-2, 1e8, "value at infusion"),
            Parameter("k", "log", "rate", 1e-4, 10.0, "decline rate"),
        ),
        lambda theta, t: jnp.log(theta[0]) - theta[1] * t,
    )
    days, noise = np.arange(1.0, 9.0), np.array([0.1, -0.1, 0.2, -0.2, 0.1, -0.1, 0.05, -0.05])
    one = fit(
        Cohort.from_arrays([days], [100 * np.exp(-0.3 * days + noise)]), model=model, starts={"c0": 10.0, "k": 1.0}
    ).fits[0]
    # Ordinary least squares of ln y: the same estimates and, with its n/(n - 2), the same standard errors.
    y = np.log(100) - 0.3 * days + noise
    design = np.column_stack([np.ones(8), -days])
    beta, rss = np.linalg.lstsq(design, y)[:2]
    se = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * rss[0] / 6)
    assert one["c0"].estimate == pytest.approx(np.exp(beta[0]), rel=1e-5)
    assert one["k"].estimate == pytest.approx(beta[1], rel=1e-5)
    assert one["c0"].rse_percent == pytest.approx(100 * se[0], rel=1e-4)
    assert one["k"].se == pytest.approx(se[1], rel=1e-4)
    assert one["sigma"].estimate == pytest.approx(np.sqrt(rss[0] / 8), rel=1e-4)


def test_progress_rises_to_all_profiles_and_the_seed_is_recorded() -> None:
    calls: list[tuple[int, int]] = []
    cohort = Cohort.from_arrays([[1, 7], [1, 7]], [[50, 50], [50, 50]], lloq=60.0)
    fits = fit(cohort, seed=7, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (2, 2)
    assert fits.to_dict()["seed"] == 7
    assert fits.curves.empty


@pytest.mark.parametrize("worse", [-1e-12, 1e-12])
def test_phases_keep_their_names_wherever_the_last_search_ends(
    worse: float, rich: tuple[VirtualPatients, IndividualFits], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The curve is the same with alpha and beta exchanged: the best end of the first searches, and that of the last,
    # which is better or worse by the last digit, are both given with the names exchanged.
    patients, fits = rich
    alpha, fb, beta = (ECP.names.index(name) for name in ("alpha", "fb", "beta"))
    original = search._from_best

    def exchange(x: np.ndarray) -> None:
        x[..., [alpha, beta]] = x[..., [beta, alpha]]
        x[..., fb] *= -1

    def exchanged(objective, found, minimise, starts, held=None):  # type: ignore[no-untyped-def]
        ends = original(objective, found, minimise, starts, held)
        if held is None:
            exchange(ends.x)
            ends.value[:] += worse
            for patient in found:
                exchange(patient.best.x)
        return ends

    monkeypatch.setattr(search, "_from_best", exchanged)
    again = fit(cohort_of(patients))
    for one, other in zip(again, fits, strict=True):
        assert one.estimates["alpha"] == pytest.approx(other.estimates["alpha"], rel=1e-3)


@pytest.mark.parametrize("name", ["ecp", "ecp-persistence"])
def test_all_together_and_each_by_lmfit_end_at_the_same_optimum(name: str) -> None:
    days = [1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 180, 365]
    drawn = simulate_patients(
        ECP,
        6,
        days,
        typical=STEIN,
        omega_sd={"cmax": 0.65, "tmax": 0.2, "alpha": 0.4},
        residual_sd=0.4,
        lloq=50,
        seed=4,
    )
    cohort = cohort_of(drawn)
    together, by_lmfit = fit(cohort, model=name), fit(cohort, model=name, method="lmfit")
    for one, other in zip(together, by_lmfit, strict=True):
        assert one.estimates["minus2ll"] == pytest.approx(other.estimates["minus2ll"], abs=1e-6)
        assert one.status == other.status
        np.testing.assert_allclose(one.theta, other.theta, rtol=2e-3)
        for row in one.rows:
            twin = other[row.parameter]
            assert row.status == twin.status
            if row.estimate is not None:
                assert row.estimate == pytest.approx(twin.estimate, rel=1e-2)
            if row.se is not None:
                assert row.se == pytest.approx(twin.se, rel=0.05)


def test_lmfits_own_interval_search_runs_on_a_fit() -> None:
    import lmfit

    days = [1, 3, 5, 7, 9, 11, 14, 17, 21, 25, 28]
    values = ECP.predict(STEIN, days) * np.exp(0.2 * np.random.default_rng(3).standard_normal(11))
    model = get_model("ecp-persistence")
    one = fit(Cohort.from_arrays([days], [values]), model=model).fits[0]
    found = lmfit.conf_interval(one.minimizer, one.lmfit, p_names=["ln_alpha"], sigmas=[0.95])
    (low, middle, high) = [value for _, value in found["ln_alpha"]]
    assert middle == pytest.approx(np.log(one["alpha"].estimate))
    # The profile of a nearly linear parameter is close to the interval of its standard error.
    assert low == pytest.approx(np.log(one["alpha"].ci_low), abs=0.1)
    assert high == pytest.approx(np.log(one["alpha"].ci_high), abs=0.1)


@pytest.mark.parametrize("name", ["ecp+lag", "ecp+distribution", "ecp-contraction", "ecp+comedication"])
def test_other_members_of_the_family_give_back_the_parameters_behind_exact_values(name: str) -> None:
    model = get_model(name)
    truth = {**STEIN, "foldx": 900.0, "tlag": 2.6, "t0": 1.7, "delta": 1.1, "beta": 0.02, "f_toci": 1.0, "f_ster": 1.0}
    truth = {key: truth[key] for key in model.names}
    days = [0.3, 0.6, 1, 1.5, 2, 2.4, 3, 3.6, 4.5, 5.5, 7, 8, 9, 10, 11, 14, 17, 21, 28, 56, 112, 180]
    one = fit(Cohort.from_arrays([days], [model.predict(truth, days)]), model=name).fits[0]
    for key in model.names:
        if not key.startswith("f_"):
            assert one.theta[model.names.index(key)] == pytest.approx(truth[key], rel=1e-3), key
    if "comedication" in name:
        assert one["f_toci"].reason_code == "no_comedication_times"


def test_wrong_arguments_and_names_are_answered() -> None:
    cohort = Cohort.from_arrays([[1, 7]], [[5, 9]])
    with pytest.raises(ModelError, match="no model 'exp'"):
        fit(cohort, model="exp")
    with pytest.raises(ModelError, match="missing: tmax"):
        fit(cohort, starts={"cmax": 1.0})
    with pytest.raises(ModelError, match="fb of model ecp must be a number between 0 and 1, exclusive, not 2"):
        fit(cohort, starts={**STEIN, "fb": 2})
    with pytest.raises(FitError, match="these are in h: convert the times to days"):
        fit(replace(cohort, time_unit="h"))
    with pytest.raises(SettingsError, match="starts takes a mapping"):
        fit(cohort, starts=["cmax"])  # type: ignore[list-item]
    fits = ck.fit(Cohort.from_arrays([[1], [1]], [[5], [5]], subject=["P01", "P01"]))
    with pytest.raises(FitError, match="no fit of P02; subjects are P01"):
        fits["P02"]
    with pytest.raises(FitError, match="P01 has 2 profiles; choose one of"):
        fits["P01"]
    with pytest.raises(FitError, match="no row 'lag'"):
        fits.fits[0]["lag"]


def test_an_optimum_at_a_sampling_day_is_found_from_either_side() -> None:
    # Growth up to day 8 and decline from there on: with every sample near two lines, Tmax ends at the kink.
    days = [1.0, 3.0, 5.0, 8.0, 10.0, 13.0, 15.0, 22.0, 29.0, 37.0]
    values = [440.0, 640.0, 260.0, 3130.0, 3360.0, 3410.0, 2140.0, 340.0, 160.0, 96.0]
    cohort = Cohort.from_arrays([days], [values])
    together, by_lmfit = (fit(cohort, model="ecp-persistence", method=method).fits[0] for method in ("batch", "lmfit"))
    assert together.status == by_lmfit.status != "failed"
    assert together.estimates["minus2ll"] == pytest.approx(by_lmfit.estimates["minus2ll"], abs=1e-4)


def test_intervals_by_profile_are_refused_where_there_are_two_change_points() -> None:
    cohort = Cohort.from_arrays([RICH], [ECP.predict(STEIN, RICH).tolist()])
    with pytest.raises(SettingsError, match=r"not there for ecp\+lag: .* take wald"):
        fit(cohort, model="ecp+lag", intervals="profile")
