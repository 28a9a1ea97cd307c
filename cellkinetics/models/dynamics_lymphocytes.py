"""CAR T cells and the lymphocytes that come back after lymphodepletion, Kimmel 2021.

    dN/dt = -rN * N * ln(L / KN)                   normal T cells,  L = N + C
    dC/dt = -rC * C * ln(L / KC)                   CAR T cells
    dB/dt =  rB * B - gammaB * B * C / (kB + C)    tumour, which does not act on the cells
    rC    =  rhoC + b * (L - KN)^2 / (a * L^2 + (L - KN)^2)

States are ln N, ln C and ln B. What is measured, C, tells nothing about the tumour: the model that fitters take
has no parameter of it, `KIMMEL_TUMOUR` has them all.

Source: Kimmel GJ, Locke FL, Altrock PM. Proc R Soc B 2021;288:20210229, doi:10.1098/rspb.2021.0229,
equations 2.1 to 2.3, whose printed rC lacks a bracket; as written here in BioModels BIOMD0000001041.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cellkinetics.models.base import Parameter
from cellkinetics.models.dynamics import System, Values

_SOURCE = "Kimmel GJ et al. 2021, doi:10.1098/rspb.2021.0229; BioModels BIOMD0000001041"
_CELLS = (
    Parameter("c0", "log", "value", 1e-6, 1e5, "value at infusion"),
    Parameter("n0", "log", "value", 1e-3, 1e5, "normal T cells at infusion"),
    Parameter("kn", "log", "value", 1e-1, 1e7, "level that normal T cells tend to"),
    Parameter("kc", "log", "value", 1e-1, 1e7, "level of all T cells above which CAR T cells decline"),
    Parameter("rn", "log", "rate", 1e-3, 2.0, "growth rate of normal T cells"),
    Parameter("rhoc", "log", "rate", 1e-4, 2.0, "growth rate of CAR T cells once T cells are back"),
    Parameter("a", "log", "none", 1e-3, 1e2, "how early the return of T cells is felt"),
    Parameter("b", "log", "rate", 1e-3, 2.0, "additional growth rate of CAR T cells where T cells are few"),
)
_TUMOUR = (
    Parameter("b0", "log", "none", 1e-3, 1e6, "tumour at infusion, ml"),
    Parameter("rb", "log", "rate", 1e-4, 1.0, "growth rate of the tumour"),
    Parameter("gammab", "log", "rate", 1e-3, 20.0, "largest rate of killing"),
    Parameter("kb", "log", "value", 1e-3, 1e5, "CAR T cells at which killing is half of its largest rate"),
)


def _start(values: Values) -> jax.Array:
    return jnp.log(jnp.stack([values["n0"], values["c0"]]))


def _cells(values: Values, states: jax.Array) -> jax.Array:
    n, c = states[0], states[1]
    log_all = jnp.logaddexp(n, c)
    # b (L - KN)^2 / (a L^2 + (L - KN)^2), divided by L^2 or by KN^2 so that neither overflows
    away = log_all - jnp.log(values["kn"])
    small = away < 0.0
    ratio = jnp.exp(-jnp.abs(away))
    gap = (1.0 - ratio) ** 2
    felt = gap / (values["a"] * jnp.where(small, ratio**2, 1.0) + gap)
    growth = values["rhoc"] + values["b"] * felt
    return jnp.stack([-values["rn"] * away, -growth * (log_all - jnp.log(values["kc"]))])


def _all(values: Values, states: jax.Array) -> jax.Array:
    kill = values["gammab"] * jax.nn.sigmoid(states[1] - jnp.log(values["kb"]))
    return jnp.append(_cells(values, states), values["rb"] - kill)


def _car(values: Values, states: jax.Array) -> jax.Array:
    return states[1]


def _normal(values: Values, states: jax.Array) -> jax.Array:
    return states[0]


KIMMEL = System(
    name="kimmel",
    title="CAR T cells in competition with returning T cells (Kimmel 2021)",
    parameters=_CELLS,
    start=_start,
    before=_cells,
    after=None,
    log_value=_car,
    outputs={"car": _car, "normal": _normal},
    source=_SOURCE,
)
KIMMEL_TUMOUR = System(
    name="kimmel-tumour",
    title="CAR T cells, returning T cells and tumour (Kimmel 2021)",
    parameters=(*_CELLS, *_TUMOUR),
    start=lambda values: jnp.append(_start(values), jnp.log(values["b0"])),
    before=_all,
    after=None,
    log_value=_car,
    outputs={"car": _car, "normal": _normal, "tumour": lambda values, states: states[2]},
    source=_SOURCE,
)
