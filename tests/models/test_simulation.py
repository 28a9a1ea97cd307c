"""Virtual patients."""

import numpy as np
import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import CellKineticsError, ModelError, SettingsError
from cellkinetics.models.ecp import ECP
from cellkinetics.models.residual import Residual, get_residual
from cellkinetics.models.simulation import VirtualPatients, observe, simulate_patients

TYPICAL = {"cmax": 24000.0, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}


def simulate(**options: object) -> VirtualPatients:
    settings: dict = {"typical": TYPICAL, "omega_sd": {}, "residual_sd": 0.0, **options}
    times = settings.pop("times", [-1, 0, 1, 7, 14, 28])
    return simulate_patients(ECP, settings.pop("n", 4), times, **settings)


def test_without_variability_every_patient_follows_the_typical_curve() -> None:
    drawn = simulate(lloq=None)
    values = drawn.samples["value"].to_numpy().reshape(4, 6)
    # Before infusion there are no cells; then the exact values of the typical curve.
    np.testing.assert_allclose(
        values, np.tile([0, 6.153846, 14.972096, 3105.263721, 11411.534327, 1373.558776], (4, 1))
    )
    assert drawn.samples["censored"].tolist() == [1, 0, 0, 0, 0, 0] * 4


def test_a_value_below_the_lloq_stands_as_the_lloq_with_its_flag() -> None:
    samples = simulate(lloq=50.0).samples
    assert samples["value"].iloc[:3].tolist() == [50.0, 50.0, 50.0]
    assert samples["censored"].iloc[:6].tolist() == [1, 1, 1, 0, 0, 0]


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    options = {"omega_sd": {"cmax": 0.5}, "residual_sd": 0.4, "lloq": 50.0, "jitter": 0.2}
    first, second, third = (simulate(**options, seed=seed).samples.to_csv() for seed in (1, 1, 2))
    assert first == second != third


def test_jitter_keeps_the_order_of_samples_and_leaves_day_0_alone() -> None:
    samples = simulate(jitter=0.49, times=[0, 1, 2, 4, 8], n=200, seed=4).samples
    time = samples["time"].to_numpy().reshape(200, 5)
    assert (np.diff(time) > 0).all()
    assert (time[:, 0] == 0).all()
    assert np.abs(time[:, 2] - 2).max() > 0.4
    assert (samples["nominal_time"].to_numpy().reshape(200, 5) == [0, 1, 2, 4, 8]).all()


def test_residual_has_the_given_standard_deviation_on_the_log_scale() -> None:
    samples = simulate(residual_sd=0.56, n=3000, times=[10.0]).samples
    log = np.log(samples["value"])
    assert log.std() == pytest.approx(0.56, rel=0.05)


def test_samples_make_a_cohort() -> None:
    samples = simulate(lloq=50.0, times=[1, 7, 14]).samples
    groups = [group for _, group in samples.groupby("subject", sort=False)]
    cohort = Cohort.from_arrays([g["time"] for g in groups], [g["value"] for g in groups], lloq=50.0)
    assert cohort.n_samples == 12
    assert isinstance(samples, pd.DataFrame)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"times": [7, 1]}, "rising order"),
        ({"times": []}, "rising order"),
        ({"jitter": 0.5}, "jitter is 0.5"),
        ({"lloq": 0.0}, "lloq is 0"),
        ({"residual_sd": -1.0}, "residual_sd is -1"),
        ({"omega_sd": {"cmax": float("nan")}}, "omega_sd of cmax"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        simulate(**options)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ModelError, match="'lag'"):
        simulate(omega_sd={"lag": 0.1})
    with pytest.raises(CellKineticsError, match="missing: cmax"):
        simulate(typical={})


def drawn_values(
    residual: Residual, sigma: list[float], level: float, **limits: float
) -> tuple[np.ndarray, np.ndarray]:
    log_value = np.full((400, 50), np.log(level))
    rng = np.random.default_rng(3)
    options: dict = {"lloq": None, **limits}
    return observe(log_value, np.ones_like(log_value), residual_sd=sigma, rng=rng, residual=residual, **options)


@pytest.mark.parametrize(
    ("name", "sigma", "sd"),
    [
        # At C = 100: 0.2 * 100; 5 + 0.1 * 100; sqrt(5^2 + (0.1 * 100)^2).
        ("natural-proportional", [0.2], 20.0),
        ("natural-combined", [5.0, 0.1], 15.0),
        ("natural-combined-root", [5.0, 0.1], 11.1803),
    ],
)
def test_a_natural_residual_has_the_spread_of_its_formula(name: str, sigma: list[float], sd: float) -> None:
    value, _ = drawn_values(get_residual(name), sigma, 100.0)
    assert value.mean() == pytest.approx(100.0, abs=4 * sd / np.sqrt(value.size))
    assert value.std() == pytest.approx(sd, rel=0.03)


def test_a_student_residual_has_heavy_tails_on_the_log_scale() -> None:
    value, _ = drawn_values(get_residual("log-student:6"), [0.5], 100.0)
    eps = (np.log(value) - np.log(100.0)) / 0.5
    # Quantiles of t with 6 degrees of freedom: 95 % 1.9432, 99.5 % 3.7074 (a normal has 1.6449 and 2.5758).
    assert np.quantile(eps, 0.95) == pytest.approx(1.9432, rel=0.05)
    assert np.quantile(eps, 0.995) == pytest.approx(3.7074, rel=0.1)


def test_a_value_above_the_uloq_stands_as_the_uloq_with_its_flag() -> None:
    value, censored = drawn_values(get_residual("log-constant"), [1.0], 100.0, lloq=50.0, uloq=200.0)
    assert set(value[censored == -1]) == {200.0}
    assert set(value[censored == 1]) == {50.0}
    assert ((value[censored == 0] >= 50) & (value[censored == 0] <= 200)).all()
    # P(z > ln 2) = 0.2441 on either side.
    assert (censored == -1).mean() == pytest.approx(0.2441, abs=0.012)
    assert (censored == 1).mean() == pytest.approx(0.2441, abs=0.012)
