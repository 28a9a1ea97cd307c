"""Cellular kinetics of CAR-T therapies: noncompartmental analysis, expansion models and their fits."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it. Loaded on first use (PEP 562), so that importing the package
# costs nothing; no name here may be the name of a subpackage, which would hide it.
_PUBLIC = {
    "AssumedPopulation": "cellkinetics.fitting.design.population",
    "CellKineticsError": "cellkinetics.errors",
    "Cohort": "cellkinetics.data.cohort",
    "DataError": "cellkinetics.errors",
    "NCAOptions": "cellkinetics.nca.options",
    "NCAResult": "cellkinetics.nca.result",
    "PopulationPrior": "cellkinetics.fitting.prior",
    "Profile": "cellkinetics.data.cohort",
    "Sampling": "cellkinetics.fitting.pooled.bayes",
    "bootstrap": "cellkinetics.fitting.pooled.bootstrap",
    "compare_models": "cellkinetics.fitting.model_comparison",
    "compare_schedules": "cellkinetics.fitting.design.comparison",
    "covariate_search": "cellkinetics.fitting.covariate_search",
    "export": "cellkinetics.fitting.interchange.export",
    "fit": "cellkinetics.fitting.individual",
    "forecast": "cellkinetics.fitting.pooled.forecast",
    "likelihood_profile": "cellkinetics.diagnostics.profile",
    "noncompartmental": "cellkinetics.nca.engine",
    "npde": "cellkinetics.diagnostics.npde",
    "plot": "cellkinetics.report.plotting",
    "pool": "cellkinetics.fitting.pooled.estimation",
    "population_contributions": "cellkinetics.diagnostics.contributions",
    "population_residuals": "cellkinetics.diagnostics.residuals",
    "random_effects": "cellkinetics.diagnostics.effects",
    "read": "cellkinetics.data.reading",
    "read_estimates": "cellkinetics.fitting.interchange.estimates",
    "schedule_information": "cellkinetics.fitting.design.information",
    "search_schedule": "cellkinetics.fitting.design.search",
    "search_trace": "cellkinetics.diagnostics.trace",
    "simulate_trial": "cellkinetics.fitting.virtual.trial",
    "vpc": "cellkinetics.diagnostics.vpc",
    "sir": "cellkinetics.fitting.pooled.sir",
    "write_cdisc": "cellkinetics.report.cdisc.writing",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in {"models"}:
        return importlib.import_module(f"cellkinetics.{name}")
    raise AttributeError(f"module 'cellkinetics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
