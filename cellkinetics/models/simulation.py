"""Virtual patients: individual parameters, sampling days, residual error and a limit of quantification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.errors import SettingsError
from cellkinetics.models.base import Model
from cellkinetics.models.residual import LOG_CONSTANT, Residual

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VirtualPatients:
    """Simulated samples, and the truth behind them.

    Attributes:
        samples: tidy table ``subject, time, nominal_time, value, censored, lloq`` that `read` takes; a
            value below quantification stands as its LLOQ with ``censored`` 1.
        truth: one row a patient, ``subject`` and the individual parameters on the natural scale.
    """

    samples: pd.DataFrame
    truth: pd.DataFrame

    def __repr__(self) -> str:
        blq = int(self.samples["censored"].sum())
        return f"VirtualPatients: {len(self.truth)} patients, {len(self.samples)} samples, {blq} below quantification"


def simulate_patients(
    model: Model,
    n: int,
    times: Sequence[float],
    *,
    typical: Mapping[str, float],
    omega_sd: Mapping[str, float],
    residual_sd: float,
    lloq: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> VirtualPatients:
    """Simulate ``n`` patients of a model on one schedule.

        h(phi_i) = h(theta) + eta_i,   eta_i ~ N(0, diag(omega_sd^2)),   ln y_ij = ln C(t_ij; phi_i) + eps_ij

    Before infusion (negative times) there are no cells: such a sample is below quantification.

    Args:
        model: a kinetic model.
        n: number of patients.
        times: nominal days from infusion, shape ``(m,)``, in order.
        typical: typical value of every parameter, natural scale.
        omega_sd: SD of the random effect on the parameter's transformed scale; a name left out has none.
        residual_sd: SD of the residual on ln C.
        lloq: lower limit of quantification, or None for data without one.
        jitter: largest deviation of an actual from a nominal time, as a fraction of the way to the
            nearest neighbouring time (0 to 0.5, so that the order of samples stays); day 0 never moves.
        seed: of a `numpy.random.Generator`; the same seed gives the same patients.

    Raises:
        ModelError: if ``typical`` does not hold the model's parameters.
        SettingsError: for an option out of its range.

    Example:
        >>> from cellkinetics.models.ecp import ECP
        >>> typical = {"cmax": 24e3, "tmax": 9.3, "foldx": 3900, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}
        >>> drawn = simulate_patients(ECP, 5, [1, 7, 10, 28], typical=typical, omega_sd={"cmax": 0.65},
        ...                           residual_sd=0.56, lloq=50, seed=1)
        >>> drawn.samples.shape, drawn.truth["tmax"].unique()
        ((20, 6), array([9.3]))
    """
    import pandas as pd

    nominal = checked_times(times, jitter)
    _check_settings(model, n, omega_sd, residual_sd, lloq)
    rng = np.random.default_rng(seed)
    theta = individual_parameters(model, n, typical=typical, omega_sd=omega_sd, rng=rng)
    time = nominal + jitter * room(nominal) * (2 * rng.random((n, len(nominal))) - 1)
    value, censored = observe(log_curves(model, theta, time), time, residual_sd=residual_sd, lloq=lloq, rng=rng)
    subject = [f"V{i + 1:0{len(str(n))}d}" for i in range(n)]
    samples = pd.DataFrame(
        {
            "subject": np.repeat(subject, len(nominal)),
            "time": time.ravel(),
            "nominal_time": np.tile(nominal, n),
            "value": value.ravel(),
            "censored": censored.ravel(),
            "lloq": np.nan if lloq is None else float(lloq),
        }
    )
    truth = pd.DataFrame({"subject": subject, **{name: theta[:, k] for k, name in enumerate(model.names)}})
    return VirtualPatients(samples, truth)


def individual_parameters(
    model: Model,
    n: int,
    *,
    typical: Mapping[str, float],
    omega_sd: Mapping[str, float],
    rng: np.random.Generator,
) -> FloatArray:
    """Draw individual parameters on the natural scale, shape ``(n, p)``; see `simulate_patients`."""
    sd = np.array([float(omega_sd.get(name, 0.0)) for name in model.names])
    eta = rng.standard_normal((n, len(sd))) * sd
    with jax.enable_x64(True):
        phi = np.asarray(model.to_transformed(jnp.asarray(model.theta(typical)))) + eta
        return np.array(model.to_natural(jnp.asarray(phi)))


def log_curves(model: Model, theta: FloatArray, time: FloatArray) -> FloatArray:
    """Return ln C of ``n`` patients: ``theta`` (n, p) and ``time`` (n, m) give (n, m)."""
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(model.log_curve)(jnp.asarray(theta), jnp.asarray(time)))


def observe(
    log_value: FloatArray,
    time: FloatArray,
    *,
    residual_sd: float | Sequence[float],
    lloq: float | None,
    rng: np.random.Generator,
    residual: Residual = LOG_CONSTANT,
    uloq: float | None = None,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Add the residual to ln C and censor at the limits; return values and flags, shapes as given.

        log scale:      ln y = ln C + s(ln C) eps          natural scale:  y = C + s(C) eps

    with eps standard normal, or Student's t, and s of `Residual.sd`. A censored value is its limit, with the flag 1
    below the LLOQ and -1 above the ULOQ. Without an LLOQ a value that is not positive, such as every one of a sample
    from before infusion, is 0 and has the flag 1.

    Args:
        log_value: ln C.
        time: days from infusion.
        residual_sd: the residual's parameters, in the order of `Residual.names`.
        lloq: lower limit of quantification, or None.
        rng: of eps.
        residual: kind and scale of the residual.
        uloq: upper limit of quantification, or None.
    """
    value = measured(log_value, standard_noise(residual, log_value.shape, rng), residual_sd, residual)
    value = np.where(time < 0, 0.0, value)
    censored = np.where(value < lloq if lloq is not None else value <= 0, 1, 0)
    value = np.where(censored == 1, lloq or 0.0, value)
    if uloq is not None:
        above = value > uloq
        value, censored = np.where(above, uloq, value), np.where(above, -1, censored)
    return value, censored.astype(np.int64)


