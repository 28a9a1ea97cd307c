"""Expansion, contraction, persistence: the closed form (A) of Stein et al. 2019.

    t <  T:  C = (Cmax / foldx) * exp(rho * t),   rho = ln(foldx) / T
    t >= T:  C = Cmax * [(1 - F) * exp(-alpha * (t - T)) + F * exp(-beta * (t - T))]

with T = tmax, F = fb. Equal to the two-state system dE/dt = rho*E, then -alpha*E; dM/dt = 0, then
F*(alpha - beta)*E - beta*M, with C = E + M. Everything is on the natural-log scale.

Source: Stein AM, Grupp SA, Levine JE, et al. CPT Pharmacometrics Syst Pharmacol 2019;8:285-295,
doi:10.1002/psp4.12388, Methods (model equations).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cellkinetics.models.base import Derived, LogCurve, Model, Parameter

SEARCH_WIDTH = 0.05
"""Width (days) of the smooth switch at Tmax that mode searches use; see `smooth_log_curve`."""


def log_curve(theta: jax.Array, time: jax.Array) -> jax.Array:
    """Return ln C(t) of model (A).

    Args:
        theta: (cmax, tmax, foldx, alpha, fb, beta), shape (6,).
        time: days from infusion, shape (m,); negative times are times before infusion, where the
            growth line is continued.

    Returns:
        ln C, shape (m,).

    Source: Stein 2019, doi:10.1002/psp4.12388, Methods.

    Example:
        >>> with jax.enable_x64(True):
        ...     theta = jnp.array([24000, 9.3, 3900, 0.16, 0.0079, 0.0032])
        ...     print(jnp.exp(log_curve(theta, jnp.array([14.0]))).round(6))
        [11411.534327]
    """
    # Continued as a constant before the peak: exp(-alpha * (t - T)) would overflow far before it.
    growth, decline = _growth(theta, time), _decline(theta, jnp.maximum(time - theta[1], 0.0))
    return jnp.where(time < theta[1], growth, decline)


def smooth_log_curve(width: float) -> LogCurve:
    """Return ln C(t) with growth and decline blended by w = 1/(1 + exp((t - T)/width)) on the log scale.

        ln C = w * ln C_growth + (1 - w) * ln C_decline

    where C_decline takes width * ln(1 + exp((t - T)/width)) for t - T.
    As ``width`` goes to 0 it becomes `log_curve`. It is continuously differentiable in ``tmax``, so
    that a conditional mode beside a sampling day has a gradient of zero and a curvature.
    This form is our own.
    """

    def curve(theta: jax.Array, time: jax.Array) -> jax.Array:
        after = (time - theta[1]) / width
        growth, decline = _growth(theta, time), _decline(theta, width * jax.nn.softplus(after))
        return decline + jax.nn.sigmoid(-after) * (growth - decline)

    return curve


def area(theta: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    """Return the exact area under C between two times (``end`` may be infinite, ``start`` >= 0).

        x <= T:  A(x) = (Cmax / foldx) * (exp(rho x) - 1) / rho
        x >  T:  A(x) = Cmax * [(1 - 1/foldx)/rho + (1 - F)(1 - exp(-alpha (x-T)))/alpha
                                + F (1 - exp(-beta (x-T)))/beta]

    The first term is exact where the paper prints 1/rho (Stein 2019, doi:10.1002/psp4.12388).
    """

    def cumulative(x: jax.Array) -> jax.Array:
        cmax, tmax, foldx, alpha, fb, beta = theta
        rho = jnp.log(foldx) / tmax
        rise = cmax / foldx * jnp.expm1(rho * jnp.minimum(x, tmax)) / rho
        # exp(-beta * inf) is 0, but its derivative is 0 * inf: an infinite end is a case of its own.
        endless = jnp.isinf(x)
        after = jnp.where(endless, 0.0, jnp.maximum(x - tmax, 0.0))
        gone = [jnp.where(endless, 1.0, -jnp.expm1(-rate * after)) for rate in (alpha, beta)]
        return rise + cmax * ((1 - fb) * gone[0] / alpha + fb * gone[1] / beta)

    return cumulative(end) - cumulative(start)


def _growth(theta: jax.Array, time: jax.Array) -> jax.Array:
    cmax, tmax, foldx = theta[0], theta[1], theta[2]
    return jnp.log(cmax) + jnp.log(foldx) * (time / tmax - 1.0)


def _decline(theta: jax.Array, after: jax.Array) -> jax.Array:
    cmax, _, _, alpha, fb, beta = theta
    return jnp.log(cmax) + jnp.logaddexp(jnp.log1p(-fb) - alpha * after, jnp.log(fb) - beta * after)


ECP = Model(
    name="ecp",
    title="expansion, contraction, persistence (Stein 2019)",
    parameters=(
        Parameter("cmax", "log", "value", 1e-3, 1e9, "value at the peak"),
        Parameter("tmax", "log", "time", 0.5, 60.0, "time of the peak, where growth ends"),
        Parameter("foldx", "log", "none", 1.0001, 1e8, "fold expansion from infusion to the peak"),
        Parameter("alpha", "log", "rate", 1e-3, 5.0, "contraction rate after the peak"),
        Parameter("fb", "logit", "none", 1e-7, 0.9999, "fraction of the peak on the persistent phase"),
        Parameter("beta", "log", "rate", 1e-6, 0.5, "persistence rate"),
    ),
    log_curve=log_curve,
    area=area,
    derived=(
        Derived(
            "doubling_time", lambda th: jnp.log(2.0) * th[1] / jnp.log(th[2]), "time", "doubling time of the expansion"
        ),
        Derived("rho", lambda th: jnp.log(th[2]) / th[1], "rate", "growth rate of the expansion"),
        Derived("r0", lambda th: th[0] / th[2], "value", "value at infusion, extrapolated"),
        Derived("half_life_alpha", lambda th: jnp.log(2.0) / th[3], "time", "contraction half-life"),
        Derived("half_life_beta", lambda th: jnp.log(2.0) / th[5], "time", "persistence half-life"),
        Derived(
            "auc_0_28", lambda th: area(th, jnp.asarray(0.0), jnp.asarray(28.0)), "area", "area from day 0 to day 28"
        ),
        Derived(
            "auc_0_inf",
            lambda th: area(th, jnp.asarray(0.0), jnp.asarray(jnp.inf)),
            "area",
            "area from day 0 to infinity",
        ),
    ),
    search_curve=smooth_log_curve(SEARCH_WIDTH),
    source="Stein AM et al. 2019, doi:10.1002/psp4.12388",
)
