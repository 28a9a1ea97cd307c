"""-2LL, score and information of importance sampling against integrals over a grid, for every kind of structure.

The references are written anew, from the formulas: nothing of them passes through the likelihood that is tested.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm, t
from line_model import LINE

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.importance import importance_sample
from cellkinetics.fitting.pooled.modes import conditional_modes
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.residual import LOG_CONSTANT, Residual

DAYS = np.array([1.0, 2.0, 4.0, 7.0])
GRID = np.linspace(-7.0, 7.0, 101)
LOG_WEIGHT = norm.logpdf(GRID) + np.log(GRID[1] - GRID[0])
Density = Callable[[jax.Array, jax.Array, int], jax.Array]


@dataclass(frozen=True)
class Case:
    """A problem, where it is looked at, and ln p of its patients by integration."""

    problem: PooledProblem
    x: np.ndarray
    reference: Callable[[jax.Array], jax.Array]


def simulated(seed: int, n: int, omega=(0.6, 0.5)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    c0, k = (
        np.exp(m + s * rng.standard_normal((n, 1))) for m, s in zip((np.log(50.0), np.log(0.3)), omega, strict=True)
    )
    return c0 * np.exp(-k * DAYS + 0.3 * rng.standard_normal((n, len(DAYS))))


def over_two(log_density: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
    """ln of the integral over N(0, I) in two dimensions, of a log density of one point."""
    inner = jax.vmap(jax.vmap(log_density, in_axes=(None, 0)), in_axes=(0, None))(jnp.asarray(GRID), jnp.asarray(GRID))
    return logsumexp(inner + LOG_WEIGHT[:, None] + LOG_WEIGHT[None, :])


def correlated_covariate_and_every_censoring() -> Case:
    """Full Omega, a group on c0; samples below the LLOQ, between two limits, and above a ULOQ."""
    values, lloq, uloq = simulated(1, 5), 12.0, 60.0
    flags = np.where(values < lloq, 1, np.where(values > uloq, -1, 0))
    lower = np.where((flags == 1) & (values > 5.0), 5.0, np.nan)
    assert (flags == -1).any()
    assert np.isfinite(lower).any()
    assert ((flags == 1) & np.isnan(lower)).any()
    group = ["R", "NR", "R", "NR", "R"]
    cohort = Cohort.from_arrays(
        [DAYS.tolist()] * 5,
        np.where(flags == 1, lloq, values).tolist(),
        lloq=lloq,
        censored=flags.tolist(),
        lower=lower.tolist(),
        group=group,
    )
    cohort = replace(cohort, uloq=np.full(cohort.time.shape, uloq))
    problem = PooledProblem.from_cohort(cohort, LINE, omega="full", covariates=("c0 ~ group",))
    assert problem.labels == ("c0", "k", "beta_c0_group_NR", "omega_c0", "omega_k", "corr_c0_k", "sigma")
    x = np.array([np.log(45.0), np.log(0.25), 0.4, np.log(0.7), np.log(0.4), np.arctanh(-0.4), np.log(0.35)])

    def reference(v: jax.Array) -> jax.Array:
        first, second, rho, sigma = jnp.exp(v[3]), jnp.exp(v[4]), jnp.tanh(v[5]), jnp.exp(v[6])

        def patient(value: jax.Array, flag: jax.Array, low_end: jax.Array, other: jax.Array) -> jax.Array:
            def log_density(a: jax.Array, b: jax.Array) -> jax.Array:
                height = v[0] + v[2] * other + first * a
                f = height - jnp.exp(v[1] + second * (rho * a + jnp.sqrt(1 - rho**2) * b)) * DAYS
                below = norm.logcdf((np.log(lloq) - f) / sigma)
                low = norm.logcdf((np.log(5.0) - f) / sigma)
                # A slope that is no number must not pass: where there is no interval, and where it has no mass left.
                gap = jnp.minimum(jnp.where(jnp.isfinite(low_end), low - below, -1.0), -1e-12)
                part = jnp.where(jnp.isfinite(low_end), below + jnp.log1p(-jnp.exp(gap)), below)
                above = norm.logcdf((f - np.log(uloq)) / sigma)
                exact = norm.logpdf(jnp.log(value), f, sigma)
                return jnp.where(flag == 0, exact, jnp.where(flag == 1, part, above)).sum()

            return over_two(log_density)

        return jax.vmap(patient)(*map(jnp.asarray, (values, flags, lower, np.array(group) == "NR")))

    return Case(problem, x, reference)


def occasions_and_heavy_tails() -> Case:
    """c0 differs between patients, k between the two occasions of each; a residual of Student's t."""
    values = simulated(2, 8)
    cohort = Cohort.from_arrays([DAYS.tolist()] * 8, values.tolist(), subject=list("AABBCCDD"))
    cohort = replace(cohort, occasion=("1", "2") * 4)
    residual = Residual("student", "log", 4.0)
    problem = PooledProblem.from_cohort(cohort, LINE, residual=residual, iov=("k",), fix={"omega_k": 0.0})
    assert problem.labels == ("c0", "k", "omega_c0", "gamma_k", "sigma")
    x = np.array([np.log(45.0), np.log(0.25), np.log(0.5), np.log(0.4), np.log(0.25)])

    def reference(v: jax.Array) -> jax.Array:
        omega, gamma, sigma = jnp.exp(v[2]), jnp.exp(v[3]), jnp.exp(v[4])

        def patient(both_occasions: jax.Array) -> jax.Array:
            def occasion(a: jax.Array, value: jax.Array) -> jax.Array:
                def log_density(b: jax.Array) -> jax.Array:
                    f = v[0] + omega * a - jnp.exp(v[1] + gamma * b) * DAYS
                    return t.logpdf(jnp.log(value), 4.0, f, sigma).sum()

                return logsumexp(jax.vmap(log_density)(jnp.asarray(GRID)) + LOG_WEIGHT)

            both = jax.vmap(lambda a: sum(occasion(a, one) for one in both_occasions))(jnp.asarray(GRID))
            return logsumexp(both + LOG_WEIGHT)

        return jax.vmap(patient)(jnp.asarray(values.reshape(4, 2, len(DAYS))))

    return Case(problem, x, reference)


