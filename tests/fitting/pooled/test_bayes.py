"""The posterior is the one that can be worked out, and the priors are densities of the flat vector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.bayes import Posterior, Sampling, natural_draws, smooth_twin
from cellkinetics.fitting.pooled.estimation import pool
from cellkinetics.fitting.pooled.nuts import Coordinates, _natural, _Place, potential
from cellkinetics.fitting.pooled.priors import Scales, prior_potential, prior_scales
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.structure import Form, Structure
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.published import library
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import LOG_CONSTANT

LEVEL = Model(
    name="level",
    title="a constant level on the log scale",
    parameters=(Parameter("level", "identity", "none", -50.0, 50.0, "ln of the level"),),
    log_curve=lambda theta, t: theta[0] + 0.0 * t,
)
OMEGA, SIGMA, SAMPLES, PATIENTS = 0.8, 0.5, 3, 10
PRIOR = (3.0, 0.4)
START = library["stein2019"].typical


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    rng = np.random.default_rng(5)
    y = 3.6 + OMEGA * rng.standard_normal((PATIENTS, 1)) + SIGMA * rng.standard_normal((PATIENTS, SAMPLES))
    return Cohort.from_arrays([[1.0, 2.0, 3.0]] * PATIENTS, np.exp(y).tolist())


@pytest.fixture(scope="module")
def fit(cohort: Cohort) -> PopulationFit:
    return pool(
        cohort,
        model=LEVEL,
        method="bayes",
        start={"level": 3.0},
        fix={"omega_level": OMEGA, "sigma": SIGMA},
        sampling=Sampling(chains=4, warmup=100, draws=250, priors={"level": PRIOR}),
        seed=2,
    )


def test_posterior_of_a_normal_model_is_the_one_worked_out_by_hand(fit: PopulationFit, cohort: Cohort) -> None:
    # Patients' means are N(mu, omega^2 + sigma^2/m); with a normal prior the posterior of mu is normal too.
    means = np.log(cohort.value).mean(axis=1)
    precision = 1 / PRIOR[1] ** 2 + PATIENTS / (OMEGA**2 + SIGMA**2 / SAMPLES)
    mean = (PRIOR[0] / PRIOR[1] ** 2 + means.sum() / (OMEGA**2 + SIGMA**2 / SAMPLES)) / precision
    sd = precision**-0.5
    assert fit.posterior is not None
    draws = fit.posterior.x[:, :, 0].ravel()
    error = sd / np.sqrt(fit.posterior.ess[0])
    assert abs(draws.mean() - mean) < 4 * error
    assert draws.std() == pytest.approx(sd, rel=0.15)
    row = fit["level"]
    assert row.estimate == pytest.approx(draws.mean())
    assert row.se == pytest.approx(draws.std(ddof=1))
    assert (row.ci_low, row.ci_high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


def test_result_says_what_it_rests_on(fit: PopulationFit) -> None:
    assert fit.uncertainty == "posterior"
    assert fit.converged
    assert fit.status.startswith("converged: 4 chains agree (largest R-hat ")
    assert fit.posterior is not None
    assert fit.posterior.divergences == 0
    table = fit.posterior.table
    assert list(table.columns) == ["chain", "draw", "level"]
    assert table.shape == (1000, 3)
    assert table["chain"].iloc[-1] == 4
    assert table["draw"].iloc[-1] == 250
    record = fit.to_dict()
    assert record["posterior"]["parameters"][0]["name"] == "level"
    assert record["posterior"]["draws"] == 250
    assert fit["sigma"].se is None
    assert fit["sigma"].reason == "fixed"


def test_chains_that_differ_or_diverge_are_not_called_converged() -> None:
    x = np.zeros((2, 60, 1))
    good = Posterior(("a",), (0,), x, x, np.array([1.005]), np.array([500.0]), 0, 7.0)
    assert good.faults == ()
    bad = Posterior(("a",), (0,), x, x, np.array([1.03]), np.array([50.0]), 2, 7.0)
    assert bad.faults == ("the chains differ (R-hat of a is 1.030)", "2 of 120 trajectories diverged")
    lost = Posterior(("a",), (0,), x, x, np.array([np.nan]), np.array([50.0]), 0, 7.0)
    assert lost.faults  # an R-hat that cannot be had is no agreement


def structured() -> PooledProblem:
    cohort = Cohort.from_arrays(
        [[2.0, 9.0, 14.0, 28.0, 90.0]] * 6,
        [[90.0, 9e3, 4e3, 300.0, 80.0]] * 6,
        lloq=50.0,
        group=["R", "NR"] * 3,
    )
    return PooledProblem.from_cohort(
        cohort, get_model("ecp+smooth"), omega="cmax,foldx,alpha;tmax,fb", covariates=["cmax ~ group"]
    )


def test_coordinates_of_the_sampler_carry_their_volume() -> None:
    problem = structured()
    structure, n = problem.structure, problem.n_real
    rng = np.random.default_rng(0)
    k, d = len(problem.labels), structure.n_latent
    origin = rng.normal(0.0, 0.4, k)
    with jax.enable_x64(True):
        samples = jax.tree.map(lambda a: jnp.asarray(a)[:n], problem.samples)
        at = Coordinates(
            jnp.asarray(origin),
            jnp.arange(k),
            jnp.asarray(np.tril(rng.normal(0.0, 0.3, (k, k)))),
            jnp.asarray([name == "beta" for name in structure.random_names]),
            jnp.asarray(rng.uniform(0.0, 1.0, (n, structure.n_random))) * (np.arange(structure.n_random) < 5),
            jnp.asarray(rng.normal(0.0, 1.0, (n, d))),
            jnp.ones((n, d)),
        )
        place = _Place(jnp.asarray(rng.normal(0.0, 1.0, k)), jnp.asarray(rng.normal(0.0, 1.0, (n, d))))

        def both(flat: jax.Array) -> jax.Array:
            x, u, _ = _natural(_Place(flat[:k], flat[k:].reshape(n, d)), at, samples, problem.form)
            return jnp.concatenate([x, u.ravel()])

        _, _, volume = _natural(place, at, samples, problem.form)
        flat = jnp.concatenate([place.x, place.e.ravel()])
        _, logdet = jnp.linalg.slogdet(jax.jacfwd(both)(flat))
        _, constant = jnp.linalg.slogdet(at.scale)
        assert float(volume) == pytest.approx(float(logdet - constant), rel=1e-10)
        # Where nothing is centred, and at the origin, the sampler moves in u itself but for correlations.
        still = at._replace(kappa=jnp.zeros_like(at.kappa), signed=jnp.zeros_like(at.signed))
        x, u, _ = _natural(place._replace(x=jnp.zeros(k)), still, samples, problem.form)
        correlation = structure.values(origin).factor
        correlation = correlation / np.sqrt((correlation**2).sum(1))[:, None]
        np.testing.assert_allclose(np.asarray(u) @ correlation.T, np.asarray(at.middle + place.e), atol=1e-10)
        np.testing.assert_array_equal(np.asarray(x), origin)


def test_density_is_smooth_where_an_omega_passes_through_zero() -> None:
    problem = structured()
    structure, n = problem.structure, problem.n_real
    rng = np.random.default_rng(4)
    k, d = len(problem.labels), structure.n_latent
    scales = prior_scales(problem, np.zeros(k))
    element = structure.parts["omega"].start + structure.random_names.index("beta")
    start = problem.pack({**START}, {}, [0.6])
    with jax.enable_x64(True):
        samples = jax.tree.map(lambda a: jnp.asarray(a)[:n], problem.samples)
        at = Coordinates(
            jnp.asarray(start),
            jnp.arange(k),
            jnp.eye(k),
            jnp.asarray([name == "beta" for name in structure.random_names]),
            jnp.zeros((n, structure.n_random)),
            jnp.asarray(rng.normal(0.0, 1.0, (n, d))),
            jnp.ones((n, d)),
        )

        def value(step: float) -> float:
            place = _Place(jnp.zeros(k).at[element].set(-1.0 + step), jnp.zeros((n, d)))
            return float(potential(place, at, samples, scales, problem.form))

        left, right = (value(0.0 - 1e-4) - value(-2e-4)) / 1e-4, (value(2e-4) - value(1e-4)) / 1e-4
    assert right == pytest.approx(left, abs=0.05)
    assert abs(right) > 0.5


def test_priors_are_those_that_are_named() -> None:
    problem = structured()
    start = np.zeros(len(problem.labels))
    scales = prior_scales(problem, start, {"cmax": (2e4, 0.5), "omega_fb": 0.3, "sigma": 2.0})
    structure = problem.structure
    labels = structure.labels
    with jax.enable_x64(True):

        def log_density(x: np.ndarray) -> float:
            return -float(prior_potential(jnp.asarray(x), scales, structure))

        def change(label: str, value: float) -> float:
            x = start.copy()
            x[labels.index(label)] = value
            return log_density(x) - log_density(start)

        def normal(value: float, centre: float, scale: float) -> float:
            pdf = scipy.stats.norm(centre, scale).logpdf
            return float(pdf(value) - pdf(0.0))

        def half_normal(log_sd: float, scale: float) -> float:
            pdf = scipy.stats.halfnorm(scale=scale).logpdf
            return float(pdf(np.exp(log_sd)) + log_sd - pdf(1.0))

        assert change("cmax", 1.3) == pytest.approx(normal(1.3, np.log(2e4), 0.5))
        assert change("tmax", 1.3) == pytest.approx(normal(1.3, 0.0, 2.0))
        # Three of six patients are in group R: the SD of the indicator is 1/2.
        assert change("beta_cmax_group_R", 1.3) == pytest.approx(normal(1.3, 0.0, 2.0))
        assert change("omega_fb", -0.7) == pytest.approx(half_normal(-0.7, 0.3))
        assert change("omega_cmax", -0.7) == pytest.approx(half_normal(-0.7, 1.0))
        assert change("sigma", 0.4) == pytest.approx(half_normal(0.4, 2.0))


def test_prior_of_correlations_is_lkj() -> None:
    structure = Structure(("a", "b", "c"), (0, 1, 2), ("sigma",), blocks=((0, 1, 2),))
    form = Form(LEVEL, LOG_CONSTANT, structure)
    part = structure.parts["correlation"]
    rng = np.random.default_rng(1)
    gaps = []
    with jax.enable_x64(True):
        k = len(structure.labels)
        scales = Scales(jnp.zeros(k), jnp.ones(k), jnp.asarray(3.5))

        def matrix(z: jax.Array) -> jax.Array:
            factor = form.structure.unpack(jnp.zeros(k).at[part].set(z)).factor
            return factor @ factor.T

        for _ in range(4):
            z = jnp.asarray(rng.normal(0.0, 0.8, 3))
            jacobian = jax.jacfwd(lambda v: matrix(v)[jnp.array([1, 2, 2]), jnp.array([0, 0, 1])])(z)
            _, volume = jnp.linalg.slogdet(jacobian)
            wanted = (3.5 - 1) * jnp.log(jnp.linalg.det(matrix(z))) + volume
            gaps.append(float(-prior_potential(jnp.zeros(k).at[part].set(z), scales, structure) - wanted))
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9)


def test_draws_are_taken_to_the_natural_scale() -> None:
    problem = structured()
    rng = np.random.default_rng(3)
    x = rng.normal(0.0, 0.3, (2, 3, len(problem.labels)))
    natural = natural_draws(problem.form, x)
    values = problem.structure.values(x[1, 2])
    omega = values.factor @ values.factor.T
    row = dict(zip(problem.labels, natural[1, 2], strict=True))
    assert row["cmax"] == pytest.approx(np.exp(values.mu[0]))
    assert row["fb"] == pytest.approx(1 / (1 + np.exp(-values.mu[4])))
    assert row["omega_alpha"] == pytest.approx(np.sqrt(omega[3, 3]))
    assert row["corr_foldx_alpha"] == pytest.approx(omega[2, 3] / np.sqrt(omega[2, 2] * omega[3, 3]))


def test_a_sharp_peak_is_exchanged_for_its_smooth_twin() -> None:
    twin, words = smooth_twin(get_model("ecp+lag"))
    assert twin.name == "ecp+lag+smooth"
    assert "ecp+lag+smooth was fitted" in words
    assert smooth_twin(get_model("ecp+smooth=0.1")) == (get_model("ecp+smooth=0.1"), "")


def test_what_a_posterior_cannot_be_drawn_with_is_refused(cohort: Cohort) -> None:
    problem = structured()
    with pytest.raises(SettingsError, match="prior 'kmax'"):
        prior_scales(problem, np.zeros(len(problem.labels)), {"kmax": 1.0})
    with pytest.raises(SettingsError, match="prior omega_cmax: give one scale"):
        prior_scales(problem, np.zeros(len(problem.labels)), {"omega_cmax": (1.0, 2.0)})
    with pytest.raises(SettingsError, match="prior cmax: the scale is a positive number"):
        prior_scales(problem, np.zeros(len(problem.labels)), {"cmax": (2e4, 0.0)})
    with pytest.raises(SettingsError, match="at least 2 chains"):
        Sampling(chains=1)
    with pytest.raises(SettingsError, match="does not go with method bayes"):
        pool(cohort, model=LEVEL, method="bayes", start={"level": 3.0}, uncertainty="sandwich")
    with pytest.raises(SettingsError, match="belongs to method bayes"):
        pool(cohort, model=LEVEL, method="focei", start={"level": 3.0}, sampling=Sampling())
