"""Effector and memory cells: first-order, saturable and logistic expansion, then contraction and persistence.

    t <  T:  dE/dt = g(E) * E                        dM/dt = 0
    t >= T:  dE/dt = -alpha * E                      dM/dt = k * E - beta * M,   k = F * (alpha - beta)
    C = E + M

    first order   g = rho                            model (A) of Stein 2019
    saturable     g = rho / (1 + E / Km)             Vmax * E / (Km + E) with Vmax = rho * Km
    logistic      g = rho * (1 - C / K)              K the carrying capacity

The growth rate rho follows from the peak, its day and the fold expansion, as in model (A):

    first order   rho = ln(foldx) / T
    saturable     rho = [ln(foldx) + (Cmax - Cmax/foldx) / Km] / T
    logistic      rho = [ln(foldx) + ln((1 - q/foldx) / (1 - q))] / T,   q = Cmax / K

so that Cmax is the peak in each of them. States are ln E and z = ln(M/E + F). However small F is, M keeps its
digits so: with ln(C/E), which starts at 0, the error of a step would grow with exp((alpha - beta) t).

Sources: first order, Stein AM et al. 2019, doi:10.1002/psp4.12388; saturable growth is named for ide-cel by
Wu F et al. 2025, doi:10.1007/s40262-025-01531-2; the forms here, and their parameters, are our own.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cellkinetics.models.base import Derived, Parameter
from cellkinetics.models.dynamics import System, Values
from cellkinetics.models.ecp import ECP

_STEIN = "Stein AM et al. 2019, doi:10.1002/psp4.12388"
_KM = Parameter("km", "log", "value", 1e-3, 1e9, "value at which the growth rate is half of what it was")
_FILLED = Parameter("filled", "logit", "none", 1e-6, 0.9999, "peak as a fraction of the carrying capacity")


def ratio_rate(conversion: jax.Array, loss: jax.Array, beta: jax.Array, z: jax.Array, floor: jax.Array) -> jax.Array:
    """Return dz/dt of z = ln(M/E + floor) where effectors are lost at ``loss`` and become memory at ``conversion``.

    (loss - beta) + (k - (loss - beta) * floor) * exp(-z)
    """
    return (loss - beta) + (conversion - (loss - beta) * floor) * jnp.exp(-z)


def log_all(x: jax.Array, z: jax.Array, floor: jax.Array) -> jax.Array:
    """Return ln(E + M) from ln E and z; ``floor`` below 1."""
    return x + jnp.logaddexp(jnp.log1p(-floor), z)


def log_memory(x: jax.Array, z: jax.Array, floor: jax.Array) -> jax.Array:
    """Return ln M from ln E and z: minus infinity where there is none."""
    return x + z + jnp.log(jnp.maximum(-jnp.expm1(jnp.log(floor) - z), 0.0))


def _rho_first_order(values: Values) -> jax.Array:
    return jnp.log(values["foldx"]) / values["tmax"]


def _rho_saturable(values: Values) -> jax.Array:
    peak, foldx = values["cmax"], values["foldx"]
    return (jnp.log(foldx) + (peak - peak / foldx) / values["km"]) / values["tmax"]


def _rho_logistic(values: Values) -> jax.Array:
    q, foldx = values["filled"], values["foldx"]
    return (jnp.log(foldx) + jnp.log1p(-q / foldx) - jnp.log1p(-q)) / values["tmax"]


def _system(
    name: str,
    title: str,
    extra: tuple[Parameter, ...],
    rho: Callable[[Values], jax.Array],
    shape: Callable[[Values, jax.Array], jax.Array],
    source: str,
) -> System:
    """Return the system whose growth rate is rho times a shape of ln E."""
    parameters = (*ECP.parameters[:3], *extra, *ECP.parameters[3:])
    names = [parameter.name for parameter in parameters]

    def start(values: Values) -> jax.Array:
        return jnp.stack([jnp.log(values["cmax"]) - jnp.log(values["foldx"]), jnp.log(values["fb"])])

    def before(values: Values, states: jax.Array) -> jax.Array:
        return jnp.stack([rho(values) * shape(values, states[0]), jnp.zeros_like(states[1])])

    def after(values: Values, states: jax.Array) -> jax.Array:
        alpha, beta = values["alpha"], values["beta"]
        conversion = values["fb"] * (alpha - beta)
        return jnp.stack([-alpha, ratio_rate(conversion, alpha, beta, states[1], values["fb"])])

    def named(theta: jax.Array) -> Values:
        return dict(zip(names, theta, strict=True))

    derived = (
        Derived("rho", lambda th: rho(named(th)), "rate", "growth rate far below saturation"),
        Derived("doubling_time", lambda th: jnp.log(2.0) / rho(named(th)), "time", "doubling time at that rate"),
        Derived("r0", lambda th: named(th)["cmax"] / named(th)["foldx"], "value", "value at infusion, extrapolated"),
        Derived("half_life_alpha", lambda th: jnp.log(2.0) / named(th)["alpha"], "time", "contraction half-life"),
        Derived("half_life_beta", lambda th: jnp.log(2.0) / named(th)["beta"], "time", "persistence half-life"),
    )
    outputs = {
        "car": lambda values, states: log_all(states[0], states[1], values["fb"]),
        "effector": lambda values, states: states[0],
        "memory": lambda values, states: log_memory(states[0], states[1], values["fb"]),
    }
    return System(
        name=name,
        title=title,
        parameters=parameters,
        start=start,
        before=before,
        after=after,
        log_value=outputs["car"],
        outputs=outputs,
        derived=derived,
        source=source,
    )


EFFECTOR_MEMORY = _system(
    "effector-memory",
    "effector and memory cells, first-order expansion (equals ecp)",
    (),
    _rho_first_order,
    lambda values, x: jnp.ones_like(x),
    _STEIN,
)
SATURABLE = _system(
    "saturable",
    "effector and memory cells, saturable expansion",
    (_KM,),
    _rho_saturable,
    # 1 / (1 + E/Km)
    lambda values, x: jax.nn.sigmoid(jnp.log(values["km"]) - x),
    f"own form of saturable growth, named by Wu F et al. 2025, doi:10.1007/s40262-025-01531-2; {_STEIN}",
)
LOGISTIC = _system(
    "logistic",
    "effector and memory cells, logistic expansion",
    (_FILLED,),
    _rho_logistic,
    # 1 - E/K
    lambda values, x: -jnp.expm1(x - jnp.log(values["cmax"]) + jnp.log(values["filled"])),
    f"own form of logistic growth; {_STEIN}",
)
