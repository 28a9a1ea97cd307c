"""Kinetic models in JAX: the only place where a kinetic formula is written."""

from __future__ import annotations

import importlib
from typing import Any

# Loaded on first use, so that importing the package does not import JAX. No public name is the name of a
# module here: importing that module would bind it in the name's place.
_PUBLIC = {
    "Model": "cellkinetics.models.base",
    "Parameter": "cellkinetics.models.base",
    "Published": "cellkinetics.models.published",
    "Phases": "cellkinetics.models.phases",
    "check_model": "cellkinetics.models.contract",
    "expansion_model": "cellkinetics.models.ecp",
    "get_model": "cellkinetics.models.registry",
    "library": "cellkinetics.models.published",
    "list_models": "cellkinetics.models.registry",
    "simulate_dose_exploration": "cellkinetics.models.trial_simulation",
    "simulate_patients": "cellkinetics.models.simulation",
    "trajectories": "cellkinetics.models.registry",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'cellkinetics.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
