"""First moments and mean residence times."""

from __future__ import annotations

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.nca.column import Key, Part, Parts, because, join
from cellkinetics.nca.peak import Landmarks
from cellkinetics.nca.reasons import Why
from cellkinetics.nca.terminal import Terminal
from cellkinetics.nca.window import Segments, add_up, segment_moments, to_last

_ROUTES = ("MRTEV", "MRTIB", "MRTIC")
MEAN_TIMES = frozenset(f"{prefix}IF{suffix}" for prefix in _ROUTES for suffix in "OP") | {"VSSO", "VSSP"}
"""What takes another form at steady state."""


def tails(line: Terminal, marks: Landmarks) -> tuple[tuple[str, FloatArray], ...]:
    """Return the areas beyond Tlast, C/lambda_z, from the observed and the predicted last value."""
    return ("O", marks.clast / line.lambda_z), ("P", line.at(marks.tlast) / line.lambda_z)


def put_moments(parts: Parts, segments: Segments, marks: Landmarks, line: Terminal | None) -> None:
    """Write the first moments.

    AUMC to infinity = AUMCLST + C (Tlast/lambda_z + 1/lambda_z^2)
    """
    aumclst = add_up(segment_moments(segments), to_last(segments, marks))
    parts[Key("AUMCLST")] = Part(aumclst, parts[Key("AUCLST")].why)
    if line is None:
        return
    for suffix, tail in tails(line, marks):
        why = parts[Key(f"AUCIF{suffix}")].why
        beyond = tail * (marks.tlast + 1.0 / line.lambda_z)
        total = aumclst + beyond
        parts[Key(f"AUMCIF{suffix}")] = Part(total, why)
        parts[Key(f"AUMCPE{suffix}")] = Part(100.0 * (beyond / total), why)


def put_mean_times(parts: Parts, steady: BoolArray, duration: FloatArray) -> None:
    """Write the mean residence times.

        MRT = AUMC/AUC - duration/2
        at steady state, to infinity: (AUMCTAU + tau (AUC to infinity - AUCTAU))/AUCTAU - duration/2

    The second is the first moment of a single dose, which the interval and what follows it hold together.

    Args:
        parts: areas and moments are there already.
        steady: ``(n,)``, whether a profile is at steady state.
        duration: of the infusion, ``(n,)``: 0 for another route, NaN where unknown.
    """
    unknown = because(len(duration), (np.isnan(duration), Why.NO_INFUSION_DURATION))
    for end in ("LST", "IFO", "IFP"):
        if Key(f"AUMC{end}") not in parts:
            continue
        area, why = parts[Key(f"AUC{end}")]
        moment = parts[Key(f"AUMC{end}")].value
        if end != "LST" and Key("AUCTAU") in parts:
            interval, lost = parts[Key("AUCTAU")]
            first = parts[Key("AUMCTAU")].value + parts[Key("TAU")].value * (area - interval)
            moment, area = np.where(steady, first, moment), np.where(steady, interval, area)
            why = np.where(steady, join(why, lost), why)
        why = join(why, because(len(area), (area == 0, Why.ZERO_AREA)), unknown)
        for prefix in _ROUTES:
            parts[Key(f"{prefix}{end}")] = Part(moment / area - duration / 2.0, why)
