"""Models by name, and what a wrong name is answered with."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TypeVar

from cellkinetics.errors import ModelError
from cellkinetics.models.base import Model
from cellkinetics.models.ecp import expansion_model
from cellkinetics.models.phases import parse_phases

_T = TypeVar("_T")


class Named(Mapping[str, _T]):
    """A read-only mapping whose unknown keys raise `ModelError` with the names that exist."""

    def __init__(self, entries: Mapping[str, _T], kind: str) -> None:
        self._entries = dict(entries)
        self._kind = kind

    def __getitem__(self, name: str) -> _T:
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(str(name).lower(), self._entries, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"there is no {self._kind} {name!r}; there is {', '.join(self._entries)}{hint}")

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
_MODELS: Named[Model] = Named({name: expansion_model(parse_phases(name)) for name in _FAMILY}, kind="model")


def get_model(name: str | Model) -> Model:
    """Return the model of a name; a `Model` is handed through, so that users can bring their own.

    Args:
        name: one of `list_models`, or ``ecp`` with any phases, see `cellkinetics.models.phases.parse_phases`.

    Raises:
        ModelError: for an unknown name; the message lists the names.

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
    return _MODELS[name]


def list_models() -> tuple[Model, ...]:
    """Return every model that has a name.

    Example:
        >>> [model.name for model in list_models()][:3]
        ['ecp', 'ecp+lag', 'ecp+distribution']
    """
    return tuple(_MODELS.values())
