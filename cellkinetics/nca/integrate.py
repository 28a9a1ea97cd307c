"""Areas and first moments of one segment between two samples, elementwise on arrays.

Nothing is checked here: the caller chooses which rule holds in which segment. Shapes follow numpy's
broadcasting; ``t1 < t2``; the logarithmic forms need ``c1 > 0``, ``c2 > 0`` and ``c1 != c2``.

Source: Gabrielsson J, Weiner D. Pharmacokinetic and Pharmacodynamic Data Analysis, 5th ed. (2016),
section 2.8; Purves RD. J Pharmacokinet Biopharm 1992;20:211-226, doi:10.1007/BF01062525.
"""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.options import AUCMethod

_FAR = 0.999  # beyond this relative fall, 1 + d has lost digits that ln(c2) - ln(c1) still has
_NEAR = 0.05  # below this |ln(c2/c1)| the closed form of the moment cancels, and its series is exact


def log_ratio(c1: FloatArray, c2: FloatArray) -> FloatArray:
    """Return ln(c2/c1) without losing digits when the two are nearly equal.

        ln(c2/c1) = log1p(d),   d = (c2 - c1)/c1

    For a fall by more than a factor of 1000 (where 1 + d cancels), ln(c2) - ln(c1).

    Example:
        >>> log_ratio(np.array([8.0, 8.0]), np.array([4.0, 8.0])).round(12).tolist()
        [-0.69314718056, 0.0]
    """
    d = (c2 - c1) / c1
    far = (d < -_FAR) | ~np.isfinite(d)
    ratio = np.log1p(np.where(far, 0.0, d))
    if far.any():
        ratio[far] = np.log(c2[far]) - np.log(c1[far])
    return ratio


def linear_area(t1: FloatArray, c1: FloatArray, t2: FloatArray, c2: FloatArray) -> FloatArray:
    """Return the area under the straight line: (t2 - t1) * (c1/2 + c2/2).

    Halves are taken before the sum, so that two values near the largest number do not overflow.

    Example:
        >>> float(linear_area(0.0, 0.0, 4.0, 100.0))
        200.0
    """
    return (t2 - t1) * (0.5 * c1 + 0.5 * c2)


def log_area(t1: FloatArray, c1: FloatArray, t2: FloatArray, c2: FloatArray) -> FloatArray:
    """Return the area under the exponential through both points: (t2 - t1) * (c2 - c1)/ln(c2/c1).

    Example:
        >>> round(float(log_area(*np.array([[0.0], [100.0], [10.0], [50.0]]))[0]), 4)  # 500/ln 2
        721.3475
    """
    return (t2 - t1) * ((c2 - c1) / log_ratio(c1, c2))


def linear_moment(t1: FloatArray, c1: FloatArray, t2: FloatArray, c2: FloatArray) -> FloatArray:
    """Return the first moment by the trapezoid of t*C: (t2 - t1) * (t1*c1/2 + t2*c2/2).

    Example:
        >>> float(linear_moment(0.0, 0.0, 4.0, 100.0))
        800.0
    """
    return (t2 - t1) * (0.5 * (t1 * c1) + 0.5 * (t2 * c2))


def log_moment(t1: FloatArray, c1: FloatArray, t2: FloatArray, c2: FloatArray) -> FloatArray:
    """Return the integral of t*C under the exponential through both points.

        t1*A + dt^2 * c1 * g(x),   A = log_area,  dt = t2 - t1,  x = ln(c1/c2)
        g(x) = (1 - (1 + x) e^-x)/x^2 = sum_n (-x)^n/(n! (n + 2))

    The series is used for |x| < 0.05, where the closed form cancels.

    Example:
        >>> round(float(log_moment(*np.array([[0.0], [100.0], [10.0], [50.0]]))[0]), 3)
        3193.37
    """
    dt = t2 - t1
    x = -log_ratio(c1, c2)
    area = dt * ((c1 - c2) / x)
    moment = t1 * area + dt * ((area - dt * c2) / x)
    near = np.abs(x) < _NEAR
    if near.any():
        z = -x[near]
        # n = 0 ... 7; the next term is below 1e-17 of the sum
        series = 1 / 2 + z * (
            1 / 3 + z * (1 / 8 + z * (1 / 30 + z * (1 / 144 + z * (1 / 840 + z * (1 / 5760 + z / 45360)))))
        )
        moment[near] = t1[near] * area[near] + dt[near] * dt[near] * c1[near] * series
    return moment


def interpolate(
    t: FloatArray, t1: FloatArray, c1: FloatArray, t2: FloatArray, c2: FloatArray, log: BoolArray
) -> FloatArray:
    """Return the value at ``t1 <= t <= t2`` by the rule of the segment.

        linear: c1 + (c2 - c1) f,   logarithmic: c1 * (c2/c1)^f,   f = (t - t1)/(t2 - t1)

    Example:
        >>> t, t1, c1, t2, c2 = np.array([[5.0], [0.0], [100.0], [10.0], [25.0]])
        >>> interpolate(t, t1, c1, t2, c2, np.array([True])).round(9).tolist()
        [50.0]
    """
    f = (t - t1) / (t2 - t1)
    value = c1 + (c2 - c1) * f
    if log.any():
        value[log] = c1[log] * np.exp(log_ratio(c1[log], c2[log]) * f[log])
    return value


def log_segments(method: AUCMethod, t1: FloatArray, c1: FloatArray, c2: FloatArray, tmax: FloatArray) -> BoolArray:
    """Say which segments are logarithmic.

    | method | logarithmic where |
    |---|---|
    | linear | nowhere |
    | linear-up-log-down | the value falls |
    | linear-log | the segment starts at Tmax or later |
    | log | everywhere |

    and always only where both values are above zero and differ.

    Example:
        >>> t1, c1, c2 = np.array([[0.0, 1.0, 2.0], [0.0, 5.0, 3.0], [5.0, 3.0, 0.0]])
        >>> log_segments("linear-up-log-down", t1, c1, c2, np.array([1.0])).tolist()
        [False, True, False]
    """
    if method == "linear":
        return np.zeros(c1.shape, bool)
    if method == "linear-up-log-down":
        return (c2 > 0) & (c2 < c1)
    positive = (c1 > 0) & (c2 > 0) & (c1 != c2)
    return positive & (t1 >= tmax) if method == "linear-log" else positive
