"""What a patient's samples say of the patient: draws of the individual parameters given the samples.

    p(u | y) ~ p(y | u) p(u)

drawn by sampling-importance-resampling: candidates from the patient's mixture of importance sampling, resampled by
their weights. With e effective candidates, n draws of them have the error of about n e / (n + e) independent ones.

Source: Rubin DB. In: Bayesian Statistics 3, Oxford University Press 1988, 395-402; systematic resampling, Kitagawa G.
J Comput Graph Stat 1996;5:1-25, doi:10.1080/10618600.1996.10474692.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.likelihood import individual
from cellkinetics.fitting.pooled.padding import PATIENT_BLOCK
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.proposal import Noise, Proposal, draw, log_joint, standard_noise
from cellkinetics.fitting.pooled.structure import FloatArray, Form
from cellkinetics.models.base import Model
from cellkinetics.models.programs import program

DRAWS = 200
"""Draws of a patient, unless more are asked for."""
ROUND = 500
"""Candidates of a patient at a time."""
MOST_ROUNDS = 10
FEW_EFFECTIVE = 50.0
"""With fewer effective candidates intervals are rough."""
ROWS = 4096
"""Rows of parameters that are worked on at a time."""
_STREAM = 907  # keeps these draws apart from others of the same seed


@dataclass(frozen=True, eq=False)
class Conditional:
    """Draws of each patient's parameters given the patient's samples.

    Attributes:
        problem: whose patients they are.
        x: flat vector of the population parameters, taken as known.
        u: draws of the latent vectors ``(n, draws, d)``.
        phi: parameters on the working scale ``(n, draws, occasions, p)``; one occasion without IOV.
        effective: effective number of candidates of each patient ``(n,)``.
    """

    problem: PooledProblem
    x: FloatArray
    u: FloatArray
    phi: FloatArray
    effective: FloatArray

    @property
    def n_draws(self) -> int:
        """Draws of each patient."""
        return self.u.shape[1]

    @property
    def theta(self) -> FloatArray:
        """Parameters on the natural scale ``(n, draws, occasions, p)``."""
        return self.problem.model.natural_values(self.phi)

    def quantities(self) -> FloatArray:
        """Return the model's derived quantities ``(n, draws, occasions, d)``, in the order of `Model.derived`."""
        theta = self.theta
        flat = theta.reshape(-1, theta.shape[-1])
        return derived_quantities(self.problem.model, flat).reshape(*theta.shape[:3], -1)

    def log_curves(self, rows: FloatArray, time: FloatArray) -> FloatArray:
        """Return ln C of draws at days of each profile.

        Args:
            rows: places of the profiles, (patient, occasion) ``(r, 2)``.
            time: days ``(r, m)``.

        Returns:
            Array ``(r, draws, m)``.
        """
        patient, occasion = rows.T
        theta = self.problem.model.natural_values(self.phi[patient, :, occasion])
        given = self.problem.samples.given
        windows = None if given is None else np.asarray(given)[patient]
        return log_curves_of_draws(self.problem.model, theta, time, windows)

    def __repr__(self) -> str:
        return (
            f"Conditional: {self.n_draws} draws of each of {len(self.u)} patients, at least "
            f"{self.effective.min():.0f} effective candidates"
        )


def conditional_draws(
    problem: PooledProblem, x: FloatArray, proposal: Proposal, *, draws: int = DRAWS, seed: int = 0
) -> Conditional:
    """Draw the latent vectors of every patient from their conditional distribution.

    Candidates come in rounds of 500, until the effective ones of a patient are as many as the draws, ten rounds at
    most.

    Args:
        problem: data, model and structure.
        x: flat vector of the population parameters.
        proposal: mixtures of the importance sampling at ``x``, of all padded patients.
        draws: of each patient.
        seed: of the draws.

    Raises:
        SettingsError: for less than one draw, or a negative seed.
    """
    check_draws(draws, seed)
    d = problem.structure.n_latent
    found, effective, phi = [], [], []
    with jax.enable_x64(True):
        flat = np.asarray(x, dtype=float)
        for first in range(0, problem.n_real, PATIENT_BLOCK):
            block = slice(first, first + PATIENT_BLOCK)
            mixture, samples = (
                jax.tree.map(lambda a: np.asarray(a)[block], part)  # noqa: B023
                for part in (proposal, problem.samples)
            )
            candidates, log_weights = [], []
            for number in range(MOST_ROUNDS):
                noise = standard_noise((seed, _STREAM, first, number), PATIENT_BLOCK, ROUND, d)
                u, logw = _weighed(noise, flat, mixture, samples, form=problem.form)
                candidates.append(np.asarray(u))
                log_weights.append(np.asarray(logw))
                weight = _weights(np.concatenate(log_weights, axis=1))
                enough = 1.0 / (weight**2).sum(axis=1)
                if enough.min() >= draws:
                    break
            uniform = np.random.default_rng((seed, _STREAM, first, MOST_ROUNDS)).random(PATIENT_BLOCK)
            chosen = resample(weight, draws, uniform)
            picked = np.take_along_axis(np.concatenate(candidates, axis=1), chosen[:, :, None], axis=1)
            found.append(picked)
            effective.append(enough)
            phi.append(np.asarray(_individual(picked, flat, samples, form=problem.form)))
    n = problem.n_real
    return Conditional(problem, x, *(np.concatenate(part)[:n] for part in (found, phi, effective)))


