"""Models by name, and what a wrong name is answered with."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from cellkinetics.errors import ModelError
from cellkinetics.models.base import Model
from cellkinetics.models.ecp import expansion_model
from cellkinetics.models.phases import parse_phases

if TYPE_CHECKING:
    from cellkinetics.models.dynamics import System

_T = TypeVar("_T")
FloatArray = NDArray[np.float64]


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """Return the sentence that answers a name that does not exist: those that do, and the nearest."""
    known = list(names)
    near = difflib.get_close_matches(str(name).lower(), known, n=1)
    return f"there is no {kind} {name!r}; there is {', '.join(known)}" + (
        f"; did you mean {near[0]!r}?" if near else ""
    )


class Named(Mapping[str, _T]):
    """A read-only mapping whose unknown keys raise `ModelError` with the names that exist."""

    def __init__(self, entries: Mapping[str, _T], kind: str) -> None:
        self._entries = dict(entries)
        self._kind = kind

    def __getitem__(self, name: str) -> _T:
        if name in self._entries:
            return self._entries[name]
        raise ModelError(unknown(self._kind, name, self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"{self._kind}s: {', '.join(self._entries)}"


_FAMILY = (
    "ecp",
    "ecp+lag",
    "ecp+distribution",
    "ecp+distribution+lag",
    "ecp-persistence",
    "ecp-contraction",
    "ecp+lag-persistence",
    "ecp+comedication",
    "ecp+smooth",
)
_MODELS: Mapping[str, Model] = {name: expansion_model(parse_phases(name)) for name in _FAMILY}
# The solver takes a second to import: a system of equations is looked up when it is asked for.
_SYSTEMS = {
    "effector-memory": ("dynamics_expansion", "EFFECTOR_MEMORY"),
    "saturable": ("dynamics_expansion", "SATURABLE"),
    "logistic": ("dynamics_expansion", "LOGISTIC"),
    "antigen": ("dynamics_antigen", "ANTIGEN"),
    "chaudhury-first-order": ("dynamics_antigen", "FIRST_ORDER"),
    "chaudhury-ec50": ("dynamics_antigen", "EC50"),
    "chaudhury-lotka-volterra": ("dynamics_antigen", "LOTKA_VOLTERRA"),
    "kimmel": ("dynamics_lymphocytes", "KIMMEL"),
}
_WITH_TUMOUR = {"kimmel": ("dynamics_lymphocytes", "KIMMEL_TUMOUR")}
"""Systems with more states than what is measured tells of, for `trajectories`."""
MODEL_NAMES = (*_FAMILY, *_SYSTEMS)
"""Every model that has a name, whether its extra is installed or not."""
DYNAMIC_NAMES = tuple(_SYSTEMS)
"""Models of differential equations, which need the extra ``ode``."""


def get_model(name: str | Model) -> Model:
    """Return the model of a name; a `Model` is handed through, so that users can bring their own.

    Args:
        name: one of `MODEL_NAMES`, or ``ecp`` with any phases, see `cellkinetics.models.phases.parse_phases`.

    Raises:
        ModelError: for an unknown name; the message lists the names. For a model of differential equations
            without the extra ``ode``.

    Example:
        >>> get_model("ecp").names
        ('cmax', 'tmax', 'foldx', 'alpha', 'fb', 'beta')
        >>> get_model("ecp+lag-persistence").names
        ('cmax', 'tmax', 'foldx', 'tlag', 'alpha')
    """
    if isinstance(name, Model):
        return name
    text = str(name).strip().lower()
    if text == "ecp" or text.startswith(("ecp+", "ecp-")):
        return expansion_model(parse_phases(text))
    if text in _SYSTEMS:
        return _system(text, _SYSTEMS).model
    raise ModelError(unknown("model", text, MODEL_NAMES))


def list_models() -> tuple[Model, ...]:
    """Return every model that has a name and can be used here; those of `DYNAMIC_NAMES` need the extra ``ode``.

    Example:
        >>> [model.name for model in list_models()][:3]
        ['ecp', 'ecp+lag', 'ecp+distribution']
    """
    dynamic = [get_model(name) for name in DYNAMIC_NAMES] if can_solve() else []
    return (*_MODELS.values(), *dynamic)


def can_solve() -> bool:
    """Tell whether the extra ``ode`` is installed, without importing it."""
    return importlib.util.find_spec("diffrax") is not None


def trajectories(name: str, values: Mapping[str, float], time: Sequence[float]) -> dict[str, FloatArray]:
    """Return all quantities of a model of differential equations over time, such as cells and tumour.

    Args:
        name: one of `DYNAMIC_NAMES`.
        values: every parameter; for ``kimmel`` also those of the tumour: b0, rb, gammab, kb.
        time: days, 0 or later, ``(m,)``.

    Returns:
        Name of the quantity to its values ``(m,)`` on the natural scale; ``car`` is what is measured.

    Raises:
        ModelError: for an unknown name, parameters that are not those of the model, a time before infusion.

    Example:
        >>> values = {"c0": 10.0, "rho": 0.0018, "ke": 0.16, "u0": 900.0, "g": 0.15, "d": 1.5e-4}
        >>> found = trajectories("chaudhury-lotka-volterra", values, [0, 9])
        >>> found["car"].round(1).tolist(), found["tumour"].round(4).tolist()
        ([10.0, 8323.4], [900.0, 0.1603])
    """
    if name not in _SYSTEMS:
        raise ModelError(unknown("model of differential equations", name, DYNAMIC_NAMES))
    full = _system(name, _WITH_TUMOUR if name in _WITH_TUMOUR else _SYSTEMS)
    return full.trajectories(values, time)


def _system(name: str, table: Mapping[str, tuple[str, str]]) -> System:
    module, attribute = table[name]
    return getattr(importlib.import_module(f"cellkinetics.models.{module}"), attribute)
