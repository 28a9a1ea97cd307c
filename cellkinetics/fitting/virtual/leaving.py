"""When patients leave a virtual trial: a hazard, a table of who remains, or the day on which the cells are gone.

    exponential    S(t) = exp(-rate t)
    weibull        S(t) = exp(-(t/scale)^shape)
    table          S(t) through the given points, with a constant hazard between two of them
    below          the day from which the curve of the patient, without residual, stays below a level

S(t) is the share of patients who remain on day t. A patient with the uniform number u leaves when S(t) = u.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import FloatArray
from cellkinetics.errors import SettingsError
from cellkinetics.models.base import Model
from cellkinetics.models.compilation import compiled

Kind = Literal["exponential", "weibull", "table", "below"]
_FORMS = "exponential:RATE, weibull:SCALE,SHAPE, below:LEVEL, or a table FILE.csv with the columns day, remaining"
_KINDS: dict[str, Kind] = {"exponential": "exponential", "weibull": "weibull", "below": "below"}
_LEAST = 1e-300  # of the share that remains, whose logarithm is taken


@dataclass(frozen=True)
class Leaving:
    """A rule by which patients leave.

    Attributes:
        kind: ``exponential``, ``weibull``, ``table`` or ``below``.
        values: rate a day; scale (days) and shape; the days of a table; the level.
        remaining: of a table, the share who remain on each of its days.

    Raises:
        SettingsError: for numbers out of their range.

    Example:
        >>> Leaving("exponential", (0.01,)).days(np.array([0.5, 0.25])).round(1).tolist()
        [69.3, 138.6]
        >>> Leaving("table", (28.0, 84.0), (0.9, 0.45)).days(np.array([0.9, 0.45, 0.3])).tolist()
        [28.0, 84.0, inf]
    """

    kind: Kind
    values: tuple[float, ...]
    remaining: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        length = {"exponential": 1, "weibull": 2, "below": 1}.get(self.kind, len(self.values))
        sound = len(self.values) == length and all(0 < value < np.inf for value in self.values)
        if self.kind == "table":
            shares = np.array([1.0, *self.remaining])
            sound = sound and 0 < len(self.values) == len(self.remaining)
            sound = sound and bool(
                (np.diff(self.values) > 0).all() and (np.diff(shares) <= 0).all() and shares[-1] >= 0
            )
            if not sound:
                raise SettingsError(
                    "a table of who remains has a row a day, in rising order, with a share from 1 to 0 that never rises"
                )
        elif not sound:
            raise SettingsError(f"{self.kind} takes {length} positive number{'s' * (length > 1)}, not {self.values}")

    def days(self, uniform: FloatArray, theta: FloatArray | None = None, model: Model | None = None) -> FloatArray:
        """Return the day on which each patient leaves, infinite for never, shape ``(n,)``.

        Args:
            uniform: numbers between 0 and 1, ``(n,)``; not used by ``below``.
            theta: parameters on the natural scale ``(n, p)``, used by ``below``.
            model: whose parameters they are.

        Raises:
            SettingsError: for ``below`` with a model that cannot tell when it falls below a level.
        """
        if self.kind == "below":
            if model is None or theta is None or model.time_below is None:
                name = "" if model is None else f" {model.name}"
                raise SettingsError(f"below: the model{name} cannot tell when it falls below a level")
            with jax.enable_x64(True):
                level = jnp.full(len(theta), self.values[0])
                return np.asarray(_below(model)(jnp.asarray(theta), level))
        hazard = -np.log(np.maximum(uniform, _LEAST))
        if self.kind == "exponential":
            return hazard / self.values[0]
        if self.kind == "weibull":
            return self.values[0] * hazard ** (1.0 / self.values[1])
        steps = np.append(0.0, -np.log(np.maximum(self.remaining, _LEAST)))
        day = np.interp(hazard, steps, np.append(0.0, self.values))
        return np.where(hazard > steps[-1], np.inf, day)

    def __str__(self) -> str:
        numbers = ",".join(f"{value:g}" for value in self.values)
        return f"table of {len(self.values)} days" if self.kind == "table" else f"{self.kind}:{numbers}"


@cache
def _below(model: Model) -> Callable[[jax.Array, jax.Array], jax.Array]:
    assert model.time_below is not None
    return compiled(jax.vmap(model.time_below))


def leaving(given: str | Path | Leaving | None, what: str = "dropout") -> Leaving | None:
    """Return the rule that a text describes; a rule, or None, is handed through.

    Args:
        given: such as ``exponential:0.002``, ``weibull:400,1.3``, ``below:50`` or ``remaining.csv``.
        what: name of the option, for the message.

    Raises:
        SettingsError: for a text of another form, or a file that is no such table.

    Example:
        >>> print(leaving("weibull:400,1.3"))
        weibull:400,1.3
    """
    if given is None or isinstance(given, Leaving):
        return given
    kind, colon, numbers = str(given).partition(":")
    try:
        if not colon and Path(given).suffix:
            return _table(Path(given))
        values = tuple(float(number) for number in numbers.split(","))
        return Leaving(_KINDS[kind], values)
    except SettingsError as error:
        raise SettingsError(f"{what} {given}: {error}; write {_FORMS}") from None
    except (KeyError, ValueError):
        raise SettingsError(f"{what} {given}: write {_FORMS}") from None


def _table(path: Path) -> Leaving:
    import pandas as pd

    try:
        table = pd.read_csv(path)
        day, remaining = (tuple(table[name].astype(float).tolist()) for name in ("day", "remaining"))
    except (OSError, KeyError, ValueError) as error:
        raise SettingsError(f"cannot be read ({error})") from None
    if day and day[0] == 0 and remaining[0] == 1:
        day, remaining = day[1:], remaining[1:]
    return Leaving("table", day, remaining)


def first_to_come(rules: Sequence[tuple[str, FloatArray]], n: int) -> tuple[FloatArray, np.ndarray]:
    """Return the day on which each of ``n`` patients leaves, infinite for never, and why ("" for never).

    Args:
        rules: pairs of the reason and its days ``(n,)``.
        n: number of patients.
    """
    day, why = np.full(n, np.inf), np.full(n, "", dtype=object)
    for reason, candidate in rules:
        why = np.where(candidate < day, reason, why)
        day = np.minimum(candidate, day)
    return day, why
