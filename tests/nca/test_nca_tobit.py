"""The censored terminal line: its optimum, its points, and what it gives where there is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_ndtr

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.result import NCAResult
from cellkinetics.nca.tobit import fit_censored

LLOQ = 50.0
# a peak at day 10, then the decline; the last three visits find nothing
DAYS = [0.0, 7.0, 10.0, 14.0, 21.0, 28.0, 42.0, 56.0, 84.0]
VALUES = [0.0, 900.0, 4000.0, 1500.0, 420.0, 130.0, 0.0, 0.0, 0.0]


def analyse(days: list[float] = DAYS, values: list[float] = VALUES, lloq: Any = LLOQ, **options: Any) -> NCAResult:
    cohort = Cohort.from_arrays([days], [values], lloq=lloq, subject=["P01"])
    rules = NCAOptions(windows="0-84", **{"lambda_z_method": "tobit", **options})
    return noncompartmental(cohort, options=rules, parameters="core,terminal")


def value(result: NCAResult, code: str) -> float:
    return float(result.wide[code].iloc[0])


def reason(result: NCAResult, code: str) -> str:
    return str(result.table.set_index("parameter").loc[code, "reason_code"])


def draw(n: int, m: int, seed: int) -> tuple[np.ndarray, ...]:
    """Lines of many slopes and scatters on random days, each below one of several limits in part."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(10, 200, (m, n)), axis=0)
    rate, height, sigma = 10 ** rng.uniform(-3, -1.2, n), rng.uniform(5, 9, n), 10 ** rng.uniform(-2, 0.3, n)
    y = height - rate * (time - 10) + sigma * rng.normal(size=(m, n))
    limit = np.log(rng.choice([20.0, 50.0, 100.0], (m, n)))
    return time, y, limit, y < limit


def minus_log_likelihood(
    parameters: np.ndarray, time: np.ndarray, y: np.ndarray, limit: np.ndarray, censored: np.ndarray
) -> float:
    """Intercept at the mean time, slope and ln sigma; written apart from the package."""
    mu, log_sigma = parameters[0] + parameters[1] * (time - time.mean()), parameters[2]
    seen = -0.5 * ((y - mu) / np.exp(log_sigma)) ** 2 - log_sigma
    return -float(np.where(censored, log_ndtr((limit - mu) / np.exp(log_sigma)), seen).sum())


def test_no_search_finds_a_higher_likelihood() -> None:
    time, y, limit, censored = draw(120, 9, seed=5)
    fit = fit_censored(time, np.where(censored, 0.0, y), ~censored, time, limit, censored)
    compared = 0
    for i in np.flatnonzero(np.isfinite(fit.slope) & (fit.sigma > 0) & censored.any(axis=0)):
        data = (time[:, i], y[:, i], limit[:, i], censored[:, i])
        found = [fit.intercept[i] + fit.slope[i] * time[:, i].mean(), fit.slope[i], np.log(fit.sigma[i])]
        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000, "maxfev": 4000}
        for start in (found, [y[~censored[:, i], i].mean(), -0.02, 0.0]):
            best = minimize(minus_log_likelihood, start, args=data, method="Nelder-Mead", options=options)
            assert minus_log_likelihood(np.array(found), *data) <= best.fun + 1e-9
        compared += 1
    assert compared > 30


def test_its_standard_error_is_that_of_the_observed_information() -> None:
    time, y, limit, censored = draw(40, 9, seed=8)
    fit = fit_censored(time, np.where(censored, 0.0, y), ~censored, time, limit, censored)
    quantified = (~censored).sum(axis=0)
    compared = 0
    for i in np.flatnonzero((quantified > 2) & censored.any(axis=0)):
        data = (time[:, i], y[:, i], limit[:, i], censored[:, i])
        centre = np.array([fit.intercept[i] + fit.slope[i] * time[:, i].mean(), fit.slope[i], np.log(fit.sigma[i])])
        step = 1e-3 * np.array([fit.sigma[i], fit.slope_se[i], 1.0])
        hessian = np.empty((3, 3))
        for a in range(3):
            for b in range(3):
                corners = (
                    sign_a * sign_b * minus_log_likelihood(centre + sign_a * e_a + sign_b * e_b, *data)
                    for sign_a in (1, -1)
                    for sign_b in (1, -1)
                    for e_a, e_b in [(step * np.eye(3)[a], step * np.eye(3)[b])]
                )
                hessian[a, b] = sum(corners) / (4 * step[a] * step[b])
        enlarged = np.sqrt(np.linalg.inv(hessian)[1, 1] * quantified[i] / (quantified[i] - 2))
        assert fit.slope_se[i] == pytest.approx(enlarged, rel=1e-3)
        compared += 1
    assert compared > 10


