"""Virtual trials: who is drawn, when samples are taken, who leaves, and that seeds hold."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cellkinetics as ck
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.covariates import Term
from cellkinetics.fitting.pooled.known import KnownPopulation, know
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.structure import Coefficient, Form, Structure
from cellkinetics.fitting.virtual.blocks import BLOCK, significant
from cellkinetics.fitting.virtual.design import TrialDesign
from cellkinetics.fitting.virtual.leaving import Leaving, first_to_come, leaving
from cellkinetics.fitting.virtual.trial import Trials, simulate_trial
from cellkinetics.models.ecp import ECP
from cellkinetics.models.residual import LOG_CONSTANT, get_residual

MU = np.log([24e3, 9.3, 3900.0, 0.16, 0.0079 / (1 - 0.0079), 0.0032])


def population(
    random: tuple[int, ...] = (0,), sd: float = 0.5, sigma: float = 0.3, residual: str = "log-constant", **parts: object
) -> PopulationModel:
    """An expansion model with random effects on some parameters; other parts as `Structure.pack` takes them."""
    values = {name: parts.pop(name) for name in ("beta", "gamma", "shift", "share") if name in parts}
    terms: tuple = parts.pop("terms", ())  # type: ignore[assignment]
    kind = get_residual(residual)
    structure = Structure(ECP.names, random, kind.names, **parts)  # type: ignore[arg-type]
    x = structure.pack(MU, np.full(len(random), sd), [sigma] * len(kind.names), **values)  # type: ignore[arg-type]
    return PopulationModel(Form(ECP, kind, structure), x, terms)


def test_patients_are_the_same_whatever_their_number_and_the_limits() -> None:
    few = simulate_trial(population(), 5, [1, 7, 14], jitter=0.2, seed=3)
    many = simulate_trial(population(), 600, [1, 7, 14], jitter=0.2, seed=3, lloq=50, uloq=1e5)
    parameters = list(ECP.names)
    np.testing.assert_array_equal(few.patients[parameters], many.patients[parameters][:5])
    quantified = (many.samples["censored"][:15] == 0).to_numpy()
    assert 0 < quantified.sum() < 15
    np.testing.assert_array_equal(few.samples["value"][quantified], many.samples["value"][:15][quantified])
    np.testing.assert_array_equal(few.samples["time"], many.samples["time"][:15])


def test_another_seed_and_another_trial_give_other_patients() -> None:
    first = simulate_trial(population(), 4, [7], replicates=2, seed=3).patients["cmax"].tolist()
    second = simulate_trial(population(), 4, [7], seed=4).patients["cmax"].tolist()
    assert len({*first, *second}) == 12


def test_random_effects_and_residual_have_their_spread() -> None:
    trial = simulate_trial(population((0, 2), sd=0.8, sigma=0.3), 4000, [1, 28], seed=2)
    log = np.log(trial.patients[["cmax", "foldx", "tmax"]].to_numpy())
    np.testing.assert_allclose(log.mean(axis=0), MU[[0, 2, 1]], atol=4 * 0.8 / np.sqrt(4000))
    np.testing.assert_allclose(log.std(axis=0), [0.8, 0.8, 0.0], atol=0.04)
    theta = trial.patients.iloc[0]
    exact = np.log(ECP.predict({name: theta[name] for name in ECP.names}, [28.0])[0])
    late = np.log(trial.samples["value"].to_numpy().reshape(-1, 2)[:, 1])
    # On day 28 only cmax differs between patients, so that ln C less ln cmax is a constant and the residual.
    assert np.std(late - log[:, 0]) == pytest.approx(0.3, rel=0.05)
    assert late[0] == pytest.approx(exact, abs=5 * 0.3)


def test_correlated_random_effects_keep_their_correlation() -> None:
    structure = Structure(ECP.names, (0, 2), LOG_CONSTANT.names, blocks=((0, 1),))
    covariance = np.array([[0.25, 0.2], [0.2, 0.64]])
    drawn = PopulationModel(Form(ECP, LOG_CONSTANT, structure), structure.pack(MU, covariance, [0.3]))
    log = np.log(simulate_trial(drawn, 5000, [7], seed=1).patients[["cmax", "foldx"]])
    np.testing.assert_allclose(np.cov(log.T), covariance, atol=0.04)


def test_occasions_share_a_patient_and_differ_by_gamma() -> None:
    trial = simulate_trial(population((0,), 0.5, occasion=(0,), occasions=2, gamma=[0.2]), 2000, [7], occasions=2)
    log = np.log(trial.patients["cmax"].to_numpy().reshape(-1, 2))
    assert np.std(log[:, 0] - log[:, 1]) == pytest.approx(0.2 * np.sqrt(2), rel=0.05)
    assert np.std(log.mean(axis=1)) == pytest.approx(np.sqrt(0.25 + 0.02), rel=0.05)
    assert trial.samples["occasion"].tolist()[:4] == [1, 2, 1, 2]
    assert trial.cohort.occasion[:4] == ("1", "2", "1", "2")


def test_classes_of_a_mixture_have_their_shares_and_shift() -> None:
    shift = np.array([[0.0], [-2.0]])
    mixed = population((0,), 0.3, shifted=(0,), classes=2, shift=shift, share=np.array([0.75, 0.25]))
    patients = simulate_trial(mixed, 4000, [7], seed=5).patients
    assert (patients["class"] == 2).mean() == pytest.approx(0.25, abs=0.02)
    means = np.log(patients["cmax"]).groupby(patients["class"]).mean()
    assert means[2] - means[1] == pytest.approx(-2.0, abs=0.04)


def test_covariates_come_in_whole_rows_and_move_the_parameters() -> None:
    terms = (Term("cmax", "group", "categorical", "R", ("NR",)), Term("tmax", "weight", "power", 70.0))
    coefficients = (Coefficient("beta_cmax_group_NR", 0), Coefficient("beta_tmax_weight", 1))
    known = population((), terms=terms, coefficients=coefficients, beta=[-1.0, 0.5])
    table = pd.DataFrame({"subject": ["a", "b"], "group": ["R", "NR"], "weight": [70.0, 140.0]})
    trial = simulate_trial(known, 200, [7, 28], patients=table, seed=1)
    rows = trial.patients[["group", "weight", "cmax", "tmax"]].drop_duplicates().sort_values("weight")
    assert rows["group"].tolist() == ["R", "NR"]
    np.testing.assert_allclose(rows["cmax"], [24e3, 24e3 * np.exp(-1.0)], rtol=1e-5)
    np.testing.assert_allclose(rows["tmax"], [9.3, 9.3 * np.sqrt(2.0)], rtol=1e-5)
    assert 60 < (trial.patients["group"] == "NR").sum() < 140
    assert set(trial.cohort.group) == {"R", "NR"}
    with pytest.raises(SettingsError, match="depends on group, weight"):
        simulate_trial(known, 5, [7])


def test_schedules_and_doses_come_in_turn_and_each_with_each() -> None:
    trial = simulate_trial(population(), 8, {"a": [7, 14], "b": [28]}, doses=[150, 300])
    pairs = trial.patients[["schedule", "dose"]].value_counts()
    assert sorted(pairs.index.tolist()) == [("a", 150.0), ("a", 300.0), ("b", 150.0), ("b", 300.0)]
    assert set(pairs) == {2}
    assert trial.samples.groupby("schedule")["nominal_time"].unique().map(list).to_dict() == {"a": [7, 14], "b": [28]}


def test_comedication_speeds_growth_up_for_those_who_get_it() -> None:
    table = pd.DataFrame({"toci_from": [np.nan, 0.0], "toci_to": [np.nan, 99.0]})
    known = know("stein2019-comedication").population
    still = PopulationModel(known.form, np.where(np.arange(len(known.x)) < 8, known.x, -40.0))
    trial = simulate_trial(still, 40, [3, 5], patients=table, seed=1)
    value = trial.samples["value"].to_numpy().reshape(-1, 2)
    rate = np.log(value[:, 1] / value[:, 0]) / 2
    treated = trial.patients["toci_from"].notna().to_numpy()
    assert 0 < treated.sum() < 40
    np.testing.assert_allclose(rate[treated], 1.2 * rate[~treated][0], rtol=1e-4)


@pytest.mark.parametrize(
    ("rule", "day", "remaining"),
    [
        ("exponential:0.01", 30.0, np.exp(-0.3)),
        # (30/60)^2 = 0.25
        ("weibull:60,2", 30.0, np.exp(-0.25)),
    ],
)
def test_patients_leave_by_their_hazard(rule: str, day: float, remaining: float) -> None:
    trial = simulate_trial(population(), 4000, [day], dropout=rule, seed=1)
    assert len(trial.samples) / 4000 == pytest.approx(remaining, abs=0.03)
    gone = trial.patients["ended"] == "dropout"
    assert (trial.patients["last_day"].notna() == gone).all()


def test_the_first_of_two_rules_ends_the_follow_up() -> None:
    day, why = first_to_come([("dropout", np.array([5.0, 9.0, np.inf])), ("relapse", np.array([7.0, 3.0, np.inf]))], 3)
    assert day.tolist() == [5.0, 3.0, np.inf]
    assert why.tolist() == ["dropout", "relapse", ""]


def test_relapse_below_a_level_ends_the_samples_where_the_curve_falls_below_it() -> None:
    trial = simulate_trial(population(sigma=1e-9), 50, range(10, 400, 10), relapse="below:100", seed=1)
    last = trial.samples.groupby("subject")["value"].last()
    assert (last >= 100).all()
    theta = trial.patients.iloc[0]
    assert theta["last_day"] == pytest.approx(ECP.below({n: theta[n] for n in ECP.names}, 100.0), rel=1e-4)


def test_a_table_of_who_remains_is_read(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "remaining.csv"  # type: ignore[operator]
    path.write_text("day,remaining\n0,1\n28,0.9\n84,0.45\n")
    rule = leaving(path)
    assert rule == Leaving("table", (28.0, 84.0), (0.9, 0.45))
    # Between the rows the hazard is constant: halfway in days, the root of both shares.
    assert rule.days(np.array([np.sqrt(0.9 * 0.45)])).tolist() == pytest.approx([56.0])


@given(
    number=st.floats(1e-12, 1e12, allow_nan=False),
    digits=st.integers(3, 8),
)
@settings(max_examples=200, deadline=None)
def test_rounding_gives_the_double_of_the_decimal(number: float, digits: int) -> None:
    rounded = float(significant(np.array([number]), digits)[0])
    assert rounded == pytest.approx(number, rel=0.51 * 10.0 ** (1 - digits))
    assert rounded == float(f"{rounded:.{digits}g}")


def test_missed_samples_are_as_many_as_asked_for() -> None:
    trial = simulate_trial(population(), 500, range(1, 21), missed=0.3, seed=1)
    assert len(trial.samples) / 10_000 == pytest.approx(0.7, abs=0.02)


def test_each_trial_has_its_own_parameters_under_uncertainty() -> None:
    base = population((0,), 0.5)
    covariance = np.diag([0.04, 0.01])
    known = KnownPopulation(base, "a fit", labels=("cmax", "sigma"), covariance=covariance)
    trials = Trials(known, TrialDesign({"d": (7.0,)}), 3, replicates=400, uncertainty=True, seed=1)
    table = trials.parameters().pivot_table(index="trial", columns="parameter", values="value")
    # SDs of ln cmax and ln sigma are the roots of the variances; what is not estimated stays.
    assert np.log(table["cmax"]).std() == pytest.approx(0.2, rel=0.1)
    assert np.log(table["sigma"]).std() == pytest.approx(0.1, rel=0.1)
    assert table["omega_cmax"].std() == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(SettingsError, match="uncertainty of the population parameters"):
        simulate_trial(base, 3, [7], uncertainty=True)


def test_uncertainty_of_parameters_that_the_data_do_not_determine_is_refused_by_name() -> None:
    # A flat direction has a variance of 50: beta of 0.0032 per day would be drawn up to hundreds.
    covariance = np.diag([0.04, 50.0, 0.01, 4.5])
    known = KnownPopulation(
        population((0,), 0.5), "a fit", labels=("cmax", "beta", "sigma", "omega_cmax"), covariance=covariance
    )
    with pytest.raises(FitError, match=r"do not determine beta, omega_cmax: .*fix a value \(--fix\)"):
        Trials(known, TrialDesign({"d": (7.0,)}), 3, uncertainty=True)
    with pytest.raises(FitError, match="beta, omega_cmax"):
        known.drawn(np.random.default_rng(1))
    assert len(Trials(known, TrialDesign({"d": (7.0,)}), 3).parameters()) == 8


def test_a_coefficient_is_refused_only_where_it_is_flat() -> None:
    terms = (Term("cmax", "weight", "power", 70.0),)
    parts = {"terms": terms, "coefficients": (Coefficient("beta_cmax_weight", 0),), "beta": [0.5]}
    for variance, refused in ((9.0, ()), (25.0, ("beta_cmax_weight",))):
        covariance = np.diag([0.04, variance])
        known = KnownPopulation(population((), **parts), "a fit", "", ("cmax", "beta_cmax_weight"), covariance)
        assert known.undetermined == refused


def test_parameters_are_drawn_within_the_bounds_of_a_search() -> None:
    base = population((0,), 15.0)
    known = KnownPopulation(base, "a fit", labels=("omega_cmax",), covariance=np.diag([3.0]))
    rng = np.random.default_rng(1)
    drawn = [known.natural(known.drawn(rng))["omega_cmax"] for _ in range(200)]
    # ln 15 with an SD of 1.7 goes beyond ln 20 in four of ten draws.
    assert max(drawn) == pytest.approx(20.0)
    assert 0.01 <= min(drawn) < 5


def test_fitted_patients_who_lack_a_covariate_are_not_drawn() -> None:
    known = KnownPopulation(population(), "a fit", covariates={"weight": [70.0, None, 80.0], "sex": ["f", "m", ""]})
    drawn = simulate_trial(known, 20, [7]).patients
    assert set(zip(drawn["weight"], drawn["sex"], strict=True)) == {(70.0, "f")}


def test_samples_are_read_without_a_fault() -> None:
    trial = simulate_trial(
        population(), 30, "dense", lloq=50, uloq=2e4, jitter=0.3, doses=[150], replicates=2, missed=0.1, seed=2
    )
    cohort = trial.cohort
    assert cohort.n_samples == len(trial.samples)
    assert not [fault for fault in cohort.faults if fault.effect != "note"]
    assert set(cohort.censored[cohort.mask]) == {-1, 0, 1}
    assert len(cohort) == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"replicates": 0}, "replicates is 0"),
        ({"seed": -1}, "seed -1"),
        ({"days": "weekly"}, "no schedule 'weekly'"),
        ({"days": [7, 7]}, "rising order"),
        ({"lloq": 50, "uloq": 40}, "a lower limit below the upper"),
        ({"missed": 1.0}, "missed is 1"),
        ({"dropout": "often"}, "dropout often"),
        ({"dropout": "weibull:60"}, "weibull takes 2"),
        ({"relapse": "exponential:-1"}, "exponential takes 1"),
        ({"doses": [-1]}, "doses are numbers"),
        ({"occasions": 0}, "occasions is 0"),
        ({"occasions": 2, "dropout": "below:50"}, "dropout below:50 .* each of 2 occasions has its own"),
        ({"occasions": 2, "relapse": "below:50"}, "relapse below:50 .* simulate one occasion"),
        ({"patients": {"lloq": [1]}}, "cannot be named lloq"),
        ({"n": 300_000}, "cellkinetics simulate"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict, message: str) -> None:
    settings_ = {"n": 3, "days": [7.0, 14.0], **options}
    with pytest.raises(SettingsError, match=message):
        simulate_trial(population(), settings_.pop("n"), settings_.pop("days"), **settings_)


def test_a_trial_is_a_public_verb() -> None:
    assert ck.simulate_trial is simulate_trial
    assert BLOCK == 512
