"""From infusion to the peak: distribution, lag and growth, as pieces of exponentials.

    t <  T0:          C = (Cmax / foldx) * exp(delta * (T0 - t))            distribution
    T0 <= t < Tlag:   C = Cmax / foldx                                      lag
    Tlag <= t < T:    C = (Cmax / foldx) * exp(rho * G(t)),  rho = ln(foldx) / (T - Tlag)

    G(t) = integral from Tlag to t of prod_k F_k^[drug k is given at s] ds

Without a lag growth begins at T0, without a distribution at infusion. Without comedication G is the time
since growth began. Everything is on the natural-log scale.

Sources: growth and comedication, Stein AM et al. 2019, doi:10.1002/psp4.12388; lag, Ogasawara K et al. 2021,
doi:10.1007/s40262-021-01039-5; the distribution phase is named by Liu C et al. 2021, its form here is our own.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp

LATEST = 0.99
"""Growth begins at the latest at this fraction of Tmax, so that it has a rate whatever the parameters."""


class Rise(NamedTuple):
    """The parameters of the curve before the peak; scalars, natural scale.

    Attributes:
        cmax, tmax, foldx: peak without comedication, its day, fold expansion.
        begin: day on which growth begins; None for infusion, before which the growth line is continued.
        nadir, delta: end and rate of the distribution phase; None without one.
        factors: one factor of the growth rate a drug, ``(k,)``; None without drugs.
        windows: ``(k, w, 2)``, from and to which day each drug is given.
    """

    cmax: jax.Array
    tmax: jax.Array
    foldx: jax.Array
    begin: jax.Array | None = None
    nadir: jax.Array | None = None
    delta: jax.Array | None = None
    factors: jax.Array | None = None
    windows: jax.Array | None = None


def log_rise(rise: Rise, time: jax.Array, width: float | None = None) -> jax.Array:
    """Return ln C(t) before the peak, continued beyond it; shape of ``time``.

    Args:
        rise: the parameters.
        time: days.
        width: corners at the nadir and the lag are rounded over this many days; None leaves them sharp.
    """
    begin = jnp.zeros_like(rise.tmax) if rise.begin is None else rise.begin
    since = time - begin
    grown = since if rise.begin is None else _ramp(since, width)
    if rise.factors is not None and rise.windows is not None:
        grown = grown + _gained(rise, begin, time)
    level = jnp.log(rise.cmax) + jnp.log(rise.foldx) * (grown / (rise.tmax - begin) - 1.0)
    if rise.nadir is None or rise.delta is None:
        return level
    return level + rise.delta * _ramp(rise.nadir - time, width)


def log_peak(rise: Rise) -> jax.Array:
    """Return ln C at Tmax: ln Cmax, but for comedication, which makes the realised peak another one."""
    if rise.factors is None or rise.windows is None:
        return jnp.log(rise.cmax)
    return log_rise(rise, rise.tmax)


def rise_area(rise: Rise, start: jax.Array, end: jax.Array) -> jax.Array:
    """Return the exact area under the rise between two days, of which what lies beyond Tmax does not count.

        each piece of an exponential:  (C2 - C1) / (ln C2 - ln C1) * (t2 - t1)

    written with expm1, so that a piece of constant level keeps its digits.
    """
    last = jnp.minimum(end, rise.tmax)
    first = jnp.minimum(start, last)
    corners = [rise.begin] if rise.begin is not None else []
    corners += [rise.nadir] if rise.nadir is not None else []
    flat = [jnp.stack(corners)] if corners else []
    if rise.windows is not None and rise.factors is not None:
        flat.append(rise.windows.ravel())
    inside = jnp.concatenate([first[None], *flat, last[None]])
    time = jnp.sort(jnp.clip(inside, first, last))
    level = log_rise(rise, time)
    return (jnp.diff(time) * jnp.exp(level[:-1]) * _mean_growth(jnp.diff(level))).sum()


def corners(rise: Rise) -> jax.Array:
    """Return the days before Tmax on which the slope of ln C changes, ``(c,)``."""
    single = [day[None] for day in (rise.begin, rise.nadir) if day is not None]
    if rise.windows is not None and rise.factors is not None:
        single.append(rise.windows.ravel())
    return jnp.concatenate(single) if single else jnp.zeros(0)


def _ramp(x: jax.Array, width: float | None) -> jax.Array:
    """Return max(x, 0), or a smooth form of it."""
    return jnp.maximum(x, 0.0) if width is None else width * jax.nn.softplus(x / width)


def _gained(rise: Rise, begin: jax.Array, time: jax.Array) -> jax.Array:
    """Return G(t) less the time since growth began: what the drugs added.

    prod_k (1 + (F_k - 1) 1_k(s)) - 1 = sum over sets of drugs of prod (F_k - 1) 1_k(s)
    """
    assert rise.factors is not None and rise.windows is not None  # noqa: PT018  (for the type checker)
    total = jnp.zeros_like(time)
    drugs = range(rise.windows.shape[0])
    for size in range(1, len(drugs) + 1):
        for chosen in itertools.combinations(drugs, size):
            on, off = rise.windows[chosen[0], :, 0], rise.windows[chosen[0], :, 1]
            for k in chosen[1:]:
                on = jnp.maximum(on[:, None], rise.windows[k, :, 0]).ravel()
                off = jnp.minimum(off[:, None], rise.windows[k, :, 1]).ravel()
            common = jnp.minimum(off, time[..., None]) - jnp.maximum(on, begin)
            factor = jnp.prod(jnp.stack([rise.factors[k] - 1.0 for k in chosen]))
            total = total + factor * jnp.maximum(common, 0.0).sum(axis=-1)
    return total


def _mean_growth(x: jax.Array) -> jax.Array:
    """Return (exp(x) - 1)/x, and its limit 1 + x/2 near 0."""
    small = jnp.abs(x) < 1e-5
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1.0 + x / 2.0 + x**2 / 6.0, jnp.expm1(safe) / safe)