def check_draws(draws: int, seed: int) -> None:
    """Refuse a number of draws below 1, or a negative seed, with a SettingsError."""
    if draws < 1:
        raise SettingsError(f"n is {draws}; give a number of draws of at least 1")
    if seed < 0:
        raise SettingsError(f"seed {seed} is negative; give a whole number from 0")


def phi_of(problem: PooledProblem, x: FloatArray, u: FloatArray) -> FloatArray:
    """Return parameters on the working scale ``(n, k, occasions, p)`` of latent vectors ``(n, k, d)``."""
    real = jax.tree.map(lambda a: a[: problem.n_real], problem.samples)
    with jax.enable_x64(True):
        return np.asarray(_individual(u, x, real, form=problem.form))


def resample(weight: FloatArray, draws: int, uniform: FloatArray) -> np.ndarray:
    """Return places of draws by systematic resampling, ``(n, draws)``, in random order of none.

        draw k is the first place whose cumulated weight exceeds (k + u) / draws

    Args:
        weight: of the candidates, each row summing to 1, ``(n, c)``.
        draws: number of draws of each row.
        uniform: a number between 0 and 1 for each row ``(n,)``.

    Example:
        >>> resample(np.array([[0.5, 0.0, 0.25, 0.25]]), 4, np.array([0.5])).tolist()
        [[0, 0, 2, 3]]
    """
    heights = np.cumsum(weight, axis=1)
    steps = (np.arange(draws) + uniform[:, None]) / draws
    return np.stack(
        [
            np.minimum(np.searchsorted(height / height[-1], step, side="right"), weight.shape[1] - 1)
            for height, step in zip(heights, steps, strict=True)
        ]
    )


def derived_quantities(model: Model, theta: FloatArray) -> FloatArray:
    """Return the model's derived quantities at parameters on the natural scale: ``(n, p)`` gives ``(n, d)``."""
    if not model.derived:
        return np.empty((len(theta), 0))
    return _by_rows(partial(_derived, model=model), [theta])


def log_curves_of_draws(
    model: Model, theta: FloatArray, time: FloatArray, windows: FloatArray | None = None
) -> FloatArray:
    """Return ln C of draws of several profiles.

    Args:
        model: a kinetic model.
        theta: parameters on the natural scale ``(r, draws, p)``.
        time: days of each profile ``(r, m)``.
        windows: of a model with inputs ``(r, k, w, 2)``.

    Returns:
        Array ``(r, draws, m)``.
    """
    with jax.enable_x64(True):
        parts = [
            np.asarray(_curves(theta[row], time[row], *(() if windows is None else (windows[row],)), model=model))
            for row in range(len(theta))
        ]
    return np.stack(parts)


def _by_rows(function: Callable[..., jax.Array], arrays: list[FloatArray]) -> FloatArray:
    n, parts = len(arrays[0]), []
    with jax.enable_x64(True):
        for start in range(0, n, ROWS):
            index = np.minimum(np.arange(start, start + ROWS), n - 1)
            parts.append(np.asarray(function(*(array[index] for array in arrays)))[: n - start])
    return np.concatenate(parts)


@program("model")
def _derived(theta: jax.Array, *, model: Model) -> jax.Array:
    return jax.vmap(lambda one: jnp.stack([quantity.function(one) for quantity in model.derived]))(theta)


@program("model")
def _curves(theta: jax.Array, time: jax.Array, *windows: jax.Array, model: Model) -> jax.Array:
    return jax.vmap(lambda one: model.log_curve(one, time, *windows))(theta)


def _weights(log_weight: FloatArray) -> FloatArray:
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    scaled: FloatArray = weight / weight.sum(axis=1, keepdims=True)
    return scaled


@program("form")
def _weighed(
    noise: Noise, x: jax.Array, proposal: Proposal, samples: Samples, *, form: Form
) -> tuple[jax.Array, jax.Array]:
    """Draw candidates ``(n, c, d)`` of some patients, with their log weights ``(n, c)``."""
    population = form.structure.unpack(x)

    def patient(own: Noise, mixture: Proposal, sample: Samples) -> tuple[jax.Array, jax.Array]:
        u, logq, _ = draw(own, mixture, population, form)
        logw = jax.vmap(lambda v: log_joint(v, population, sample, form))(u) - logq
        return u, jnp.where(jnp.isfinite(logw), logw, -jnp.inf)

    return jax.vmap(patient)(noise, proposal, samples)


@program("form")
def _individual(u: jax.Array, x: jax.Array, samples: Samples, *, form: Form) -> jax.Array:
    population = form.structure.unpack(x)

    def patient(draws: jax.Array, sample: Samples) -> jax.Array:
        return jax.vmap(lambda v: individual(v, population, sample, form))(draws)

    return jax.vmap(patient)(u, samples)
