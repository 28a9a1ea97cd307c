"""Weakly informative priors of a population, on the scale of its flat vector.

| element | prior | default |
|---|---|---|
| typical value | normal on the scale of the random effects | around the start, SD 2 (a factor of 50 either way) |
| covariate coefficient | normal around 0 | SD 1 for one SD of the covariate |
| omega, gamma | half-normal | scale 1 |
| correlations of a block | LKJ | eta 2 |
| shift of a sub-population | normal around 0 | SD 2 |
| shares | uniform | |
| residual | half-normal | scale 1; five times the start where it has the unit of the values |

The densities are those of the flat vector: with the Jacobians of ln, atanh and the logits.

Sources: Gelman A. Bayesian Anal 2006;1:515-534, doi:10.1214/06-BA117A (half-normal); Lewandowski D, Kurowicka D,
Joe H. J Multivar Anal 2009;100:1989-2001, doi:10.1016/j.jmva.2009.04.008 (LKJ).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.problem import PooledProblem, working
from cellkinetics.fitting.pooled.structure import FloatArray, Structure

TYPICAL_SD, SHIFT_SD, EFFECT_SD = 2.0, 2.0, 1.0
SD_SCALE, LKJ = 1.0, 2.0
RESIDUAL_STARTS = 5.0
NORMAL, HALF_NORMAL = ("typical", "coefficient", "shift"), ("omega", "gamma", "residual")


class Scales(NamedTuple):
    """Centres and scales of the priors, of the flat vector's length; ``lkj`` is one number."""

    centre: Any
    scale: Any
    lkj: Any


Given = Mapping[str, float | tuple[float, float]]
"""Label to (centre on the natural scale, SD on the working scale) of a normal prior, or to the scale of a half-normal
one; ``lkj`` to its eta."""


def prior_scales(problem: PooledProblem, start: FloatArray, given: Given | None = None) -> Scales:
    """Return the priors of a problem: those given, the rest by default.

    Args:
        problem: whose flat vector they are of.
        start: the flat vector around which typical values are expected.
        given: see `Given`.

    Raises:
        SettingsError: for a label that the problem does not have, a form that its prior does not take, or a scale
            that is not positive.
    """
    structure = problem.structure
    given = dict(given or {})
    lkj = float(given.pop("lkj", LKJ))  # type: ignore[arg-type]
    kinds = dict(zip(structure.labels, structure.kinds, strict=True))
    unknown = [label for label in given if kinds.get(label) not in (*NORMAL, *HALF_NORMAL)]
    if unknown:
        known = ", ".join(label for label, kind in kinds.items() if kind in (*NORMAL, *HALF_NORMAL))
        raise SettingsError(f"prior {unknown[0]!r}: there is {known}, lkj")
    columns = np.asarray(problem.samples.design)[: problem.n_real]
    centre, scale = np.zeros(len(start)), np.ones(len(start))
    for k, (label, kind) in enumerate(kinds.items()):
        if kind == "typical":
            centre[k], scale[k] = start[k], TYPICAL_SD
            if problem.model[label].transform == "identity":
                scale[k] = TYPICAL_SD * max(1.0, abs(float(start[k])))
        elif kind == "coefficient":
            c = k - structure.parts["beta"].start
            spread = float(columns[:, structure.coefficients[c].parameter, c].std())
            scale[k] = EFFECT_SD / spread if spread > 0 else EFFECT_SD
        elif kind == "shift":
            scale[k] = SHIFT_SD
        elif kind == "residual":
            unit = problem.residual.units[k - structure.parts["residual"].start]
            scale[k] = RESIDUAL_STARTS * float(np.exp(start[k])) if unit == "value" else SD_SCALE
        elif kind in HALF_NORMAL:
            scale[k] = SD_SCALE
        if label in given:
            centre[k], scale[k] = _given(problem, label, kind, given[label])
    if not lkj > 0:
        raise SettingsError(f"prior lkj: eta is a positive number, not {lkj!r}")
    return Scales(centre, scale, np.array(lkj))


def prior_potential(x: jax.Array, scales: Scales, structure: Structure) -> jax.Array:
    """Return -ln of the prior density of a flat vector, but for a constant."""
    total = jnp.zeros(())
    z = (x - scales.centre) / scales.scale
    for kind, name in (("typical", "mu"), ("coefficient", "beta"), ("shift", "shift")):
        assert kind in NORMAL
        total = total + 0.5 * (z[structure.parts[name]] ** 2).sum()
    for name in ("omega", "gamma", "residual"):
        part = structure.parts[name]
        sd = jnp.exp(x[part])
        total = total + (0.5 * (sd / scales.scale[part]) ** 2 - x[part]).sum()
    if structure.pairs:
        partial = x[structure.parts["correlation"]]
        # (1 - r^2)^alpha of r = tanh(z), the derivative of tanh included: ln(1 - tanh^2 z) = -2 ln cosh z.
        log_cosh = jnp.logaddexp(partial, -partial) - jnp.log(2.0)
        total = total + 2.0 * ((_levels(structure) + scales.lkj) * log_cosh).sum()
    if structure.classes > 1:
        logits = jnp.concatenate([jnp.zeros(1), x[structure.parts["share"]]])
        total = total - jax.nn.log_softmax(logits).sum()
    return total


def _levels(structure: Structure) -> FloatArray:
    """Return for each partial correlation half the number of variables of its block that are not yet joined."""
    found = {}
    for block in structure.blocks:
        rows = sorted(block)
        for b, j in enumerate(rows):
            for a in range(b):
                found[(j, rows[a])] = 0.5 * (len(rows) - a - 2)
    return np.array([found[pair] for pair in structure.pairs])


def _given(problem: PooledProblem, label: str, kind: str, value: float | tuple[float, float]) -> tuple[float, float]:
    pair = tuple(float(one) for one in value) if isinstance(value, (tuple, list)) else (float(value),)
    if len(pair) != (2 if kind in NORMAL else 1):
        form = "(value, SD)" if kind in NORMAL else "one scale, of a half-normal"
        raise SettingsError(f"prior {label}: give {form}, not {value!r}")
    if not 0 < pair[-1] < np.inf:
        raise SettingsError(f"prior {label}: the scale is a positive number, not {pair[-1]!r}")
    if kind == "typical":
        problem.model.check_values({label: pair[0]})
        return working(pair[0], kind, problem.model, label), pair[1]
    return (pair[0], pair[1]) if kind in NORMAL else (0.0, pair[0])