def test_without_a_censored_point_it_is_least_squares() -> None:
    time, y, limit, _ = draw(40, 6, seed=2)
    none = np.zeros(time.shape, bool)
    fit = fit_censored(time, y, ~none, time, limit, none)
    for i in range(40):
        (slope, intercept), covariance = np.polyfit(time[:, i], y[:, i], 1, cov=True)
        assert fit.slope[i] == pytest.approx(slope, rel=1e-9)
        assert fit.intercept[i] == pytest.approx(intercept, rel=1e-9)
        rss = np.sum((y[:, i] - intercept - slope * time[:, i]) ** 2)
        assert fit.sigma[i] == pytest.approx(np.sqrt(rss / 6), rel=1e-9)
        assert fit.slope_se[i] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-9)


def test_a_censored_point_far_below_its_limit_changes_nothing() -> None:
    time, y = np.array([[0.0], [10.0], [20.0], [30.0]]), np.array([[9.0], [7.2], [4.9], [3.1]])
    seen = np.full((4, 1), True)
    late, limit = np.array([[300.0]]), np.array([[3.0]])
    alone = fit_censored(time, y, seen, late, limit, np.array([[False]]))
    both = fit_censored(time, y, seen, late, limit, np.array([[True]]))
    assert both.slope[0] == pytest.approx(alone.slope[0], rel=1e-12)


def test_with_both_methods_a_profile_without_blq_has_the_same_numbers() -> None:
    values = [0.0, 900.0, 4000.0, 1500.0, 420.0, 330.0, 240.0, 95.0, 60.0]
    best, tobit = (analyse(values=values, lambda_z_method=method) for method in ("best-fit", "tobit"))
    for column in best.columns:
        assert value(tobit, column.column) == pytest.approx(value(best, column.column), rel=1e-12, nan_ok=True)
    assert value(tobit, "LAMZNBLQ") == 0


def test_the_points_are_those_of_the_best_fit_and_what_is_blq_after_the_first() -> None:
    result = analyse()
    assert [value(result, code) for code in ("LAMZNPT", "LAMZLL", "LAMZUL", "LAMZNBLQ")] == [3, 14, 28, 3]
    points = result.points
    censored = points[points["role"] == "lambda_z_censored"]
    assert censored["time"].tolist() == [42, 56, 84]
    assert censored["row"].tolist() == [8, 9, 10]
    assert (censored["value"] == LLOQ).all()
    assert censored["used"].all()
    assert set(censored["reason_code"]) == {"below_quantification"}


def test_a_blq_sample_between_the_points_takes_part_and_one_before_them_does_not() -> None:
    days = [0.0, 7.0, 10.0, 12.0, 14.0, 21.0, 24.0, 28.0, 42.0]
    values = [0.0, 900.0, 4000.0, 0.0, 1500.0, 420.0, 0.0, 130.0, 60.0]
    points = analyse(days, values).points
    assert points.loc[points["role"] == "lambda_z_censored", "time"].tolist() == [24]


def test_a_blq_tail_makes_a_flat_line_steeper() -> None:
    values = [0.0, 900.0, 4000.0, 110.0, 70.0, 90.0, 0.0, 0.0, 0.0]
    best, tobit = (value(analyse(values=values, lambda_z_method=m), "LAMZHL") for m in ("best-fit", "tobit"))
    assert tobit < 0.8 * best


