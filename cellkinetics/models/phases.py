"""Which phases an expansion model has, and how their choice is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from cellkinetics.errors import ModelError

SMOOTH_WIDTH = 0.25
"""Width of the switch of ``ecp+smooth``, in days."""
COMEDICATION = ("toci", "ster")
"""Drugs of ``ecp+comedication``: tocilizumab and corticosteroids, as in Stein 2019."""
_SIGNS = {"lag": "+", "distribution": "+", "smooth": "+", "comedication": "+", "persistence": "-", "contraction": "-"}


@dataclass(frozen=True)
class Phases:
    """The phases of an expansion model; the default is model (A) of Stein 2019.

    Attributes:
        distribution: a decline from infusion on, before growth begins (form C).
        lag: a constant level before growth begins (form B).
        comedication: drugs that multiply the growth rate while they are given (form D).
        contraction: the fast decline after the peak.
        persistence: the slow decline after the peak.
        smooth: width of the switch from growth to decline in days (form E), None for a sharp one.

    Raises:
        ModelError: for a width that is not positive, or a drug's name that is no name.

    Example:
        >>> Phases(lag=True, persistence=False).name
        'ecp+lag-persistence'
    """

    distribution: bool = False
    lag: bool = False
    comedication: tuple[str, ...] = ()
    contraction: bool = True
    persistence: bool = True
    smooth: float | None = None

    def __post_init__(self) -> None:
        if self.smooth is not None and not 0 < self.smooth < float("inf"):
            raise ModelError(f"the width of the smooth switch must be a positive number of days, not {self.smooth!r}")
        if len(set(self.comedication)) != len(self.comedication):
            raise ModelError(f"comedication is several different names, not {', '.join(self.comedication)}")
        for drug in self.comedication:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", drug):
                raise ModelError(f"a drug's name is small letters and digits, such as toci, not {drug!r}")

    @property
    def name(self) -> str:
        """The name that `parse_phases` reads, phases in order of time."""
        words = ["ecp"]
        words += ["+distribution"] if self.distribution else []
        words += ["+lag"] if self.lag else []
        if self.comedication:
            drugs = "/".join(self.comedication)
            words.append("+comedication" if self.comedication == COMEDICATION else f"+comedication={drugs}")
        words += [] if self.contraction else ["-contraction"]
        words += [] if self.persistence else ["-persistence"]
        if self.smooth is not None:
            words.append("+smooth" if self.smooth == SMOOTH_WIDTH else f"+smooth={self.smooth:g}")
        return "".join(words)


def parse_phases(name: str) -> Phases:
    """Read the name of an expansion model: ``ecp`` with phases added (+) or taken away (-).

    | part | phase |
    |---|---|
    | ``+lag`` | a constant level before growth |
    | ``+distribution`` | a decline before growth |
    | ``-contraction``, ``-persistence`` | without the fast, or the slow, decline |
    | ``+comedication``, ``+comedication=toci/dexa`` | drugs that change the growth rate |
    | ``+smooth``, ``+smooth=0.1`` | a smooth switch at the peak, of this width in days |

    Raises:
        ModelError: for a part that does not exist, is given twice, or has a value that makes no sense.

    Example:
        >>> parse_phases("ecp+lag-persistence")
        Phases(distribution=False, lag=True, comedication=(), contraction=True, persistence=False, smooth=None)
    """
    head, parts = _split(name)
    if head != "ecp":
        raise ModelError(f"{name!r} is no expansion model: its name begins with ecp, as in {_examples()}")
    phases, seen, switches = Phases(), set[str](), dict[str, Any]()
    for sign, word, value in parts:
        if word not in _SIGNS:
            raise ModelError(f"{name!r}: no phase {word!r}; there are {', '.join(_SIGNS)}, as in {_examples()}")
        if sign != _SIGNS[word]:
            raise ModelError(f"{name!r}: write {_SIGNS[word]}{word}")
        if word in seen:
            raise ModelError(f"{name!r}: {word} is given twice")
        if value is not None and word not in {"smooth", "comedication"}:
            raise ModelError(f"{name!r}: {word} takes no value")
        seen.add(word)
        if word == "smooth":
            phases = replace(phases, smooth=SMOOTH_WIDTH if value is None else _number(name, value))
        elif word == "comedication":
            phases = replace(phases, comedication=COMEDICATION if value is None else tuple(value.split("/")))
        else:
            switches[word] = sign == "+"
    return replace(phases, **switches)


def _split(name: str) -> tuple[str, list[tuple[str, str, str | None]]]:
    head = re.match(r"[^+\-=]*", name.strip().lower())
    head_text = head.group() if head else ""
    rest = name.strip().lower()[len(head_text) :]
    parts: list[tuple[str, str, str | None]] = []
    # A minus inside a value (1e-2) belongs to the value.
    for sign, word, _, value in re.findall(r"([+-])([^+\-=]*)(=((?:[^+\-]|(?<=e)-)*))?", rest):
        parts.append((sign, word, value if _ else None))
    return head_text, parts


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"{name!r}: the width of the smooth switch must be a number of days, not {text!r}") from None


def _examples() -> str:
    return "ecp, ecp+lag, ecp-persistence or ecp+distribution+lag"
