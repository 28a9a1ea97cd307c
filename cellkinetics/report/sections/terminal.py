"""Terminal lines and areas, a panel for each profile, shown on demand."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from cellkinetics.report.blocks import Block, Folded, Panels
from cellkinetics.report.figures.areas import Areas, area_figure, area_handles
from cellkinetics.report.figures.profiles import KEY, Profiles, panel_title
from cellkinetics.report.figures.style import svg_text
from cellkinetics.report.figures.terminal import TerminalLines, terminal_figure, terminal_handles
from cellkinetics.report.results import Results
from cellkinetics.report.sections.marks import legend_marks
from cellkinetics.report.sections.profiles import MOST_PANELS, profiles_by_series
from cellkinetics.report.tables import plural


def terminal_lines(results: Results) -> dict[str, TerminalLines]:
    """Return what terminal lines are drawn from, by analyte and specimen; nothing where a file is missing."""
    points, nca = results["nca_points"], results["nca"]
    if points is None or nca is None or not {"LAMZ", "LAMZICPT"} <= set(nca["parameter"]):
        return {}
    time, tie = (
        str(results.nca_options.get(name, usual)) for name, usual in (("time", "actual"), ("tmax_tie", "first"))
    )
    return {
        series: TerminalLines(profiles.at(time), _of(points, profiles), _of(nca, profiles), tie)
        for series, profiles in profiles_by_series(results).items()
    }


def areas(results: Results) -> dict[str, Areas]:
    """Return what areas are drawn from, by analyte and specimen; nothing without ``nca_intervals.csv``."""
    intervals = results["nca_intervals"]
    if intervals is None:
        return {}
    time = str(results.nca_options.get("time", "actual"))
    found = {
        series: Areas(profiles.at(time), _of(intervals, profiles))
        for series, profiles in profiles_by_series(results).items()
    }
    return {series: one for series, one in found.items() if len(one.intervals)}


def terminal_blocks(results: Results) -> Iterator[Block]:
    """Yield a folded grid of terminal lines for each analyte and specimen."""
    for i, (series, lines) in enumerate(terminal_lines(results).items()):
        shown = lines.keys[:MOST_PANELS]
        panels = [
            (svg_text(terminal_figure(lines, key), f"lambda{i}-{k}"), f"Terminal line of {_name(lines, key)}")
            for k, key in enumerate(shown)
        ]
        caption = (
            "Terminal line by least squares of ln C, on a linear time axis that ends a little after the last "
            "quantified sample. Filled circles: its points; open circles: candidates that it leaves out; pale dots: "
            "samples that are no candidates. Dashed: extrapolated. Dotted: the break between contraction and "
            "persistence, where the points lie on both sides of it. †: marks of the acceptance rules."
        )
        title = _title("Terminal lines (λz)", series, len(shown), len(lines.keys))
        yield Folded(title, [Panels(legend_marks(terminal_handles(lines)), panels, caption)])


def area_blocks(results: Results) -> Iterator[Block]:
    """Yield a folded grid of shaded areas for each analyte and specimen."""
    for i, (series, one) in enumerate(areas(results).items()):
        shown = one.keys[:MOST_PANELS]
        panels = [
            (svg_text(area_figure(one, key), f"areas{i}-{k}"), f"Areas of {_name(one, key)}")
            for k, key in enumerate(shown)
        ]
        caption = (
            "The curve that is integrated, by the rule of each interval, and the area of each window: darker where "
            "windows overlap, white where none was calculated. Hatched: extrapolated by λz. An open diamond is an "
            "imputed sample at time zero. Interval by interval: nca_intervals.csv."
        )
        title = _title("Areas and windows", series, len(shown), len(one.keys))
        yield Folded(title, [Panels(legend_marks(area_handles(one)), panels, caption)])


def _of(table: pd.DataFrame, profiles: Profiles) -> pd.DataFrame:
    """Return the rows of the analyte and specimen of some profiles."""
    table = table.assign(**{name: "" for name in KEY if name not in table})
    analyte, specimen = profiles.samples[["analyte", "specimen"]].iloc[0]
    return table[(table["analyte"] == analyte) & (table["specimen"] == specimen)]


def _name(drawn: TerminalLines | Areas, key: tuple[str, str, str, str]) -> str:
    return panel_title(drawn.profiles, key)


def _title(what: str, series: str, shown: int, of: int) -> str:
    count = plural(of, "profile") if shown == of else f"the first {shown} of {of:,} profiles"
    return f"{what}{f' of {series}' if series else ''}: {count}"
