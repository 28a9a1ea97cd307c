"""The bundled example: a simulated dose-exploration trial. No patient in it has ever lived.

Kinetics are drawn from Stein 2019 (`library["stein2019"]`); doses, responses, CRS grades, drop-out and
every number in this file are ours, chosen so that the tables look like those of a phase 1 trial.

Regenerate the bundled file with ``python -m cellkinetics.models.trial_simulation > dose_exploration.csv``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cellkinetics.models.published import library
from cellkinetics.models.simulation import individual_parameters, log_curves, observe

if TYPE_CHECKING:
    import pandas as pd

SEED = 20240611
LLOQ = 50.0
UNIT = "copies/ug"
DAYS = (0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 112, 180, 270, 365, 545, 730)
# Label, dose in 1e6 CAR-positive T cells, patients: one, then three, then the levels that are explored.
LEVELS = (("DL1", 50.0, 1), ("DL2", 150.0, 3), ("DL3", 300.0, 8), ("DL4", 450.0, 12))
DOSE_EXPONENT = 0.25  # of Cmax on dose: cells multiply, so that exposure hardly follows dose
RESPONSES = ("PD", "SD", "MR", "PR", "VGPR", "CR", "sCR")

FloatArray = NDArray[np.float64]


def simulate_dose_exploration(seed: int = SEED) -> pd.DataFrame:
    """Simulate the samples of 24 patients on 4 dose levels over up to two years.

    Sampling days move within visit windows, visits are missed, and follow-up ends at progression or
    at the data cut-off, which comes sooner for patients enrolled later. Response and CRS grade are
    weakly related to the individual Cmax.

    Returns:
        A table that `read` takes: ``subject, time, nominal_time, value, censored, lloq, unit, dose,
        group, response, crs_grade, tocilizumab_day, age, weight``, values to 4 significant digits.

    Example:
        >>> trial = simulate_dose_exploration()
        >>> trial["subject"].nunique(), trial["group"].nunique()
        (24, 4)
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    group, dose = _levels()
    n = len(dose)
    stein = library["stein2019"]
    model = stein.model
    theta = individual_parameters(model, n, typical=stein.typical, omega_sd=stein.omega_sd, rng=rng)
    theta[:, model.names.index("cmax")] *= (dose / 300.0) ** DOSE_EXPONENT
    exposure = np.log(theta[:, 0] / stein.typical["cmax"]) / stein.omega_sd["cmax"]

    response = np.digitize(0.7 * exposure + rng.standard_normal(n), [-1.7, -1.2, -0.95, -0.4, 0.3, 0.8])
    crs_grade = np.digitize(0.6 * exposure + rng.standard_normal(n), [-1.1, 0.3, 1.4])
    tocilizumab = _tocilizumab_days(crs_grade, theta[:, 1], rng)
    last_day = _last_days(response, rng)

    nominal = np.array(DAYS, dtype=float)
    time = np.round(nominal + _window(nominal) * (2 * rng.random((n, len(nominal))) - 1), 2)
    sigma = stein.residual_sd or 0.0
    value, censored = observe(log_curves(model, theta, time), time, residual_sd=sigma, lloq=LLOQ, rng=rng)
    # The sample of day 0 is taken before infusion.
    value[:, 0], censored[:, 0] = LLOQ, 1
    taken = (rng.random(time.shape) >= 0.07) & (time <= last_day[:, None])
    taken[:, 0] = True

    i, j = np.nonzero(taken)
    return pd.DataFrame(
        {
            "subject": [f"{group[k]}-{k + 1:02d}" for k in i],
            "time": time[i, j],
            "nominal_time": nominal[j].astype(int),
            "value": _significant(value[i, j]),
            "censored": censored[i, j],
            "lloq": LLOQ,
            "unit": UNIT,
            "dose": dose[i],
            "group": np.array(group)[i],
            "response": np.array(RESPONSES)[response[i]],
            "crs_grade": crs_grade[i],
            "tocilizumab_day": tocilizumab[i],
            "age": np.round(63 + 8 * rng.standard_normal(n)).astype(int)[i],
            "weight": np.round(76 * np.exp(0.18 * rng.standard_normal(n)), 1)[i],
        }
    )


def _levels() -> tuple[list[str], FloatArray]:
    labels = [label for label, _, count in LEVELS for _ in range(count)]
    return labels, np.array([dose for _, dose, count in LEVELS for _ in range(count)])


def _tocilizumab_days(grade: NDArray[np.int64], tmax: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Day of the first tocilizumab dose, on the way to the peak; NaN for patients without."""
    given = rng.random(len(grade)) < np.array([0.0, 0.25, 0.85, 1.0])[grade]
    day = np.round(np.maximum(1.0, tmax * (0.25 + 0.5 * rng.random(len(grade)))))
    return np.where(given, day, np.nan)


def _last_days(response: NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
    """Last day of follow-up: progression (later after deeper responses) or the data cut-off."""
    n = len(response)
    median = np.array([60.0, 90.0, 150.0, 250.0, 400.0, 700.0, 900.0])[response]
    progression = 30 + median * -np.log2(1 - rng.random(n))
    cut_off = np.linspace(790, 190, n)
    return np.minimum(progression, cut_off)


def _window(day: FloatArray) -> FloatArray:
    """Half width of the visit window: hours at first, then days."""
    return np.select([day == 0, day <= 14, day <= 28, day <= 112], [0.0, 0.2, 1.0, 3.0], 10.0)


def _significant(value: FloatArray) -> FloatArray:
    return np.array([float(f"{number:.4g}") for number in value])


if __name__ == "__main__":
    import sys

    sys.stdout.write(simulate_dose_exploration().to_csv(index=False, lineterminator="\n"))
