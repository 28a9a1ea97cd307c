"""Likelihood of quantified and censored samples under a normal or Student-t residual (method M3).

    quantified:            -ln p((y - f)/sd) + ln sd
    below the LLOQ:        -ln P((y - f)/sd),                       y the LLOQ
    in an interval:        -ln{P((y - f)/sd) - P((l - f)/sd)},      y the LLOQ, l the interval's lower end
    above the ULOQ:        -ln P((f - y)/sd),                       y the ULOQ

with density p and distribution function P of the standard normal, or of Student's t. The flag ``censored`` is 0,
1 and -1; a sample with the flag 1 and a finite ``lower`` lies in an interval. Each function works elementwise.

Source: Beal SL. J Pharmacokinet Pharmacodyn 2001;28:481-504, doi:10.1023/A:1012299115260 (M3).
"""

from __future__ import annotations

from functools import cache
from math import lgamma
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_2PI = 1.8378770664093453


_MILLS = (
    0.4615158298500376,
    -0.09155228183400876,
    0.031030368425967954,
    0.010002352385284262,
    -0.026401042966247477,
    0.024536963241068015,
    -0.015170415406543484,
    0.006522000707034131,
    -0.0016760722929511688,
    7.791301118647714e-06,
    0.0001823338324425881,
    -5.360627205228855e-05,
    -9.89501966200997e-06,
    9.056198516776376e-06,
    -7.261725980260191e-08,
    -1.3009679622702841e-06,
    1.308576652934397e-07,
    1.8881259154914373e-07,
    -2.866497453420702e-08,
    -2.5598606571728995e-08,
    4.685859298133875e-09,
    2.2277325934102914e-09,
    -4.836186230498094e-10,
)
"""(1 + y) P(-y) exp(y^2/2) as a polynomial in (y - 5)/(y + 5): a Chebyshev expansion of degree 22, exact to 2e-15."""


@jax.custom_jvp
def log_ndtr(z: jax.Array) -> jax.Array:
    """Return ln of the distribution function P of the standard normal.

        z <= 0:    -z^2/2 + ln g,  g = P(-y) exp(y^2/2) with y = |z|
        z > 0:     ln(1 - h),      h = g exp(-z^2/2)

    g, Mills' ratio but for a constant, falls slowly, and one polynomial in (y - 5)/(y + 5) holds for all y. JAX has
    this function too; ours takes a fraction of the time, and a fit takes most of its time here. The relative error is
    below 2e-13.

    Source: transformation of the argument, Shepherd MM, Laframboise JG. Math Comp 1981;36:249-253,
    doi:10.1090/S0025-5718-1981-0595058-X; the coefficients are ours.

    Example:
        >>> with jax.enable_x64(True):
        ...     print(log_ndtr(jnp.array([0.0, -3.0, -30.0])).round(6))
        [  -0.693147   -6.607726 -454.321244]
    """
    g, _, h = _tail(z)
    small = -h * (1.0 + h * (1 / 2 + h * (1 / 3 + h * (1 / 4 + h * (1 / 5 + h * (1 / 6 + h / 7))))))
    value = jnp.log(jnp.where(z > 0, 1.0 - h, g))
    return jnp.where(z > 0, jnp.where(h < 1e-2, small, value), value - 0.5 * z**2)


@log_ndtr.defjvp
def _log_ndtr_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return log_ndtr(*primals), normal_ratio(*primals) * tangents[0]


@jax.custom_jvp
def normal_ratio(z: jax.Array) -> jax.Array:
    """Return r = p(z)/P(z) of the standard normal, the derivative of `log_ndtr`; its own is -r (z + r).

    Example:
        >>> with jax.enable_x64(True):
        ...     print(normal_ratio(jnp.array([0.0, -3.0, -1e6])).round(6))
        [7.978850e-01 3.283099e+00 1.000000e+06]
    """
    g, bell, h = _tail(z)
    return jnp.where(z > 0, bell, 1.0) / jnp.where(z > 0, 1.0 - h, g) / np.sqrt(2 * np.pi)


