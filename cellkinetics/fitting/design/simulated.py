"""The expected information without linearising: simulated patients, and the exact likelihood of their samples."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import NOT_CENSORED, Cohort, FloatArray
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.design.patients import draw_effects, log_curves_on
from cellkinetics.fitting.design.population import AssumedPopulation
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.modes import CENTRES, Modes, conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.simulation import observe


def simulated_information(
    population: AssumedPopulation,
    schedule: tuple[float, ...],
    lloq: float | None,
    *,
    patients: int,
    seed: int,
) -> FloatArray:
    """Return the information one patient is expected to bring, by simulation, in the order of `expected_information`.

        I = E[ s s' ],   s = d ln p(y) / dx = E[ (u/omega, u^2 - 1, d ln p(y | u) / d ln sigma) | y ]

    x is (mu, ln omega, ln sigma), and s the score of the marginal likelihood at the assumed values. Patients
    are simulated on the schedule and the conditional expectation is taken by importance sampling, with the
    proposals of a population fit. Nothing is linearised, and samples below quantification are what they are
    in a fit. A patient without any quantified sample brings nothing, as in a fit.

    Raises:
        SettingsError: for a population in which a parameter does not vary, or if no sample is quantified.

    Source: Riviere MK, Ueckert S, Mentre F. Biostatistics 2016;17:737-750, doi:10.1093/biostatistics/kxw020 (the same
    expectation by MCMC).
    """
    omega = population.omega
    if (omega <= 0).any():
        still = [name for name in population.model.names if name not in population.random]
        raise SettingsError(
            f"method simulated needs variability of every parameter, and {', '.join(still)} has none; "
            "use the method conditional"
        )
    rng = np.random.default_rng(seed)
    effects = draw_effects(population, patients, seed)
    cohort = observed_cohort(population, effects, schedule, lloq, rng)
    if not (cohort.mask & (cohort.censored == NOT_CENSORED)).any():
        raise SettingsError(f"no simulated patient has a quantified sample on the days {schedule}")
    problem = PooledProblem.from_cohort(cohort, population.model)
    sd = dict(zip(population.model.names, omega.tolist(), strict=True))
    x = problem.pack(population.typical, sd, (population.residual_sd,))
    with jax.enable_x64(True):
        u = np.zeros((problem.samples.y.shape[0], len(omega)))
        u[: problem.n_real] = effects[list(problem.index)] / omega
        true = jnp.asarray(u)
        # The mode is next to the patient's own parameters, or to those of the typical patient.
        known = Modes(true, true[:, 0], true[:, 0] > 0, jnp.repeat(true[:, None], CENTRES, axis=1))
        modes = conditional_modes(problem, x, known=known, thorough=False)
    # One round of draws: what it leaves of noise in a score is below 1 % of its variance.
    scores = importance_sample(problem, x, modes, seed=seed, target_se=np.inf, min_draws=0).scores
    return scores.T @ scores / patients


def observed_cohort(
    population: AssumedPopulation,
    effects: FloatArray,
    schedule: tuple[float, ...],
    lloq: float | None,
    rng: np.random.Generator | None,
) -> Cohort:
    """Take samples of patients with the random effects ``(n, p)``.

    Args:
        population: whose patients they are.
        effects: random effects.
        schedule: sampling days.
        lloq: lower limit of quantification, or None.
        rng: of the residual error; None for samples without one.
    """
    days = np.asarray(schedule)
    time = np.tile(days, (len(effects), 1))
    value, censored = observe(
        log_curves_on(population, effects, days),
        time,
        residual_sd=0.0 if rng is None else population.residual_sd,
        lloq=lloq,
        rng=np.random.default_rng(0) if rng is None else rng,
    )
    return Cohort.from_arrays(time.tolist(), value.tolist(), lloq=lloq, censored=censored.tolist())
