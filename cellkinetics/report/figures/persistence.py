"""Persistence as time to event: Kaplan-Meier curves by group, and a lane for each patient."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cellkinetics.report.figures.style import INK, MUTED, dress, group_colours, new_figure, style, time_axis

MOST_LANES = 60

FloatArray = NDArray[np.float64]


class KaplanMeier(NamedTuple):
    """A survival curve: it steps down to ``share`` at ``time``; arrays of one length.

    ``low`` and ``high`` are the limits of its 95 % confidence interval, NaN where there is none.
    """

    time: FloatArray
    share: FloatArray
    low: FloatArray
    high: FloatArray


def kaplan_meier(last_seen: FloatArray, first_lost: FloatArray) -> KaplanMeier:
    """Estimate the share of patients that are still quantifiable, from intervals of loss.

    A loss counts from the visit at which it is found; a patient without a loss is censored at the last
    visit. The confidence interval is the log-log one, from Greenwood's variance.

    Source: Kaplan EL, Meier P. J Am Stat Assoc 1958;53:457-481, doi:10.1080/01621459.1958.10501452.

    Args:
        last_seen: PERSLO, ``(n,)``; patients with NaN (never quantifiable) take no part.
        first_lost: PERSUP, ``(n,)``, NaN without a loss.

    Example:
        >>> curve = kaplan_meier(np.array([10.0, 20.0, 40.0, 60.0]), np.array([14.0, 28.0, np.nan, np.nan]))
        >>> curve.time.tolist(), curve.share.tolist()
        ([0.0, 14.0, 28.0, 40.0, 60.0], [1.0, 0.75, 0.5, 0.5, 0.5])
    """
    from scipy.stats import CensoredData, ecdf

    lost = np.isfinite(first_lost)
    held = ~lost & np.isfinite(last_seen)
    if not lost.any():
        end = float(np.max(last_seen[held], initial=0.0))
        nan = np.full(2, np.nan)
        return KaplanMeier(np.array([0.0, end]), np.ones(2), nan, nan)
    found = ecdf(CensoredData(uncensored=first_lost[lost], right=last_seen[held])).sf
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # no interval before the first loss, nor after all are lost
        interval = found.confidence_interval(method="log-log")
    time = np.concatenate([[0.0], found.quantiles])
    low, high = (np.concatenate([[np.nan], side.probabilities]) for side in (interval.low, interval.high))
    return KaplanMeier(time, np.concatenate([[1.0], found.probabilities]), low, high)


def persistence_figure(wide: pd.DataFrame, *, time_unit: str = "day", width: float = 6.5) -> Figure:
    """Return Kaplan-Meier curves of persistence, one a group, with a tick for each censored patient.

    Args:
        wide: a row a profile with ``PERSLO`` and ``PERSUP``, as in ``nca_wide.csv``; ``group`` gives the groups.
        time_unit: unit of time, for the label.
        width: in inches.
    """
    rows = wide[wide["PERSLO"].notna()]
    groups = rows["group"].astype(str) if "group" in rows else pd.Series("", index=rows.index)
    names = list(dict.fromkeys(groups))
    colours = group_colours(names)
    last = float(np.nanmax(rows[["PERSLO", "PERSUP"]].to_numpy(float), initial=1.0))
    with style():
        figure = new_figure(width, 3.6)
        ax = figure.subplots()
        for name in names:
            part = rows[groups == name]
            seen, lost = part["PERSLO"].to_numpy(float), part["PERSUP"].to_numpy(float)
            curve = kaplan_meier(seen, lost)
            called = name or ("no group" if len(names) > 1 else "all")
            label = f"{called} (n = {len(part)}, {int(np.isfinite(lost).sum())} lost)"
            ax.step(curve.time, curve.share, where="post", color=colours[name], linewidth=1.5, label=label)
            if len(names) == 1:
                ax.fill_between(curve.time, curve.low, curve.high, step="post", color=colours[name], alpha=0.15, lw=0)
            held = seen[np.isnan(lost)]
            height = curve.share[np.searchsorted(curve.time, held, side="right") - 1]
            ax.plot(held, height, "|", color=colours[name], markersize=7)
        dress(ax)
        time_axis(ax, 0.0, last)
        ax.set_ylim(0.0, 1.03)
        ax.set_xlabel(f"Time since infusion ({time_unit})")
        ax.set_ylabel("Still quantifiable")
        if names:
            ax.legend(loc="lower left")
    return figure


def swimmer_figure(wide: pd.DataFrame, *, time_unit: str = "day", width: float = 6.5) -> Figure:
    """Return a lane for each patient: a bar while quantifiable, a dotted line over the interval of loss.

    A cross ends a lane at which the loss was found, an arrow one that goes on after the last visit.
    Patients are sorted by group and time; of more than 60 an even selection is drawn.

    Args:
        wide: a row a profile with ``subject, PERSLO, PERSUP``, as in ``nca_wide.csv``, and perhaps ``group``.
        time_unit: unit of time, for the label.
        width: in inches.
    """
    rows = wide[wide["PERSLO"].notna()]
    rows = rows.assign(group=rows["group"].astype(str) if "group" in rows else "")
    names = list(dict.fromkeys(rows["group"]))
    colours = group_colours(names)
    rows = rows.sort_values(["group", "PERSLO"], key=lambda c: c.map(names.index) if c.name == "group" else c)
    rows = rows.iloc[:: -(-len(rows) // MOST_LANES) or 1]
    last = float(np.nanmax(rows[["PERSLO", "PERSUP"]].to_numpy(float), initial=1.0))
    with style():
        figure = new_figure(width, 1.0 + 0.16 * max(len(rows), 6))
        ax = figure.subplots()
        shown: set[str] = set()
        for lane, row in enumerate(rows.to_dict("records")):
            group, seen, lost = row["group"], row["PERSLO"], row["PERSUP"]
            label = None if group in shown or not group else group
            shown.add(group)
            ax.barh(lane, seen, height=0.7, color=colours[group], alpha=0.8, label=label)
            if np.isfinite(lost):
                ax.plot([seen, lost], [lane, lane], linestyle=":", color=MUTED, linewidth=1.0)
                ax.plot([lost], [lane], "x", color=INK, markersize=4)
            else:
                ax.plot([seen], [lane], ">", color=colours[group], markersize=5)
        dress(ax)
        ax.grid(visible=False, axis="y")
        time_axis(ax, 0.0, last)
        ax.set_yticks(range(len(rows)), [str(name) for name in rows["subject"]], fontsize=6.5)
        ax.set_ylim(-0.7, max(len(rows), 1) - 0.3)
        ax.set_xlabel(f"Time since infusion ({time_unit}); x loss found, arrow still quantifiable")
        if shown - {""}:
            ax.legend(loc="lower right")
    return figure