@normal_ratio.defjvp
def _normal_ratio_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    ratio = normal_ratio(*primals)
    return ratio, -ratio * (primals[0] + ratio) * tangents[0]


def _tail(z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return g = P(-|z|) exp(z^2/2), exp(-z^2/2), and their product P(-|z|)."""
    y = jnp.abs(z)
    t = 1.0 - 10.0 / (y + 5.0)  # (y - 5)/(y + 5), and 1 where y is infinite
    g = jnp.full_like(t, _MILLS[-1])
    for coefficient in _MILLS[-2::-1]:
        g = g * t + coefficient
    g = g / (1.0 + y)
    bell = jnp.exp(-0.5 * z**2)
    return g, bell, g * bell


def normal_nll(
    y: jax.Array, prediction: jax.Array, sd: jax.Array, censored: jax.Array, lower: jax.Array | None = None
) -> jax.Array:
    """Return the negative log likelihood of each sample under a normal residual, constants included.

    Args:
        y: observation, or the limit where censored; on the scale of the residual.
        prediction: f, on the same scale.
        sd: residual standard deviation.
        censored: 0 quantified, 1 below the LLOQ, -1 above the ULOQ.
        lower: lower end of the interval of a sample below the LLOQ, not finite where there is none.
    """
    z = (y - prediction) / sd
    quantified = jnp.log(sd) + 0.5 * LOG_2PI + 0.5 * z**2
    # The sign of the flag turns the tail round, so one log_ndtr serves both ends.
    limited = -log_ndtr(jnp.where(censored < 0, -z, z))
    if lower is not None:
        between, low, high = _interval(y, lower, prediction, sd, censored)
        limited = jnp.where(between, -_log_difference(log_ndtr, low, high), limited)
    return jnp.where(censored == 0, quantified, limited)


def normal_curvature(
    y: jax.Array, prediction: jax.Array, sd: jax.Array, censored: jax.Array, lower: jax.Array | None = None
) -> jax.Array:
    """Return the curvature of `normal_nll` in the prediction at constant sd, always >= 0.

        quantified:   1 / sd^2
        one limit:    r * (r + z) / sd^2,                          r = phi(z)/Phi(z)
        interval:     {(s - r)^2 + b * s - a * r} / sd^2,          r, s = phi(a)/q, phi(b)/q,  q = Phi(b) - Phi(a)

    The censored terms are the exact second derivatives, 1 less the variance of a truncated normal.
    """
    z = (y - prediction) / sd
    z = jnp.where(censored < 0, -z, z)
    ratio = normal_ratio(z)
    limited = jnp.clip(ratio * (ratio + z), 0.0, 1.0)
    if lower is not None:
        between, low, high = _interval(y, lower, prediction, sd, censored)
        log_mass = _log_difference(log_ndtr, low, high) + 0.5 * LOG_2PI
        r, s = jnp.exp(-0.5 * low**2 - log_mass), jnp.exp(-0.5 * high**2 - log_mass)
        limited = jnp.where(between, jnp.clip((s - r) ** 2 + high * s - low * r, 0.0, 1.0), limited)
    return jnp.where(censored == 0, 1.0, limited) / sd**2


def student_nll(
    y: jax.Array,
    prediction: jax.Array,
    scale: jax.Array,
    censored: jax.Array,
    df: float,
    lower: jax.Array | None = None,
) -> jax.Array:
    """Return the negative log likelihood of each sample under Student's t with ``df`` degrees of freedom.

    Arguments as in `normal_nll`; ``scale`` is the t's, its standard deviation is larger by sqrt(df/(df - 2)).

    Source: heavy tails against outliers, Lange KL, Little RJA, Taylor JMG. J Am Stat Assoc 1989;84:881-896,
    doi:10.1080/01621459.1989.10478852.
    """
    z = (y - prediction) / scale
    cdf = student_log_cdf(df)
    quantified = jnp.log(scale) - _log_density(z, df)
    limited = -cdf(jnp.where(censored < 0, -z, z))
    if lower is not None:
        between, low, high = _interval(y, lower, prediction, scale, censored)
        limited = jnp.where(between, -_log_difference(cdf, low, high), limited)
    return jnp.where(censored == 0, quantified, limited)


def student_curvature(
    y: jax.Array,
    prediction: jax.Array,
    scale: jax.Array,
    censored: jax.Array,
    df: float,
    lower: jax.Array | None = None,
) -> jax.Array:
    """Return a curvature of `student_nll` in the prediction that is never below 0.

        quantified:  (df + 1)/(df + z^2) / scale^2        the weight of iterated least squares
        censored:    max(second derivative, g^2 / df)     g the first derivative

    ln p is not concave for t: beyond z^2 = df the second derivative is negative, and a step by it leads up.
    """
    z = (y - prediction) / scale
    cdf = student_log_cdf(df)
    z = jnp.where(censored < 0, -z, z)
    r = jnp.exp(_log_density(z, df) - cdf(z))
    slope, second = r, r * (r + (df + 1.0) * z / (df + z**2))
    if lower is not None:
        between, low, high = _interval(y, lower, prediction, scale, censored)
        log_mass = _log_difference(cdf, low, high)
        r, s = jnp.exp(_log_density(low, df) - log_mass), jnp.exp(_log_density(high, df) - log_mass)
        steep = (df + 1.0) * (high * s / (df + high**2) - low * r / (df + low**2))
        slope = jnp.where(between, s - r, slope)
        second = jnp.where(between, (s - r) ** 2 + steep, second)
    limited = jnp.maximum(second, slope**2 / df)
    return jnp.where(censored == 0, (df + 1.0) / (df + z**2), limited) / scale**2


@cache
def student_log_cdf(df: float) -> Callable[[jax.Array], jax.Array]:
    """Return ln of the distribution function of Student's t as a function of z, with its derivatives.

        I = I_x(1/2, df/2),  x = z^2/(df + z^2)       near the middle:  P = (1 + sign(z) I) / 2
        J = I_x(df/2, 1/2),  x = df/(df + z^2)        in the tails:     P = J/2, or 1 - J/2 for z > 0

    The derivative is p/P from the density itself: that of the incomplete beta function is not finite at z = 0.

    Source: Abramowitz M, Stegun IA. Handbook of Mathematical Functions, 1964, 26.7.1 and 26.5.27.
    """
    half = 0.5 * df

    @jax.custom_jvp
    def log_cdf(z: jax.Array) -> jax.Array:
        middle = z**2 < df
        first, second = jnp.where(middle, 0.5, half), jnp.where(middle, half, 0.5)
        x = jnp.where(middle, z**2, df) / (df + z**2)
        part = 0.5 * betainc(first, second, x)
        tail = jnp.where(z > 0, jnp.log1p(-part), jnp.log(jnp.where(middle, 1.0, part)))
        return jnp.where(middle, jnp.log(0.5 + jnp.sign(z) * part), tail)

    @log_cdf.defjvp
    def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
        (z,), (step,) = primals, tangents
        value = log_cdf(z)
        return value, jnp.exp(_log_density(z, df) - value) * step

    return log_cdf


def _log_density(z: jax.Array, df: float) -> jax.Array:
    constant = lgamma(0.5 * (df + 1.0)) - lgamma(0.5 * df) - 0.5 * float(np.log(df * np.pi))
    return constant - 0.5 * (df + 1.0) * jnp.log1p(z**2 / df)


def _interval(
    y: jax.Array, lower: jax.Array, prediction: jax.Array, sd: jax.Array, censored: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return which samples lie in an interval, and its standardised ends, turned into the lower tail."""
    between = (censored > 0) & jnp.isfinite(lower) & (lower < y)
    # A harmless interval elsewhere: a gradient passes through both branches of a `where`.
    low = (jnp.where(between, lower, y - sd) - prediction) / sd
    high = (y - prediction) / sd
    turned = low + high > 0
    return between, jnp.where(turned, -high, low), jnp.where(turned, -low, high)


def _log_difference(log_cdf: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array) -> jax.Array:
    """Return ln{P(high) - P(low)} from the logarithms, with all digits in the lower tail."""
    top = log_cdf(high)
    return top + jnp.log(-jnp.expm1(log_cdf(low) - top))