@pytest.mark.parametrize(
    ("values", "code", "expected"),
    [
        ([0.0] * 9, "LAMZ", "no_quantifiable"),
        ([0.0, 900.0, 4000.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "LAMZ", "too_few_points"),
        ([0.0, 900.0, 4000.0, 300.0, 0.0, 0.0, 0.0, 0.0, 0.0], "LAMZ", "too_few_points"),
        # through 800 and 100 the line is far below 50 when the first BLQ sample comes
        ([0.0, 900.0, 4000.0, 800.0, 100.0, 0.0, 0.0, 0.0, 0.0], "LAMZ", "likelihood_unbounded"),
        ([0.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 0.0], "LAMZ", "too_few_points"),
        ([0.0, 900.0, 4000.0, 100.0, 110.0, 200.0, 300.0, 400.0, 500.0], "LAMZ", "slope_not_negative"),
        ([0.0, 900.0, 4000.0, 681.89, 681.89, 681.89, 681.89, 681.89, 681.89], "LAMZ", "slope_not_negative"),
        # half every week without scatter: sigma goes to 0
        ([0.0, 900.0, 4000.0, 800.0, 400.0, 200.0, 50.0, 0.0, 0.0], "LAMZSE", "no_scatter"),
    ],
)
def test_where_there_is_no_line_the_reason_is_told(values: list[float], code: str, expected: str) -> None:
    assert reason(analyse(values=values), code) == expected


def test_points_without_scatter_keep_their_line() -> None:
    result = analyse(values=[0.0, 900.0, 4000.0, 800.0, 400.0, 200.0, 50.0, 0.0, 0.0])
    assert value(result, "LAMZHL") == pytest.approx(7.0, rel=1e-12)
    assert value(result, "LAMZNBLQ") == 2


def test_two_quantified_points_and_a_blq_sample_that_contradicts_their_line_have_a_marked_one() -> None:
    # the line through 300 and 250 would be at 178 on day 42, where nothing is found
    result = analyse(values=[0.0, 900.0, 4000.0, 0.0, 300.0, 250.0, 0.0, 0.0, 0.0])
    assert (
        reason(
            analyse(values=[0.0, 900.0, 4000.0, 0.0, 300.0, 250.0, 0.0, 0.0, 0.0], lambda_z_method="best-fit"), "LAMZ"
        )
        == "too_few_points"
    )
    assert 0 < value(result, "LAMZHL") < 20
    assert "two_quantifiable_points" in reason(result, "LAMZHL")
    assert [reason(result, code) for code in ("R2ADJ", "LAMZSE")] == ["no_scatter", "no_scatter"]


def test_areas_beyond_tlast_use_its_line() -> None:
    result = analyse()
    lambda_z = value(result, "LAMZ")
    tail = value(result, "AUCIFO") - value(result, "AUCLST")
    assert tail == pytest.approx(130.0 / lambda_z, rel=1e-12)
    predicted = np.exp(value(result, "LAMZICPT") - lambda_z * 28.0)
    assert value(result, "AUCIFP") - value(result, "AUCLST") == pytest.approx(predicted / lambda_z, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "quantified", "censored"),
    [
        ({"lambda_z_not_after": 56}, 3, [42, 56]),
        ({"slopes": [{"subject": "P01", "first": 10, "last": 42}]}, 4, [42]),
        ({"slopes": [{"subject": "P01", "exclude": [42], "reason": "late"}]}, 3, [56, 84]),
        ({"blq": "winnonlin"}, 3, [42, 56, 84]),
        ({"blq": "half-lloq"}, 3, [42, 56, 84]),
    ],
)
def test_restrictions_hold_for_censored_points_too(
    options: dict[str, Any], quantified: int, censored: list[float]
) -> None:
    result = analyse(**options)
    points = result.points
    assert value(result, "LAMZNPT") == quantified
    assert points.loc[points["role"] == "lambda_z_censored", "time"].tolist() == censored


def test_a_blq_sample_without_an_lloq_takes_no_part() -> None:
    result = analyse(lloq=[[np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 50.0, 50.0]])
    points = result.points
    assert points.loc[points["role"] == "lambda_z_censored", "time"].tolist() == [56, 84]


