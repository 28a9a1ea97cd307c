"""Which results rest on a sample above the upper limit of quantification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.column import Key
from cellkinetics.nca.curve import Curve
from cellkinetics.nca.parameters import required
from cellkinetics.nca.peak import Landmarks
from cellkinetics.nca.terminal import Terminal

_PEAK = frozenset({"CMAX", "TMAX"})
_WHOLE = frozenset({"AUCLST", "AUCALL", "AUMCLST", "TABOVE"})


def rests_above(
    keys: Sequence[Key], curve: Curve, marks: Landmarks, line: Terminal | None, extrapolated: dict[Key, FloatArray]
) -> dict[Key, BoolArray]:
    """Say of each result which profiles have it from a sample above the upper limit.

    | result | rests on such a sample if |
    |---|---|
    | Cmax, Tmax; whole areas and moments, and what needs them | the curve has one |
    | Clast, C0 | it is that sample, or C0 is extrapolated from it |
    | Cmin | it is the lowest sample of the dosing interval |
    | Ctrough | it is a neighbour of the interval's end, or a point of the line that extrapolates to it |
    | lambda_z and what is read off the line | it is a point of the line |
    | the level at a day | it is the sample of that day, or a neighbour of that day |
    | a window's area | it or a neighbour of it lies within, or the extrapolating line has one |

    Args:
        keys: results to look at.
        curve: the samples.
        marks: peak and last sample.
        line: the terminal line, if there is one.
        extrapolated: percent extrapolated of the windows, by the key of the AUCINT, ``(n,)``.

    Returns:
        A mask ``(n,)`` for each key that may rest on one; none where no curve has one.
    """
    if not curve.above.any():
        return {}
    profiles = np.arange(len(marks.has))
    somewhere = np.asarray(curve.above.any(axis=0))
    last = curve.above[marks.last, profiles]
    start = curve.above[0] | (curve.above[1] & (curve.time[1] == 0))
    in_line = np.zeros_like(somewhere)
    if line is not None:
        in_line = np.asarray((curve.above & (curve.time >= line.lower) & (curve.time <= line.upper)).any(axis=0))
    masks = {}
    for key in keys:
        needs = required([key])
        if key.start is not None and key.end is not None and "AUCINT" in needs:
            share = extrapolated[Key("AUCINT", key.start, key.end)] > 0
            masks[key] = _near(curve, key.start, key.end) | (share & (in_line | last))
            if key.code == "AUCINTPE":
                masks[key] &= share
        elif needs & (_WHOLE | _PEAK):
            masks[key] = somewhere
        elif "CDAY" in needs and key.start is not None:
            masks[key] = _near(curve, key.start, key.start)
        elif "CTROUGH" in needs:
            tau = np.where(np.isfinite(curve.tau), curve.tau, -np.inf)
            masks[key] = _near(curve, tau, tau) | ((tau > marks.tlast) & (in_line | last))
        elif "CMIN" in needs:
            below = (curve.used & ~curve.above)[1:] & (curve.time[1:] <= curve.tau)
            masks[key] = ~np.asarray(below.any(axis=0))
        elif "LAMZ" in needs:
            masks[key] = in_line
        elif needs & {"CLST", "C0"}:
            masks[key] = last if "CLST" in needs else start
    return masks


def _near(curve: Curve, start: float | FloatArray, end: float | FloatArray) -> BoolArray:
    """Say which curves have such a sample whose segments, to its neighbours, reach into a window."""
    infinite = np.full((1, curve.time.shape[1]), np.inf)
    before = np.concatenate([-infinite, curve.time[:-1]])
    after = np.concatenate([curve.time[1:], infinite])
    return np.asarray((curve.above & (before < end) & (after > start)).any(axis=0))
