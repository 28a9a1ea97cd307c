"""Intervals by profile likelihood: the rise at their ends, both sides, and what has no end."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2, t

import cellkinetics as ck
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.precision import rise_of_profile, rise_of_sigma
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import library

RICH = [1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 180, 365]


def straight(theta, time):  # type: ignore[no-untyped-def]
    return np.log(1.0) + theta[0] + theta[1] * time


LINE = Model(
    name="line",
    title="ln C is a straight line",
    parameters=(
        Parameter("a", "identity", "none", -50.0, 50.0, "ln C at infusion"),
        Parameter("b", "identity", "rate", -20.0, 20.0, "slope of ln C"),
    ),
    log_curve=straight,
)


@pytest.fixture(scope="module")
def fits() -> IndividualFits:
    drawn = library["stein2019"].simulate(6, RICH, lloq=50, seed=3)
    return fit(ck.read(drawn.samples), intervals="profile")


@pytest.mark.parametrize(("n", "k"), [(8, 2), (15, 6), (40, 6)])
def test_the_rise_of_a_straight_lines_profile_is_that_of_students_interval(n: int, k: int) -> None:
    # -2LL = n ln RSS + const, and RSS rises by v^2 s^2, s^2 = RSS/(n - k), at v standard errors.
    v = t.ppf(0.975, n - k)
    assert rise_of_profile(n, k) == pytest.approx(n * np.log((n - k + v**2) / (n - k)))


@pytest.mark.parametrize(("n", "k"), [(8, 2), (15, 6), (40, 6)])
def test_the_rise_of_sigma_holds_95_percent_of_the_chi_squared_it_comes_from(n: int, k: int) -> None:
    q = rise_of_sigma(n, k)
    r = np.linspace(1e-6, 40.0, 2_000_001)  # RSS / (n sigma^2)
    inside = r[n * (r - 1 - np.log(r)) <= q]
    assert chi2.cdf(n * inside[-1], n - k) - chi2.cdf(n * inside[0], n - k) == pytest.approx(0.95, abs=1e-4)


def test_without_degrees_of_freedom_nothing_rises_enough() -> None:
    assert rise_of_profile(6, 6) == rise_of_sigma(6, 6) == np.inf
    assert rise_of_profile(6, 6, sigma_known=True) == pytest.approx(chi2.ppf(0.95, 1))


def test_profile_intervals_of_a_straight_line_are_the_textbooks() -> None:
    days = np.arange(1.0, 10.0)
    y = 5.0 - 0.3 * days + np.array([0.2, -0.1, 0.3, -0.4, 0.1, 0.0, -0.2, 0.3, -0.2])
    got = fit(
        ck.Cohort.from_arrays([days], [np.exp(y)], subject=["P"]),
        model=LINE,
        starts={"a": 4.0, "b": -0.1},
        intervals="profile",
    )["P"]
    design = np.column_stack([np.ones(9), days])
    (a, b), rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    se = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * rss[0] / 7)
    for name, estimate, error in (("a", a, se[0]), ("b", b, se[1])):
        ends = estimate + np.array([-1, 1]) * t.ppf(0.975, 7) * error
        assert [got[name].profile_low, got[name].profile_high] == pytest.approx(ends, rel=5e-3)
    # sigma: n (r - 1 - ln r) at its ends is the rise, r = RSS/(n sigma^2).
    for end in (got["sigma"].profile_low, got["sigma"].profile_high):
        assert end is not None
        r = rss[0] / (9 * end**2)
        assert 9 * (r - 1 - np.log(r)) == pytest.approx(rise_of_sigma(9, 2), rel=0.03)


def test_minus2ll_rises_by_the_rise_where_a_profile_ends(fits: IndividualFits) -> None:
    # Nelder and Mead know neither slopes nor intervals of Tmax: the other parameters are searched by them anew.
    one = next(f for f in fits if f["alpha"].profile_low and f["alpha"].profile_high and f["tmax"].status == "ok")
    samples = fits.cohort.profile([f.subject for f in fits].index(one.subject))
    time, value, censored = (np.asarray(a) for a in (samples.time, samples.value, samples.censored))
    assert not censored.any() or (censored >= 0).all()
    y = np.log(np.where(censored == 1, 50.0, value))

    from scipy.stats import norm

    def minus2ll(x: np.ndarray) -> float:
        values = {h.name: h.natural(v) for h, v in zip(ECP.parameters, x, strict=False)}
        allowed = all(low <= values[name] <= high for name, (low, high) in one.bounds.items())
        if (
            not (allowed and 0.05 <= np.exp(x[6]) <= 3) or values["alpha"] < values["beta"]
        ):  # contraction is the faster phase
            return 1e6
        z = (y - np.log(ECP.predict(values, time))) / np.exp(x[6])
        return -2 * float(np.where(censored == 1, norm.logcdf(z), norm.logpdf(z) - x[6]).sum())

    best = np.append([h.transformed(v) for h, v in zip(ECP.parameters, one.theta, strict=True)], np.log(one.sigma))
    lowest = one["minus2ll"].estimate
    assert minus2ll(best) == pytest.approx(lowest, abs=1e-6)
    rise = rise_of_profile(int((censored == 0).sum()), 6)
    for name, side in itertools.product(["alpha"], ["profile_low", "profile_high"]):
        k = ECP.names.index(name)
        end = ECP[name].transformed(getattr(one[name], side))
        others = [j for j in range(7) if j != k]

        def at(rest: np.ndarray, k: int = k, end: float = end, others: list[int] = others) -> float:
            x = np.empty(7)
            x[k], x[others] = end, rest
            return minus2ll(x)

        found = minimize(at, best[others], method="Nelder-Mead", options={"maxfev": 2500, "xatol": 1e-4, "fatol": 1e-4})
        assert found.fun - lowest == pytest.approx(rise, rel=0.06)


def test_a_profile_is_least_at_the_estimate_and_reaches_the_rise(fits: IndividualFits) -> None:
    for one in fits:
        for name, profile in one.profiles.items():
            assert (np.diff(profile.value) >= 0).all()
            assert profile.delta.min() < 0.05
            estimate = one[name].estimate
            if estimate is not None and profile.low is not None and profile.high is not None:
                assert profile.low <= estimate * (1 + 1e-9)
                assert estimate <= profile.high * (1 + 1e-9)
                assert profile.delta[0] >= 0.9 * profile.rise
                assert profile.delta[-1] >= 0.9 * profile.rise


def test_wald_intervals_are_the_same_with_profiles_and_without(fits: IndividualFits) -> None:
    plain = fit(fits.cohort).table
    both = fits.table
    agree = (plain["status"] == "ok") & (both["status"] == "ok")
    np.testing.assert_allclose(plain.loc[agree, "ci_low"], both.loc[agree, "ci_low"], rtol=1e-6)
    assert plain["profile_low"].isna().all()
    assert not len(fit(fits.cohort.take([0])).profiles)


def test_half_lives_have_the_ends_of_their_rates(fits: IndividualFits) -> None:
    rows = [(f["alpha"], f["half_life_alpha"]) for f in fits if f["half_life_alpha"].profile_high is not None]
    assert rows
    for rate, half_life in rows:
        assert half_life.profile_high == pytest.approx(np.log(2) / rate.profile_low)
        assert (half_life.profile_low is None) == (rate.profile_high is None)


def test_a_second_phase_that_the_samples_do_not_show_is_flat_by_profile() -> None:
    # One phase to the last sample: any fb with beta = alpha draws the same curve, and so does fb = 0 with any beta.
    days = [1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 35, 42]
    truth = {**library["stein2019"].typical, "fb": 1e-7}
    scatter = np.exp(0.3 * np.random.default_rng(1).standard_normal(len(days)))
    value = ECP.predict(truth, days) * scatter
    got = fit(ck.Cohort.from_arrays([days], [value], subject=["P"]), intervals="profile")["P"]
    assert got.profile("fb").low is None
    assert got.profile("fb").high is None
    assert got.profile("beta").low is None
    assert got["fb"].status == "not_identifiable"
    assert "flat_profile" in got["fb"].reason_code
    assert "no end on either side" in got["fb"].reason
    assert got["sigma"].profile_low is not None


def test_an_open_side_is_said_in_the_row(fits: IndividualFits) -> None:
    rows = [row for f in fits for row in f.rows if row.status == "ok" and "profile_no" in row.reason_code]
    assert rows
    for row in rows:
        assert (row.profile_low is None) != (row.profile_high is None)
        assert ("profile_no_lower_end" in row.reason_code) == (row.profile_low is None)


def test_there_is_no_profile_where_none_was_asked_for() -> None:
    days = [1, 3, 5, 7, 9, 11, 14, 21, 28]
    cohort = ck.Cohort.from_arrays([days], [ECP.predict(library["stein2019"].typical, days)], subject=["P"])
    with pytest.raises(FitError, match="intervals='profile'"):
        fit(cohort)["P"].profile("tmax")
    with pytest.raises(SettingsError, match="wald or profile"):
        fit(cohort, intervals="bayes")  # type: ignore[arg-type]


def test_an_end_that_was_not_found_closely_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    # beta is where the profile bends most; with 18 trial values all ends of these patients are found.
    cohort = ck.read(library["stein2019"].simulate(6, RICH, lloq=50, seed=3).samples)
    monkeypatch.setattr("cellkinetics.fitting.profile._ROUNDS", 2)
    hasty = fit(cohort, intervals="profile")
    monkeypatch.undo()
    found = 0
    for one, patient in zip(hasty, fit(cohort, intervals="profile"), strict=True):
        for row in one.rows:
            sides = [side for side in ("lower", "upper") if f"profile_{side}_end_rough" in row.reason_code]
            found += len(sides)
            for side in sides:
                assert f"the {side} end of the profile is rough" in row.reason
        assert not any("end_rough" in row.reason_code for row in patient.rows)
        rate, half_life = one["alpha"], one["half_life_alpha"]
        if rate.status == half_life.status == "ok":
            turned = "profile_lower_end_rough" in half_life.reason_code
            assert turned == ("profile_upper_end_rough" in rate.reason_code)
    assert found > 5