def standard_noise(residual: Residual, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Draw eps of a residual: standard normal, or Student's t."""
    return rng.standard_t(residual.df, shape) if residual.kind == "student" else rng.standard_normal(shape)


def measured(
    log_value: FloatArray, eps: FloatArray, residual_sd: float | Sequence[float], residual: Residual = LOG_CONSTANT
) -> FloatArray:
    """Return values on the natural scale with the residual of eps, see `observe`; shapes are broadcast."""
    predicted = log_value if residual.scale == "log" else np.exp(log_value)
    if residual.kind in ("constant", "student"):
        spread: FloatArray | float = float(np.atleast_1d(residual_sd)[0])
    else:
        with jax.enable_x64(True):
            sigma = jnp.asarray(np.atleast_1d(residual_sd), dtype=float)
            spread = np.asarray(residual.sd(jnp.asarray(predicted), sigma))
    value: FloatArray = predicted + spread * eps
    return np.exp(value) if residual.scale == "log" else value


def checked_times(times: Sequence[float], jitter: float) -> FloatArray:
    """Return nominal days as an array.

    Raises:
        SettingsError: unless they rise, and ``jitter`` is a fraction that keeps their order.
    """
    nominal = np.asarray(times, dtype=float)
    if nominal.ndim != 1 or not len(nominal) or not np.isfinite(nominal).all() or (np.diff(nominal) <= 0).any():
        raise SettingsError("times must be a list of different days in rising order, such as [0, 7, 14, 28]")
    if not 0 <= jitter < 0.5:
        raise SettingsError(f"jitter is {jitter}; give a fraction of at least 0 and less than 0.5")
    return nominal


def _check_settings(
    model: Model, n: int, omega_sd: Mapping[str, float], residual_sd: float, lloq: float | None
) -> None:
    if n < 1:
        raise SettingsError(f"n is {n}; give a number of patients of at least 1")
    for name, sd in omega_sd.items():
        model[name]
        if not 0 <= sd < np.inf:
            raise SettingsError(f"omega_sd of {name} is {sd}; a standard deviation is at least 0")
    if not 0 <= residual_sd < np.inf:
        raise SettingsError(f"residual_sd is {residual_sd}; a standard deviation is at least 0")
    if lloq is not None and not 0 < lloq < np.inf:
        raise SettingsError(f"lloq is {lloq}; give a positive number, or None for data without a limit")


def room(nominal: FloatArray) -> FloatArray:
    """Return the distance from each time to its nearest neighbour, 0 at infusion and for a single time."""
    if len(nominal) < 2:
        return np.zeros(len(nominal))
    step = np.diff(nominal)
    nearest = np.minimum(np.append(step, step[-1]), np.insert(step, 0, step[0]))
    return np.where(nominal == 0, 0.0, nearest)
