"""SAEM: stochastic approximation of the EM algorithm, all patients and chains in one compiled loop.

Each iteration simulates the random effects (`cellkinetics.fitting.pooled.chains`), moves the sufficient statistics of
their distribution a step towards what was simulated, and maximises:

    S_k = S_{k-1} + gamma_k (s(z_k) - S_{k-1})
    (mu, beta, shift) by generalised least squares,  Omega, gamma and shares by their moments
    residual parameters and typical values without random effects by a step of Newton's method on ln p(y | z)

with gamma_k = 1 while exploring, when variances may only shrink slowly (simulated annealing), and 1/k^(3/4) while
averaging. Exploring ends by itself when no parameter drifts any more.

Sources: Delyon B, Lavielle M, Moulines E. Ann Stat 1999;27:94-128, doi:10.1214/aos/1018031103; Kuhn E, Lavielle M.
Comput Stat Data Anal 2005;49:1020-1038, doi:10.1016/j.csda.2004.07.002; Lavielle M. Mixed Effects Models for the
Population Approach, 2014, doi:10.1201/b17203, Section 9 (annealing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.chains import (
    Chains,
    Memory,
    Noise,
    middles,
    noise_of,
    remember,
    sweep,
)
from cellkinetics.fitting.pooled.estimate import Estimate, Report, Trace
from cellkinetics.fitting.pooled.marginal import estimate_marginal
from cellkinetics.fitting.pooled.maximisation import (
    Free,
    Plan,
    Statistics,
    direct_elements,
    maximise,
    summarise_states,
    what_is_free,
)
from cellkinetics.fitting.pooled.problem import PooledProblem, Samples
from cellkinetics.fitting.pooled.proposal import Proposal
from cellkinetics.fitting.pooled.structure import Form, Population, Structure
from cellkinetics.models.programs import program

FloatArray = NDArray[np.float64]

BLOCK = 20
"""Iterations of one compiled loop; between them the program looks whether it may go on to the next phase."""
CHAINS = 400
"""Chains over all patients together, at least; a patient has at most `MOST_CHAINS`."""
MOST_CHAINS = 16
LEAST_EXPLORING, MOST_EXPLORING = 80, 800
AVERAGING = 100
WARMING = 20
"""Iterations at the start in which only the chains move."""
ANNEALING = 0.95
"""A variance shrinks at most by this factor an iteration while exploring."""
EXPONENT = 0.75
DRIFT = 0.2
"""In standard errors of complete data: a change of the mean over a block of less than this, or less than what its own
noise explains, is no drift."""
LEARNING = 0.1


class _State(NamedTuple):
    population: Population
    chains: Chains
    memory: Memory
    statistics: Statistics


@dataclass(frozen=True, eq=False)
class SaemRun:
    """Where SAEM arrived.

    Attributes:
        x: mean of the flat vector over the averaging phase.
        converged: whether exploring ended because nothing drifted any more.
        drifting: names of what still drifted, where it did.
        mean, covariance: of each padded patient's state ``z`` (n, d), (n, d, d).
        trace: the way.
        iterations: number of them.
    """

    x: FloatArray
    converged: bool
    drifting: tuple[str, ...]
    mean: FloatArray
    covariance: FloatArray
    trace: Trace
    iterations: int


def estimate_saem(
    problem: PooledProblem, start: FloatArray, *, seed: int, target_se: float = 0.2, report: Report
) -> Estimate:
    """Estimate by SAEM, and take what is left to the maximum of the exact likelihood by Newton steps.

    SAEM comes near the maximum from almost anywhere, and then slowly along what the data hardly determine (an omega
    that is nearly flat); Newton steps on the likelihood by importance sampling are quick there, and tell whether
    anything is left to gain.

    Args:
        problem: data, model and structure.
        start: flat vector.
        seed: of all random numbers.
        target_se: Monte-Carlo standard error of -2 ln L.
        report: called with the share of the work that is done.
    """
    run = saem(problem, start, seed=seed, report=lambda share: report(0.7 * share))
    exact = estimate_marginal(
        problem,
        run.x,
        proposal_of(problem, run),
        seed=seed,
        # The optimum moves by far less than a standard error at twice the noise, and costs a quarter.
        target_se=2 * target_se,
        on_iteration=lambda iteration, _: report(min(0.7 + 0.05 * iteration, 0.95)),
    )
    trace = run.trace
    after = len(exact.path)
    trace = Trace(
        np.arange(1, run.iterations + after + 1),
        (*trace.phase, *("newton",) * after),
        np.concatenate([trace.x, np.array(exact.path).reshape(after, trace.x.shape[1])]),
        np.concatenate([trace.objective, exact.objective]),
    )
    reason = exact.reason
    if reason and run.drifting:
        reason += f" after SAEM, in which {', '.join(run.drifting)} still drifted"
    return Estimate(
        x=exact.x,
        converged=exact.converged,
        reason=reason,
        proposal=exact.likelihood.proposal,
        sloped_draws=exact.sloped_draws,
        work={"saem_iterations": run.iterations, "newton_steps": exact.iterations},
        trace=trace,
    )


def proposal_of(problem: PooledProblem, run: SaemRun) -> Proposal:
    """Return a mixture around each patient's conditional mean: as wide as its chains, and wider."""
    structure = problem.structure
    population = structure.values(run.x)
    design = np.asarray(problem.samples.design)
    middle = (population.mu + design @ population.beta)[:, list(structure.random)]
    q, n = structure.n_random, len(middle)
    scale = np.zeros((structure.n_latent,) * 2)
    scale[:q, :q] = np.linalg.inv(population.factor)
    if structure.occasion:
        rest = range(q, structure.n_latent)
        scale[rest, rest] = 1.0 / np.tile(population.gamma, structure.occasions)
    apart = run.mean.copy()
    apart[:, :q] -= middle
    mean = apart @ scale.T
    covariance = scale @ run.covariance @ scale.T + 1e-4 * np.eye(structure.n_latent)
    factor = np.linalg.cholesky(covariance)
    wide = np.broadcast_to(0.5 * np.eye(structure.n_latent), factor.shape)
    return Proposal(
        np.full((n, 3), 1.0 / 3),
        np.stack([mean, mean, mean], axis=1),
        np.stack([1.1 * factor, 2.0 * factor, wide], axis=1),
    )


