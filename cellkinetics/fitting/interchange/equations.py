"""The expansion family's ln C(t) as a few lines of arithmetic, see `cellkinetics.fitting.interchange.language`.

    until = min(t, T),   after = max(t - T, 0)
    ln C = growth(until) + ln[(1 - F) exp(-alpha after) + F exp(-beta after)]

which is the curve of `cellkinetics.models.ecp` on both sides of the peak. Windows of comedication stand in columns
of the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from cellkinetics.errors import ModelError
from cellkinetics.models.base import Model
from cellkinetics.models.growth import LATEST
from cellkinetics.models.phases import Phases

RESULT = "lnc"
"""The variable that holds ln C."""
TIME = "day"
"""The variable that the formulas take for the time since infusion."""
_FAR = 40
"""Widths from Tmax beyond which a smooth switch is 0 or 1 to 16 digits, where an exponential could overflow."""


def window_columns(inputs: Sequence[str], windows: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the names of the columns that say when each input is given: ``[input][window]`` to (from, to).

    Example:
        >>> window_columns(["toci"], 2)
        ((('TOCI_ON1', 'TOCI_OFF1'), ('TOCI_ON2', 'TOCI_OFF2')),)
    """
    return tuple(
        tuple((f"{name.upper()}_ON{w}", f"{name.upper()}_OFF{w}") for w in range(1, windows + 1)) for name in inputs
    )


def curve_formulas(model: Model, windows: int = 1) -> str:
    """Return formulas that set `RESULT` from `TIME`, the model's parameters, and the columns of `window_columns`.

    Args:
        model: a member of the expansion family.
        windows: columns of each input.

    Raises:
        ModelError: for a model that is not of the family.

    Example:
        >>> from cellkinetics.models.registry import get_model
        >>> print(curve_formulas(get_model("ecp-persistence")))
        if day < tmax:
            until = day
            after = 0
        else:
            until = tmax
            after = day - tmax
        growth = log(cmax) + log(foldx)*(until/tmax - 1)
        fall = -alpha*after
        lnc = growth + fall
    """
    if model.phases is None:
        raise ModelError(
            f"model {model.name} cannot be written for another program: its equations are known as text for the "
            "expansion family only (ecp with any phases)"
        )
    phases = model.phases
    lines = list(_corners(phases))
    if phases.smooth is None:
        lines += [
            f"if {TIME} < tmax:",
            f"    until = {TIME}",
            "    after = 0",
            "else:",
            "    until = tmax",
            f"    after = {TIME} - tmax",
            *_growth(phases, windows, "growth", "until", "till"),
            *_fall(phases),
            f"{RESULT} = growth + fall",
        ]
        return "\n".join(lines)
    lines += [
        f"until = {TIME}",
        *_growth(phases, windows, "growth", "until", "till"),
        "peak = log(cmax)",
        f"reach = ({TIME} - tmax)/{phases.smooth!r}",
        f"if reach > {_FAR}:",
        "    before = 0",
        f"    after = {TIME} - tmax",
        f"elif reach < -{_FAR}:",
        "    before = 1",
        "    after = 0",
        "else:",
        "    before = 1/(1 + exp(reach))",
        f"    after = {phases.smooth!r}*log(1 + exp(reach))",
        *_fall(phases),
        f"{RESULT} = before*growth + (1 - before)*(peak + fall)",
    ]
    if phases.comedication:
        at = lines.index("peak = log(cmax)")
        lines[at : at + 1] = ["top = tmax", *_growth(phases, windows, "peak", "top", "past")]
    return "\n".join(lines)


def _corners(phases: Phases) -> Iterator[str]:
    """Yield where growth begins and the distribution ends: not later than shortly before the peak."""
    first = "tlag" if phases.lag else "t0"
    if phases.lag or phases.distribution:
        yield f"latest = {LATEST!r}*tmax"
        yield from _smaller("begins", first, "latest")
    if phases.lag and phases.distribution:
        yield from _smaller("nadir", "t0", "begins")
    elif phases.distribution:
        yield "nadir = begins"


def _growth(phases: Phases, windows: int, name: str, until: str, stem: str) -> Iterator[str]:
    """Yield ``name``, ln C on the growing side at ``until``; ``stem`` begins the names of what is in between."""
    late = phases.lag or phases.distribution
    grown = f"grown{stem}" if late or phases.comedication else until
    if late:
        yield from _smaller(grown, "0", f"{until} - begins", larger=True)
    elif phases.comedication:
        yield f"{grown} = {until}"
    if phases.comedication:
        yield from _gained(phases, windows, grown, until, stem)
    span = "(tmax - begins)" if late else "tmax"
    level = f"log(cmax) + log(foldx)*({grown}/{span} - 1)"
    if phases.distribution:
        yield from _smaller(f"ahead{stem}", "0", f"nadir - {until}", larger=True)
        level += f" + delta*ahead{stem}"
    yield f"{name} = {level}"


def _gained(phases: Phases, windows: int, grown: str, until: str, stem: str) -> Iterator[str]:
    """Yield what drugs add to the days grown: for each set of drugs, their factors less 1 times the common days."""
    columns = dict(zip(phases.comedication, window_columns(phases.comedication, windows), strict=True))
    count = itertools.count(1)
    for size in range(1, len(columns) + 1):
        for chosen in itertools.combinations(columns, size):
            factor = "*".join(f"(f_{drug} - 1)" for drug in chosen)
            for spans in itertools.product(*(columns[drug] for drug in chosen)):
                k = next(count)
                on, off, days = f"on{stem}{k}", f"off{stem}{k}", f"days{stem}{k}"
                starts = [first for first, _ in spans]
                yield from _extreme(on, [*starts, "begins"] if phases.lag or phases.distribution else starts, True)
                yield from _extreme(off, [until, *(last for _, last in spans)], False)
                yield from _smaller(days, "0", f"{off} - {on}", larger=True)
                yield f"{grown} = {grown} + {factor}*{days}"


def _extreme(name: str, values: Sequence[str], larger: bool) -> Iterator[str]:
    """Yield the largest, or the smallest, of several."""
    if len(values) == 1:
        yield f"{name} = {values[0]}"
        return
    yield from _smaller(name, values[0], values[1], larger=larger)
    for value in values[2:]:
        yield from _smaller(name, name, value, larger=larger)


def _smaller(name: str, first: str, second: str, *, larger: bool = False) -> Iterator[str]:
    """Yield the smaller, or the larger, of two; NM-TRAN's MIN and MAX are no functions of random variables."""
    yield f"if {first} {'>' if larger else '<'} {second}:"
    yield f"    {name} = {first}"
    yield "else:"
    yield f"    {name} = {second}"


def _fall(phases: Phases) -> Iterator[str]:
    """Yield ``fall``, ln C(T + after)/C(T), with the slower exponential outside so that none vanishes."""
    if phases.contraction and phases.persistence:
        yield from _smaller("slow", "alpha", "beta")
        yield "parts = (1 - fb)*exp(-(alpha - slow)*after) + fb*exp(-(beta - slow)*after)"
        yield "fall = log(parts) - slow*after"
    elif phases.contraction:
        yield "fall = -alpha*after"
    elif phases.persistence:
        yield "fall = -beta*after"
    else:
        yield "fall = 0"
