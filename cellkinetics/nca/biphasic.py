"""Two phases of decline: contraction (alpha), then persistence (beta), and the break between them.

    ln C = a1 - alpha t  up to the break,   ln C = a2 - beta t  after it,   alpha > beta

Source: Stein AM et al. CPT Pharmacometrics Syst Pharmacol 2019;8:285-295, doi:10.1002/psp4.12388 (the two
phases); Hudson DJ. J Am Stat Assoc 1966;61:1097-1129, doi:10.1080/01621459.1966.10482198 (least squares with
an unknown join); Schwarz G. Ann Stat 1978;6:461-464, doi:10.1214/aos/1176344136 (BIC).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import BoolArray, FloatArray, IntArray
from cellkinetics.nca.column import because
from cellkinetics.nca.curve import Curve, Role
from cellkinetics.nca.positions import first_true
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.terminal import fit_line

MIN_POINTS = 3
_LEVEL = 1e-10  # a fall of ln C so small over the points is rounding
_ROUNDING = 1e-13  # of the sum of squares: what rounding leaves of a perfect fit


@dataclass(frozen=True, eq=False)
class Biphasic:
    """The phases of each profile's decline, arrays ``(n,)``; NaN where there is none.

    Attributes:
        alpha: rate of the first phase, or of the only one.
        beta: rate of the second phase.
        break_time: where the second phase begins.
        n_alpha, n_beta: points of each phase.
        delta_bic: BIC of one phase less that of two; positive speaks for two.
        why_alpha, why_beta, why_break, why_bic: a `Why` each.
    """

    alpha: FloatArray
    beta: FloatArray
    break_time: FloatArray
    n_alpha: FloatArray
    n_beta: FloatArray
    delta_bic: FloatArray
    why_alpha: NDArray[np.int8]
    why_beta: NDArray[np.int8]
    why_break: NDArray[np.int8]
    why_bic: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Break:
    """Where each decline is cut in two, arrays ``(n,)``.

    Attributes:
        last: position of the last point of the first phase, of the best cut.
        found: whether there is a cut that counts.
        two: whether two phases are better than one.
        delta_bic: BIC of one phase less that of two.
        time: where the lines meet; NaN unless ``two``.
    """

    last: IntArray
    found: BoolArray
    two: BoolArray
    delta_bic: FloatArray
    time: FloatArray


@dataclass(frozen=True, eq=False)
class Below:
    """Samples below quantification after the peak, arrays ``(samples, n)``.

    Attributes:
        time: of each.
        limit: its LLOQ.
        here: which ones there are.
    """

    time: FloatArray
    limit: FloatArray
    here: BoolArray

    @classmethod
    def after_peak(cls, curve: Curve, tmax: FloatArray) -> Below:
        """Take those with an LLOQ from the sorted samples of the curves."""
        below = (curve.role == Role.SUBSTITUTED) | (curve.role == Role.DROPPED)
        return cls(curve.sample_time, curve.lloq, below & (curve.lloq > 0) & (curve.sample_time > tmax))


def two_phases(time: FloatArray, value: FloatArray, points: BoolArray, below: Below | None = None) -> Biphasic:
    """Find the break of every decline, and the rates before and after it.

    1. The points are split behind each one in turn, with at least three on either side, and each side
       gets its least-squares line on the log scale. Splits count whose first line falls, and falls
       faster than the second.
    2. The split with the smallest sum of squares is the candidate; it stands if

           BIC = k ln(RSS/k) + p ln k

       is smaller for it (p = 6: two lines, the break, the variance) than for one line (p = 3).
    3. The break is where the lines meet, but never outside the gap between the two phases' samples.

    If one phase is enough, alpha is its rate, and beta and the break have the reason ``ONE_PHASE``. A
    second phase that does not fall has no beta (``SLOPE_NOT_NEGATIVE``); break and alpha stay.

    Samples below quantification, where they are given, take no part in the choice of the break. Each phase's line
    is then fitted with those between its points, the second with those after them too, as left-censored
    (`cellkinetics.nca.tobit.fit_censored`): a decline that ends below quantification is steeper than what is
    left of it above.

    Args:
        time: ``(positions, n)``.
        value: same shape, above zero at the points.
        points: ``(positions, n)``, the quantified samples of the decline.
        below: samples below quantification, for censored lines; None for least squares.

    Example:
        >>> day = np.array([0.0, 7, 14, 21, 49, 77])[:, None]
        >>> c = 800 * 2.0 ** -np.array([0.0, 1, 2, 3, 4, 5])[:, None]  # half every 7 days, then every 28
        >>> found = two_phases(day, c, np.full((6, 1), True))
        >>> [round(float(np.log(2) / rate[0]), 6) for rate in (found.alpha, found.beta)]
        [7.0, 28.0]
        >>> round(float(found.break_time[0]), 6)
        21.0
    """
    with np.errstate(all="ignore"):
        cut = find_break(time, value, points)
        x, y = np.where(points, time, 0.0), np.log(np.where(points, value, 1.0))
        first = points & (np.arange(len(x))[:, None] <= np.where(cut.two, cut.last, len(x)))
        second = points & ~first
        if below is None:
            slope1, slope2 = fit_line(x, y, first)[0], fit_line(x, y, second)[0]
        else:
            slope1, slope2 = _censored_slopes(x, y, first, second, below)
        falls1, falls2 = (
            slope * (np.where(phase, x, -np.inf).max(axis=0) - np.where(phase, x, np.inf).min(axis=0)) < -_LEVEL
            for slope, phase in ((slope1, first), (slope2, second))
        )
    k = points.sum(axis=0)
    n = len(k)
    few_for_two = (k < 2 * MIN_POINTS, Why.TOO_FEW_FOR_TWO_PHASES)
    one = (~cut.two, Why.ONE_PHASE)
    return Biphasic(
        alpha=-slope1,
        beta=-slope2,
        break_time=cut.time,
        n_alpha=first.sum(axis=0).astype(float),
        n_beta=second.sum(axis=0).astype(float),
        delta_bic=cut.delta_bic,
        why_alpha=because(n, (k < MIN_POINTS, Why.TOO_FEW_POINTS), (~falls1, Why.SLOPE_NOT_NEGATIVE)),
        why_beta=because(n, few_for_two, one, (~falls2, Why.SLOPE_NOT_NEGATIVE)),
        why_break=because(n, few_for_two, one),
        why_bic=because(n, few_for_two, (~cut.found, Why.ONE_PHASE)),
    )


def _censored_slopes(
    x: FloatArray, y: FloatArray, first: BoolArray, second: BoolArray, below: Below
) -> tuple[FloatArray, FloatArray]:
    from cellkinetics.nca.tobit import fit_censored  # it needs scipy.special, which takes a while to load

    two = second.any(axis=0)
    ends = np.where(two, np.where(first, x, -np.inf).max(axis=0), np.inf)
    begins = np.where(second, x, np.inf).min(axis=0)
    slopes = []
    for points, here in ((first, below.time < ends), (second, below.time > begins)):
        which = below.here & here
        time, limit = np.where(which, below.time, 0.0), np.where(which, below.limit, 1.0)
        slopes.append(fit_censored(x, y, points, time, np.log(limit), which).slope)
    return slopes[0], slopes[1]


def find_break(time: FloatArray, value: FloatArray, points: BoolArray) -> Break:
    """Cut every decline in two where that fits best; see `two_phases` for the rule and the arguments.

    Sums of squares are had from running sums, position by position, so that all cuts of all profiles cost
    one pass, and no digit depends on how many profiles there are.
    """
    n = time.shape[1]
    profiles = np.arange(n)
    start = first_true(points)
    origin_x, origin_y = time[start, profiles], np.log(np.where(points.any(axis=0), value[start, profiles], 1.0))
    x = np.where(points, time - origin_x, 0.0)
    y = np.where(points, np.log(np.where(points, value, 1.0)) - origin_y, 0.0)
    sums = np.zeros((len(time), 6, n))
    running = np.zeros((6, n))
    for j, here in enumerate(points):
        for row, term in zip(running, (here, x[j], y[j], x[j] * x[j], x[j] * y[j], y[j] * y[j]), strict=True):
            row += term
        sums[j] = running
    total = running
    floor = _ROUNDING * total[5]
    best, last = np.full(n, np.inf), np.zeros(n, np.int64)
    for j in range(len(time) - 1):
        if (
            not points[j].any()
            or not (enough := (sums[j, 0] >= MIN_POINTS) & (total[0] - sums[j, 0] >= MIN_POINTS)).any()
        ):
            continue
        rss1, slope1 = _line(sums[j])
        rss2, slope2 = _line(total - sums[j])
        rss = np.maximum(rss1 + rss2, floor)
        better = enough & (slope1 < 0) & (slope1 < slope2) & (rss < best)
        best[better] = rss[better]
        last[better] = j
    found = np.isfinite(best)
    k = total[0]
    one = np.maximum(_line(total)[0], floor)
    delta = k * np.log(one / best) - 3.0 * np.log(k)
    two = found & (delta > 0)
    before = np.ascontiguousarray(sums[last, :, profiles].T)
    after = total - before
    slope1, slope2 = _line(before)[1], _line(after)[1]
    height1, height2 = (
        part[2] / part[0] - slope * part[1] / part[0] for part, slope in ((before, slope1), (after, slope2))
    )
    rest = points & (np.arange(len(time))[:, None] > last)
    begins = time[first_true(rest), profiles]
    meet = np.clip(origin_x + (height2 - height1) / (slope1 - slope2), time[last, profiles], begins)
    return Break(last, found, two, delta, np.where(two, meet, np.nan))


def _line(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return residual sum of squares and slope of the line with these sums (k, x, y, xx, xy, yy)."""
    k, sx, sy, sxx, sxy, syy = sums
    mean_x, mean_y = sx / k, sy / k
    cxx, cxy, cyy = sxx - sx * mean_x, sxy - sx * mean_y, syy - sy * mean_y
    slope = cxy / cxx
    return np.maximum(cyy - slope * cxy, 0.0), slope