def two_classes_and_a_natural_residual() -> Case:
    """k of a second class is another; the residual is combined, on the natural scale."""
    values = simulated(3, 5)
    cohort = Cohort.from_arrays([DAYS.tolist()] * 5, values.tolist())
    residual = Residual("combined", "natural")
    problem = PooledProblem.from_cohort(cohort, LINE, residual=residual, mixture=("k",))
    assert problem.labels == (
        "c0", "k", "omega_c0", "omega_k", "shift_k_2", "share_2", "sigma_additive", "sigma_proportional",
    )  # fmt: skip
    x = np.array([np.log(45.0), np.log(0.2), np.log(0.6), np.log(0.3), 0.9, -0.5, np.log(1.5), np.log(0.2)])

    def reference(v: jax.Array) -> jax.Array:
        a, b, (first, second) = jnp.exp(v[6]), jnp.exp(v[7]), jnp.exp(v[2:4])
        shares = jax.nn.log_softmax(jnp.array([0.0, v[5]]))

        def patient(value: jax.Array) -> jax.Array:
            def of_class(shift: jax.Array) -> jax.Array:
                def log_density(p: jax.Array, q: jax.Array) -> jax.Array:
                    f = jnp.exp(v[0] + first * p - jnp.exp(v[1] + shift + second * q) * DAYS)
                    return norm.logpdf(value, f, a + b * f).sum()

                return over_two(log_density)

            return logsumexp(shares + jax.vmap(of_class)(jnp.stack([jnp.zeros(()), v[4]])))

        return jax.vmap(patient)(jnp.asarray(values))

    return Case(problem, x, reference)


@pytest.mark.parametrize(
    "build", [correlated_covariate_and_every_censoring, occasions_and_heavy_tails, two_classes_and_a_natural_residual]
)
def test_likelihood_score_and_information_are_those_of_the_integral(build):
    case = build()
    problem, x = case.problem, case.x
    modes = conditional_modes(problem, x)
    result = importance_sample(problem, x, modes, seed=2, target_se=0.03, min_draws=20_000)
    with jax.enable_x64(True):
        flat = jnp.asarray(x)
        each = np.asarray(jax.jit(case.reference)(flat))
        score = np.asarray(jax.jit(jax.grad(lambda v: case.reference(v).sum()))(flat))
        information = -np.asarray(jax.jit(jax.hessian(lambda v: case.reference(v).sum()))(flat))
    assert result.minus2ll == pytest.approx(-2 * each.sum(), abs=3 * result.mc_se)
    np.testing.assert_allclose(result.log_likelihood, each, atol=4 * result.log_likelihood_se.max())
    noise = np.sqrt(np.diag(result.score_noise))
    np.testing.assert_array_less(np.abs(result.score - score), 4 * noise + 1e-6)
    # The diagonal may be near zero, or negative, away from the maximum.
    own = np.abs(np.diag(information))
    own = np.sqrt(np.maximum(own, 0.1 * own.max()))
    size = np.outer(own, own)
    np.testing.assert_allclose(result.information / size, information / size, atol=0.08)


def test_a_patient_with_nothing_to_integrate_has_the_density_of_its_samples():
    """Naive pooling: no random effects, so that -2LL is a plain sum."""
    values = simulated(4, 3)
    cohort = Cohort.from_arrays([DAYS.tolist()] * 3, values.tolist())
    problem = PooledProblem.from_cohort(cohort, LINE, residual=LOG_CONSTANT, naive=True)
    assert problem.labels == ("c0", "k", "sigma")
    from cellkinetics.fitting.pooled.naive import naive_likelihood

    x = np.array([np.log(40.0), np.log(0.3), np.log(0.5)])
    result = naive_likelihood(problem, x)
    z = (np.log(values) - np.log(40.0) + 0.3 * DAYS) / 0.5
    assert result.minus2ll == pytest.approx((z**2 + np.log(2 * np.pi * 0.25)).sum(), rel=1e-12)
    # d ln L / d ln c0 = sum z / sigma, and its information n / sigma^2.
    assert result.score[0] == pytest.approx(z.sum() / 0.5, rel=1e-10)
    assert result.information[0, 0] == pytest.approx(12 / 0.25, rel=1e-10)
    assert result.mc_se == 0.0
