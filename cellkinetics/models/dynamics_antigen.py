"""CAR T cells that expand on their antigen: effectors, memory cells and what they kill.

**Antigen** (predator and prey, our own parameters), b = B / h the antigen in units of its half-maximal burden:

    dE/dt = rho * E * b / (1 + b) - alpha * E
    dM/dt = k * E - beta * M                                        C = E + M
    db/dt = r * b - kill * b * E / (E50 + E)

**Chaudhury 2020, first order** (their equations of expansion and persistence, C = E + P):

    t <  T:  dE/dt = rho * E               dP/dt = 0
    t >= T:  dE/dt = -(kE + kEP) * E       dP/dt = kEP * E - beta * P

**Chaudhury 2020, EC50** (equations 7 to 9, BioModels BIOMD0000001025):

    t <  T:  dE/dt = rho * E * U / (EC50rho + E + U)      dP/dt = 0
    t >= T:  as first order
    dU/dt = Fcure * g * U * (1 - log U / log Umax) - d * E * U / (EC50d + E + U),   Fcure = 1 / (1 + (Ucrit/U)^h)

**Chaudhury 2020, Lotka and Volterra** (equations 4 and 5, BioModels BIOMD0000001024):

    dE/dt = rho * E * U - kE * E           dU/dt = g * U - d * E * U

States are ln E, z = ln(M/E + k * 1 day), or kEP for k, and ln U or ln b; why z, see
`cellkinetics.models.dynamics_expansion`.

Source: Chaudhury A, Zhu X, Chu L, et al. J Clin Pharmacol 2020;60(S1), doi:10.1002/jcph.1691.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cellkinetics.models.base import Derived, Parameter
from cellkinetics.models.dynamics import System, Values
from cellkinetics.models.dynamics_expansion import log_all, log_memory, ratio_rate

_CHAUDHURY = "Chaudhury A et al. 2020, doi:10.1002/jcph.1691"


def _rate(name: str, low: float, high: float, meaning: str) -> Parameter:
    return Parameter(name, "log", "rate", low, high, meaning)


def _level(name: str, meaning: str, low: float = 1e-3, high: float = 1e6) -> Parameter:
    return Parameter(name, "log", "value", low, high, meaning)


_TMAX = Parameter("tmax", "log", "time", 0.5, 60.0, "time of the peak, where expansion ends")
_C0 = _level("c0", "value at infusion", low=1e-6)
_BETA = _rate("beta", 1e-6, 0.5, "persistence rate")
_KE = _rate("ke", 1e-3, 5.0, "death rate of expanding cells")
_KEP = _rate("kep", 1e-7, 0.5, "rate at which expanding cells become persistent ones")


def _car(values: Values, states: jax.Array) -> jax.Array:
    return log_all(states[0], states[1], values["kep"])


def _expanding(values: Values, states: jax.Array) -> jax.Array:
    return states[0]


def _persistent(values: Values, states: jax.Array) -> jax.Array:
    return log_memory(states[0], states[1], values["kep"])


def _prey(values: Values, states: jax.Array) -> jax.Array:
    return states[-1]


# Antigen


def _antigen_start(values: Values) -> jax.Array:
    return jnp.log(jnp.stack([values["c0"], values["conversion"], values["antigen"]]))


def _antigen(values: Values, states: jax.Array) -> jax.Array:
    x, z, b = states
    growth = values["rho"] * jax.nn.sigmoid(b) - values["alpha"]
    kill = values["kill"] * jax.nn.sigmoid(x - jnp.log(values["e50"]))
    k = values["conversion"]
    return jnp.stack([growth, ratio_rate(k, -growth, values["beta"], z, k), values["growth"] - kill])


ANTIGEN = System(
    name="antigen",
    title="effector and memory cells that expand on their antigen and kill what bears it",
    parameters=(
        _C0,
        _rate("rho", 0.05, 5.0, "growth rate of effectors where antigen abounds"),
        _rate("alpha", 1e-3, 2.0, "loss rate of effectors"),
        _rate("conversion", 1e-7, 0.5, "rate at which effectors make memory cells"),
        _BETA,
        Parameter("antigen", "log", "none", 1e-2, 1e4, "antigen at infusion in units of its half-maximal burden"),
        _rate("growth", 1e-4, 0.5, "growth rate of what bears the antigen"),
        _rate("kill", 1e-2, 10.0, "largest rate of killing"),
        _level("e50", "effectors at which killing is half of its largest rate"),
    ),
    start=_antigen_start,
    before=_antigen,
    after=None,
    log_value=lambda values, states: log_all(states[0], states[1], values["conversion"]),
    outputs={
        "car": lambda values, states: log_all(states[0], states[1], values["conversion"]),
        "effector": _expanding,
        "memory": lambda values, states: log_memory(states[0], states[1], values["conversion"]),
        "antigen": _prey,
    },
    derived=(
        Derived("half_life_alpha", lambda th: jnp.log(2.0) / th[2], "time", "half-life of effectors without antigen"),
        Derived("half_life_beta", lambda th: jnp.log(2.0) / th[4], "time", "persistence half-life"),
    ),
    source="predator and prey with saturable growth and killing: own form",
)


# Chaudhury 2020


def _contraction(values: Values, states: jax.Array) -> jax.Array:
    """Return the rates of ln E and of z after the peak."""
    loss = values["ke"] + values["kep"]
    return jnp.stack([-loss, ratio_rate(values["kep"], loss, values["beta"], states[1], values["kep"])])


FIRST_ORDER = System(
    name="chaudhury-first-order",
    title="expanding and persistent cells, first-order expansion (Chaudhury 2020)",
    parameters=(_C0, _rate("rho", 0.05, 5.0, "growth rate until the peak"), _TMAX, _KE, _KEP, _BETA),
    start=lambda values: jnp.log(jnp.stack([values["c0"], values["kep"]])),
    before=lambda values, states: jnp.stack([values["rho"], jnp.zeros_like(states[1])]),
    after=_contraction,
    log_value=_car,
    outputs={"car": _car, "expanding": _expanding, "persistent": _persistent},
    derived=(
        Derived("doubling_time", lambda th: jnp.log(2.0) / th[1], "time", "doubling time of the expansion"),
        Derived("cmax", lambda th: th[0] * jnp.exp(th[1] * th[2]), "value", "value at the peak"),
        Derived("half_life_beta", lambda th: jnp.log(2.0) / th[5], "time", "persistence half-life"),
    ),
    source=_CHAUDHURY,
)


def _tumour(values: Values, x: jax.Array, u: jax.Array) -> jax.Array:
    """Return d ln U / dt of the EC50 model."""
    cure = jax.nn.sigmoid(values["h"] * (u - jnp.log(values["ucrit"])))
    return cure * values["g"] * (1.0 - u / jnp.log(values["umax"])) - values["d"] * _share(values["ec50_d"], x, u, x)


def _share(half: jax.Array, x: jax.Array, u: jax.Array, of: jax.Array) -> jax.Array:
    """Return exp(of) / (half + exp(x) + exp(u)), which stays a number however large x and u are."""
    return jnp.exp(of - jax.nn.logsumexp(jnp.stack([jnp.log(half), x, u])))


def _ec50_before(values: Values, states: jax.Array) -> jax.Array:
    x, z, u = states
    return jnp.stack([values["rho"] * _share(values["ec50_rho"], x, u, u), jnp.zeros_like(z), _tumour(values, x, u)])


def _ec50_after(values: Values, states: jax.Array) -> jax.Array:
    return jnp.append(_contraction(values, states), _tumour(values, states[0], states[2]))


EC50 = System(
    name="chaudhury-ec50",
    title="expanding and persistent cells and tumour, EC50 expansion and killing (Chaudhury 2020)",
    parameters=(
        _C0,
        _rate("rho", 0.05, 50.0, "growth rate where tumour abounds"),
        _level("ec50_rho", "cells at which expansion is half of its largest rate"),
        _TMAX,
        _KE,
        _KEP,
        _BETA,
        _level("u0", "tumour cells at infusion", low=1e-2),
        _rate("g", 1e-4, 1.0, "growth rate of the tumour"),
        _level("umax", "capacity of the tumour, above 1", low=10.0, high=1e7),
        _level("ucrit", "tumour cells below which it no longer grows", high=1e2),
        Parameter("h", "log", "none", 0.5, 10.0, "steepness of that threshold"),
        _rate("d", 1e-3, 5.0, "largest rate of killing"),
        _level("ec50_d", "cells at which killing is half of its largest rate"),
    ),
    start=lambda values: jnp.log(jnp.stack([values["c0"], values["kep"], values["u0"]])),
    before=_ec50_before,
    after=_ec50_after,
    log_value=_car,
    outputs={"car": _car, "expanding": _expanding, "persistent": _persistent, "tumour": _prey},
    derived=(Derived("half_life_beta", lambda th: jnp.log(2.0) / th[6], "time", "persistence half-life"),),
    source=f"{_CHAUDHURY}, equations 7 to 9; BioModels BIOMD0000001025",
)


def _lotka_volterra(values: Values, states: jax.Array) -> jax.Array:
    x, u = states
    return jnp.stack([values["rho"] * jnp.exp(u) - values["ke"], values["g"] - values["d"] * jnp.exp(x)])


LOTKA_VOLTERRA = System(
    name="chaudhury-lotka-volterra",
    title="CAR T cells and tumour as predator and prey (Chaudhury 2020)",
    parameters=(
        _C0,
        Parameter("rho", "log", "none", 1e-6, 1e-1, "growth rate a tumour cell, 1/(value*day)"),
        _KE,
        _level("u0", "tumour cells at infusion", low=1e-2, high=1e5),
        _rate("g", 1e-4, 1.0, "growth rate of the tumour"),
        Parameter("d", "log", "none", 1e-6, 1e-1, "rate of killing a CAR T cell, 1/(value*day)"),
    ),
    start=lambda values: jnp.stack([jnp.log(values["c0"]), jnp.log(values["u0"])]),
    before=_lotka_volterra,
    after=None,
    log_value=_expanding,
    outputs={"car": _expanding, "tumour": _prey},
    derived=(Derived("half_life_ke", lambda th: jnp.log(2.0) / th[2], "time", "half-life without tumour"),),
    source=f"{_CHAUDHURY}, equations 4 and 5; BioModels BIOMD0000001024",
)
