"""One row of the registry of parameters."""

from __future__ import annotations

from dataclasses import dataclass

from cellkinetics.nca.options import Route
from cellkinetics.units import UnitKind

_ANY: tuple[Route, ...] = ("cells", "bolus", "infusion", "extravascular")
TEXTBOOK = "Gabrielsson & Weiner 2016"
WINNONLIN = "Phoenix WinNonlin"
STEIN = "Stein et al. 2019"
SURVIVAL = "Lindsey & Ryan 1998"
CDISC = "CDISC"
OWN = "own"
"""Where a formula comes from; docs/parameters.md has the references."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the analysis.

    Attributes:
        code: its name in every table, at most 8 of A-Z, 0-9 and ``_``.
        label: what it is, at most 40 characters.
        unit_kind: see `cellkinetics.units.unit_label`.
        formula: how it is had, in the field's symbols.
        depends: codes of the parameters that its formula needs.
        group: ``core`` is calculated unless something else is asked for; the others on request.
        cdisc: whether the code is CDISC controlled terminology (PKPARMCD); otherwise it is ours.
        routes: the routes for which it has a meaning.
        windowed: whether there is one value for every window.
        daily: whether there is one value for every one of the days asked for.
        source: where the formula comes from.
    """

    code: str
    label: str
    unit_kind: UnitKind
    formula: str
    depends: tuple[str, ...] = ()
    group: str = "core"
    cdisc: bool = True
    routes: tuple[Route, ...] = _ANY
    windowed: bool = False
    daily: bool = False
    source: str = TEXTBOOK