def test_weights_are_refused() -> None:
    with pytest.raises(SettingsError, match="tobit takes no weights"):
        NCAOptions(lambda_z_method="tobit", lambda_z_weights="1/y")


def test_digits_do_not_depend_on_the_other_profiles() -> None:
    time, y, limit, censored = draw(12, 10, seed=4)
    fit = fit_censored(time, np.where(censored, 0.0, y), ~censored, time, limit, censored)
    for i in range(12):
        part = tuple(array[:, [i]] for array in (time, np.where(censored, 0.0, y), ~censored, time, limit, censored))
        np.testing.assert_array_equal(fit_censored(*part).slope, fit.slope[[i]])


profiles = st.lists(st.tuples(st.floats(0.2, 30.0), st.floats(1.0, 1e5)), min_size=4, max_size=10)


@settings(max_examples=40, deadline=None)
@given(profiles, st.floats(1e-3, 1e3), st.floats(0.02, 50.0))
def test_units_of_value_and_time_do_not_matter(
    rows: list[tuple[float, float]], value_factor: float, time_factor: float
) -> None:
    days = np.cumsum([gap for gap, _ in rows])
    levels = np.array([level for _, level in rows])
    levels = np.where(levels < LLOQ, 0.0, levels)
    cohort = Cohort.from_arrays([days.tolist()], [levels.tolist()], lloq=LLOQ)
    scaled = Cohort.from_arrays(
        [(days * time_factor).tolist()], [(levels * value_factor).tolist()], lloq=LLOQ * value_factor
    )
    rules = NCAOptions(lambda_z_method="tobit")
    wide = [
        noncompartmental(c, options=rules, parameters="terminal,LAMZ,LAMZNPT").wide.iloc[0] for c in (cohort, scaled)
    ]
    assume(np.isfinite(wide[0]["LAMZ"]))
    assert wide[1]["LAMZNPT"] == wide[0]["LAMZNPT"]
    assert wide[1]["LAMZNBLQ"] == wide[0]["LAMZNBLQ"]
    assert wide[1]["LAMZ"] * time_factor == pytest.approx(wide[0]["LAMZ"], rel=1e-6)
    assert wide[1]["LAMZSE"] * time_factor == pytest.approx(wide[0]["LAMZSE"], rel=1e-5, nan_ok=True)


def test_it_repairs_the_bias_of_half_lives_from_censored_tails() -> None:
    """Half every 15 days, a scatter of 0.56, a peak 20-fold above the LLOQ: 30 % of the tail is below it."""
    days = np.array([10, 14, 17, 21, 28, 42, 56, 84, 112, 180], float)
    rng = np.random.default_rng(1)
    height = np.log(20 * LLOQ) + rng.normal(size=(2000, 1))
    level = np.exp(height - np.log(2) / 15 * (days - 10) + 0.56 * rng.normal(size=(2000, len(days))))
    cohort = Cohort.from_arrays([days.tolist()] * 2000, level.tolist(), lloq=LLOQ)
    ratio, near = {}, {}
    for method in ("best-fit", "tobit"):
        found = (
            noncompartmental(cohort, options=NCAOptions(lambda_z_method=method), parameters="LAMZHL")
            .wide["LAMZHL"]
            .to_numpy()
        )
        ratio[method] = np.exp(np.nanmean(np.log(found / 15)))
        near[method] = np.sum(np.abs(np.log2(found / 15)) < 1) / 2000
    # 1.22 and 1.02 of the truth; 77 and 88 % of the profiles within two-fold of it
    assert ratio["best-fit"] > 1.15
    assert 0.95 < ratio["tobit"] < 1.07
    assert near["tobit"] > near["best-fit"] + 0.08