def saem(
    problem: PooledProblem,
    start: FloatArray,
    *,
    seed: int,
    report: Callable[[float], None] | None = None,
    most_exploring: int = MOST_EXPLORING,
    averaging: int = AVERAGING,
) -> SaemRun:
    """Run SAEM from a flat start vector.

    Args:
        problem: data, model and structure.
        start: flat vector.
        seed: of all random numbers.
        report: called with the share of the work that is done.
        most_exploring: iterations after which averaging begins even if something still drifts.
        averaging: iterations of the averaging phase.

    Raises:
        SettingsError: for a fixed correlation, which the maximisation cannot hold.
    """
    structure, form, samples = problem.structure, problem.form, problem.samples
    for label in problem.fixed:
        if label.startswith("corr_"):
            raise SettingsError(f"{label} is fixed, which saem cannot hold; use method importance, or a smaller block")
    rng = np.random.default_rng((seed, 5))
    n, d = samples.y.shape[0], structure.n_latent
    c = int(np.clip(-(-CHAINS // problem.n_real), 1, MOST_CHAINS))
    fixed = what_is_free(problem)
    values: list[FloatArray] = []
    words: list[str] = []
    with jax.enable_x64(True):
        state = _first(start, samples, rng.standard_normal((n, c, d)), form)
        scale = _complete_errors(problem, state.population)
        real = np.arange(n) < problem.n_real

        def go(count: int, phase: str, done: int) -> None:
            nonlocal state
            k = np.arange(done + 1, done + count + 1, dtype=float)
            ones = np.ones(count)
            plan = {
                "warm": (ones, ones * LEARNING, ones * 0, ones * 0),
                "explore": (ones, ones * LEARNING, ones * ANNEALING, ones),
                "average": (k**-EXPONENT, LEARNING / (1 + k / BLOCK), ones * 0, ones),
            }[phase]
            noise = noise_of(rng, count, n, c, d)
            state, way = _block(state, noise, Plan(*map(np.asarray, plan)), fixed, samples, real, form=form)
            parts = Population(*(np.asarray(part) for part in way))
            values.extend(_flat(structure, Population(*(part[i] for part in parts))) for i in range(count))
            words.extend([phase] * count)

        go(WARMING, "warm", 0)
        explored, drifting = 0, problem.labels
        while explored < most_exploring:
            go(BLOCK, "explore", explored)
            explored += BLOCK
            if report is not None:
                report(0.6 * explored / most_exploring)
            if explored >= LEAST_EXPLORING:
                drifting = _drifting(problem, np.array(values[-2 * BLOCK :]), scale)
                if not drifting:
                    break
        for done in range(0, averaging, BLOCK):
            go(BLOCK, "average", done)
            if report is not None:
                report(0.6 + 0.4 * done / averaging)
    # The mean over the second half of the averaging phase forgets where it began.
    x = np.mean(values[-averaging // 2 :], axis=0)
    return SaemRun(
        x=problem.hold(x),
        converged=not drifting,
        drifting=drifting,
        mean=np.asarray(state.memory.mean),
        covariance=np.asarray(state.memory.covariance),
        trace=Trace(np.arange(1, len(values) + 1), tuple(words), np.array(values), np.full(len(values), np.nan)),
        iterations=len(values),
    )


@program("form")
def _block(
    state: _State,
    noise: Noise,
    plan: Plan,
    free: Free,
    samples: Samples,
    real: jax.Array,
    *,
    form: Form,
) -> tuple[_State, Population]:
    """Run one iteration for each entry of ``noise`` and ``plan``; also return the population after each."""

    def iterate(now: _State, given: tuple[Noise, Plan]) -> tuple[_State, Population]:
        own, what = given
        population = now.population
        middle = middles(population, samples, form)
        chains, memory = sweep(now.chains, now.memory, own, population, middle, samples, form, what.learning)
        memory = remember(memory, chains.z, what.learning)
        fresh, slope = summarise_states(chains.z, population, middle, samples, real, form)
        statistics = jax.tree.map(lambda old, new: old + what.step * (new - old), now.statistics, fresh)
        better = maximise(population, statistics, slope, what, free, samples, real, form)
        following = jax.tree.map(lambda new, old: jnp.where(what.maximise > 0, new, old), better, population)
        return _State(following, chains, memory, statistics), following

    return jax.lax.scan(iterate, state, (noise, plan))


def _first(x: FloatArray, samples: Samples, normal: FloatArray, form: Form) -> _State:
    """Return the state to begin with, in arrays of numpy: chains around each patient's middle."""
    structure = form.structure
    q, r = structure.n_random, len(structure.occasion)
    population = structure.values(x)
    middle = (population.mu + np.asarray(samples.design) @ population.beta)[:, list(structure.random)]
    between = np.tile(population.gamma, structure.occasions) if r else np.zeros(0)
    z = 0.5 * np.concatenate([normal[..., :q] @ population.factor.T, between * normal[..., q:]], axis=-1)
    z[..., :q] += middle[:, None]
    n, d = len(z), z.shape[-1]
    variance = np.concatenate([(population.factor**2).sum(1), between**2])
    direct = len(direct_elements(structure))
    return _State(
        population,
        Chains(z, np.zeros(z.shape[:2])),
        Memory(z.mean(1), np.broadcast_to(np.diag(variance), (n, d, d)), np.log([0.5, 0.5])),
        Statistics(
            np.full((n, structure.classes), 1.0 / structure.classes),
            np.zeros((n, structure.classes, q)),
            np.eye(q),
            np.ones(r),
            np.eye(direct),
        ),
    )


def _complete_errors(problem: PooledProblem, population: Population) -> FloatArray:
    """Return the standard error that each element would have if the random effects were seen, ``(k,)``."""
    structure, n = problem.structure, problem.n_real
    size = np.sqrt((np.asarray(population.factor) ** 2).sum(1))
    mu = np.full(len(structure.parameters), 1.0 / np.sqrt(problem.n_observations))
    mu[list(structure.random)] = size / np.sqrt(n)
    scale = {
        "typical": mu,
        "coefficient": np.array([2 * mu[one.parameter] for one in structure.coefficients]),
        "omega": np.full(structure.n_random, 1 / np.sqrt(2 * n)),
        "correlation": np.full(len(structure.pairs), 1 / np.sqrt(n)),
        "gamma": np.full(len(structure.occasion), 1 / np.sqrt(2 * n)),
        "shift": np.tile(2 * size[list(structure.shifted)] / np.sqrt(n), structure.classes - 1),
        "share": np.full(structure.classes - 1, 2 / np.sqrt(n)),
        "residual": np.full(len(structure.residual), 1 / np.sqrt(2 * problem.n_observations)),
    }
    return np.concatenate([np.atleast_1d(part) for part in scale.values()])


def _drifting(problem: PooledProblem, last: FloatArray, scale: FloatArray) -> tuple[str, ...]:
    """Name the elements whose mean changed from the first half of ``last`` (2b, k) to the second."""
    half = len(last) // 2
    before, after = last[:half], last[half:]
    # Neighbouring iterations are alike: five count as one.
    noise = np.sqrt((before.var(0) + after.var(0)) / (half / 5))
    change = np.abs(after.mean(0) - before.mean(0))
    return tuple(
        label
        for label, one, limit, keep in zip(
            problem.labels, change, np.maximum(DRIFT * scale, 2 * noise), problem.free, strict=True
        )
        if keep and one > limit
    )


def _flat(structure: Structure, population: Population) -> FloatArray:
    return structure.pack(
        population.mu,
        population.factor @ population.factor.T,
        population.sigma,
        beta=population.beta,
        gamma=population.gamma,
        shift=population.shift,
        share=np.exp(population.log_share),
    )