def test_the_command_takes_the_method_and_records_it(cli: Callable[..., Any]) -> None:
    rows = "\n".join(f"P01,{day},{level},50" for day, level in zip(DAYS, VALUES, strict=True))
    Path("trial.csv").write_text(f"subject,time,value,lloq\n{rows}\n")
    done = cli("nca", "trial.csv", "--lambda-z-method", "tobit", "--parameters", "core,terminal", "--out", "results")
    assert done.code == 0, done.err
    record = json.loads((done.folder / "manifest.json").read_text())
    assert record["options"]["nca_options"]["lambda_z_method"] == "tobit"
    assert ",LAMZNBLQ,3.0," in (done.folder / "nca.csv").read_text()
    assert "lambda_z_censored" in (done.folder / "nca_points.csv").read_text()


def test_the_second_phase_takes_the_blq_samples_after_it_and_the_break_stays() -> None:
    days = [0.0, 7.0, 10.0, 14.0, 17.0, 21.0, 28.0, 56.0, 84.0, 112.0, 180.0, 270.0, 365.0]
    values = [0.0, 900.0, 8000.0, 3600.0, 2000.0, 900.0, 240.0, 140.0, 170.0, 110.0, 120.0, 0.0, 0.0]
    cohort = Cohort.from_arrays([days], [values], lloq=LLOQ)
    best, tobit = (
        noncompartmental(cohort, options=NCAOptions(lambda_z_method=method), parameters="cellular").wide.iloc[0]
        for method in ("best-fit", "tobit")
    )
    assert tobit["BREAKT"] == best["BREAKT"]
    assert tobit["ALPHAHL"] == pytest.approx(best["ALPHAHL"], rel=1e-12)
    late = np.array(days)[:, None]
    seen = np.isin(late, [56, 84, 112, 180])
    level = np.log(np.maximum(np.array(values)[:, None], 1.0))
    lost = late >= 270
    slope = fit_censored(late, level, seen, late, np.full(late.shape, np.log(LLOQ)), lost).slope[0]
    assert tobit["BETA"] == pytest.approx(-slope, rel=1e-12)
    assert tobit["BETAHL"] < best["BETAHL"]


def test_pp_names_the_method_and_the_codelist_explains_it(tmp_path: Path) -> None:
    files = ck.write_cdisc(analyse(), tmp_path, study="S1")
    pp = pd.read_csv(files["pp.csv"], keep_default_na=False).set_index("PPTESTCD")["PPANMETH"]
    codelist = pd.read_csv(files["codelist.csv"]).set_index("codelist")
    assert pp["LAMZHL"] == pp["LAMZSE"] == "CENSORED LOG-LINEAR REGRESSION"
    assert pp["CMAX"] == ""
    assert "CENSORED LOG-LINEAR REGRESSION" in set(codelist.loc[["PPANMETH"], "code"])
    files = ck.write_cdisc(analyse(lambda_z_method="best-fit"), tmp_path / "other", study="S1")
    assert pd.read_csv(files["pp.csv"], keep_default_na=False).set_index("PPTESTCD").loc["LAMZHL", "PPANMETH"] == ""


samples = st.lists(
    st.tuples(st.floats(0.0, 1e4), st.floats(1e-300, 1e300), st.booleans()), max_size=9, unique_by=lambda row: row[0]
)


@settings(max_examples=80, deadline=None)
@given(samples, st.sampled_from(["cells", "bolus"]), st.floats(1e-6, 1e6))
def test_whatever_comes_in_a_value_is_finite_or_has_a_reason(
    rows: list[tuple[float, float, bool]], route: str, lloq: float
) -> None:
    days, levels, lost = ([row[k] for row in rows] for k in range(3))
    cohort = Cohort.from_arrays([days], [levels], lloq=lloq, censored=[[int(flag) for flag in lost]])
    options = NCAOptions(lambda_z_method="tobit", route=route)
    table = noncompartmental(cohort, options=options, parameters="all").table
    empty = table["value"].isna()
    assert np.isfinite(table.loc[~empty, "value"]).all()
    assert ((table["status"] == "not_calculated") == empty).all()
    assert ((table["reason_code"] == "") == (table["status"] == "ok")).all()
    line = table[table["parameter"].isin(["LAMZ", "LAMZSE", "LAMZHL"])]["value"].dropna()
    assert (line > 0).all()
