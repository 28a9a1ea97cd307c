"""`simulate_trial`: virtual trials of a population, in memory or block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.dialects import SUBJECT
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.pooled.known import Known, KnownPopulation, know
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.terms import missing_mask
from cellkinetics.fitting.virtual.blocks import BLOCK, Block, simulate_block
from cellkinetics.fitting.virtual.design import TrialDesign, schedules_of
from cellkinetics.fitting.virtual.leaving import Leaving, leaving
from cellkinetics.fitting.virtual.rows import Rows
from cellkinetics.models.base import Intervals

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.data.cohort import Cohort

MOST_IN_MEMORY = 200_000
"""Patients that a table in memory is made for; more are written piece by piece (``cellkinetics simulate``)."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Virtual trials that are to be simulated: of whom, how, how many.

    Attributes:
        known: the population.
        design: how patients are followed.
        n: patients of a trial.
        replicates: number of trials.
        uncertainty: whether each trial has population parameters of its own, drawn from their estimation error.
        seed: of everything random.

    Raises:
        SettingsError: for numbers out of their range, covariates that the population needs and the design lacks, or
            ``uncertainty`` of a population that has none.
    """

    known: KnownPopulation
    design: TrialDesign
    n: int
    replicates: int = 1
    uncertainty: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n", "replicates"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; give a number of at least 1")
        if self.seed < 0:
            raise SettingsError(f"seed {self.seed} is negative; give a whole number from 0")
        if self.uncertainty:
            self.known.require_covariance()
        population, design = self.known.population, self.design
        population.model.intervals(design.given)
        has = {*map(str, design.patients), *(("dose",) if design.doses else ())}
        lacking = sorted({term.covariate for term in population.terms} - has)
        if lacking:
            raise SettingsError(
                f"the population depends on {', '.join(lacking)}: give patients, a table with a column for each"
            )

    def population(self, trial: int) -> PopulationModel:
        """Return the population that patients of trial ``trial``, from 0, are drawn from."""
        if not self.uncertainty:
            return self.known.population
        return self.known.drawn(np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(trial,))))

    def blocks(self, trial: int, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """Simulate the patients of a trial from ``first``, a multiple of `BLOCK`, to before ``last``."""
        population = self.population(trial)
        last = self.n if last is None else min(last, self.n)
        for start in range(first, last, BLOCK):
            yield simulate_block(population, self.design, self.seed, trial, start, min(BLOCK, last - start))

    @property
    def rows(self) -> Rows:
        """How patients and samples are written."""
        population = self.known.population
        return Rows(
            self.design,
            self.n,
            self.replicates,
            population.model.names,
            self.known.value_unit,
            varying=bool(population.structure.occasion) and self.design.occasions > 1,
            mixture=population.structure.classes > 1,
        )

    def parameters(self) -> pd.DataFrame:
        """Return the population parameters of each trial on the natural scale: one row a trial and parameter."""
        import pandas as pd

        parts = []
        for trial in range(self.replicates):
            values = self.known.natural(self.population(trial))
            parts.append(pd.DataFrame({"trial": trial + 1, "parameter": list(values), "value": list(values.values())}))
        return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True, eq=False)
class VirtualTrial:
    """Simulated trials, and the truth behind them.

    Attributes:
        samples: one row a sample, a table that `read` takes; the file ``simulated.csv``.
        patients: one row a patient with the individual parameters; the file ``simulated_patients.csv``.
        parameters: population parameters of each trial; the file ``simulated_parameters.csv``.
        design: how patients were followed.
    """

    samples: pd.DataFrame
    patients: pd.DataFrame
    parameters: pd.DataFrame
    design: TrialDesign = field(repr=False)

    @property
    def cohort(self) -> Cohort:
        """The samples as `read` takes them."""
        from cellkinetics.data.reading import read

        return read(self.samples)

    def __repr__(self) -> str:
        blq = int((self.samples["censored"] == 1).sum())
        trials = int(self.parameters["trial"].nunique())
        of = f"{trials} trials, " if trials > 1 else ""
        return (
            f"VirtualTrial: {of}{self.samples['subject'].nunique():,} patients with samples, {len(self.samples):,} "
            f"samples, {blq:,} below quantification"
        )


def simulate_trial(
    population: Known,
    n: int = 100,
    days: Sequence[float] | str | Mapping[str, Sequence[float]] = "standard",
    *,
    lloq: float | None = None,
    uloq: float | None = None,
    jitter: float = 0.0,
    missed: float = 0.0,
    dropout: str | Path | Leaving | None = None,
    relapse: str | Path | Leaving | None = None,
    doses: Sequence[float] = (),
    patients: pd.DataFrame | Mapping[str, Sequence[Any]] | None = None,
    given: Intervals | None = None,
    occasions: int = 1,
    replicates: int = 1,
    uncertainty: bool = False,
    seed: int = 0,
) -> VirtualTrial:
    """Simulate one or several trials of ``n`` patients from a population.

        phi_i = mu + X_i beta + shift_class + eta_i,   phi_ik = phi_i + kappa_ik,   y_ikj = f(t_ikj; phi_ik) + residual

    A patient is the same whatever ``n`` and the limits of quantification: each block of 512 patients has random numbers
    of its own, from the seed, the number of the trial and that of the block.

    Args:
        population: a fit, the folder or ``population.json`` of one, a name or entry of the library, or values
            (`AssumedPopulation`, `PopulationModel`).
        n: patients of each trial.
        days: sampling days from infusion in rising order; ``dense``, ``standard`` or ``sparse``; or name to days for
            several schedules, which patients get in turn.
        lloq: lower limit of quantification.
        uloq: upper limit of quantification.
        jitter: largest deviation from a nominal day, as a fraction (below 0.5) of the way to its neighbour.
        missed: share of samples that are not taken.
        dropout: when follow-up ends, ``exponential:RATE``, ``weibull:SCALE,SHAPE``, ``below:LEVEL`` (of the
            curve without residual), or a table of who remains, see `cellkinetics.fitting.virtual.leaving`.
        relapse: likewise; the first of both ends the follow-up.
        doses: patients get them in turn.
        patients: covariates, one row a patient; each virtual patient gets a row drawn with replacement. By default
            the covariates of the fitted patients, where the population has terms.
        given: from and to which day each input of the model is given to everybody.
        occasions: infusions of each patient.
        replicates: number of trials.
        uncertainty: draw the population parameters of each trial from N(estimate, covariance) on the working scale.
        seed: the same seed gives the same trials.

    Raises:
        SettingsError: for an option out of its range, or something that the population needs and is not given.
        ModelError: for an unknown population or model.

    Example:
        >>> trial = simulate_trial("stein2019", 5, [7, 14, 28, 84], lloq=50, seed=1)
        >>> trial.samples.shape, trial.patients["tmax"].round(1).tolist()
        ((20, 7), [11.3, 16.0, 8.3, 7.1, 4.3])
        >>> trial.cohort.n_samples
        20
    """
    known = know(population)
    table = known_covariates(known) if patients is None else covariate_columns(patients)
    design = TrialDesign(
        schedules_of(days),
        lloq=lloq,
        uloq=uloq,
        jitter=jitter,
        missed=missed,
        dropout=leaving(dropout, "dropout"),
        relapse=leaving(relapse, "relapse"),
        doses=tuple(float(dose) for dose in doses),
        patients=table,
        given=given,
        occasions=occasions,
    )
    trials = Trials(known, design, n, replicates, uncertainty, seed)
    if n * replicates > MOST_IN_MEMORY:
        raise SettingsError(
            f"{n * replicates:,} patients are too many for a table in memory (at most {MOST_IN_MEMORY:,}); "
            "write them to files with `cellkinetics simulate`"
        )
    rows = trials.rows
    blocks = [block for trial in range(replicates) for block in trials.blocks(trial)]
    return VirtualTrial(rows.samples(blocks), rows.patients(blocks), trials.parameters(), design)


def known_covariates(known: KnownPopulation) -> dict[str, NDArray[Any]]:
    """Return the covariates of the fitted patients who lack none, from which virtual patients are drawn."""
    columns = covariate_columns(known.covariates)
    if not columns:
        return {}
    complete = ~np.any([missing_mask(values) for values in columns.values()], axis=0)
    return {name: values[complete] for name, values in columns.items()}


def covariate_columns(table: pd.DataFrame | Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the columns of a table of patients but their names: numbers, or texts with "" for a missing one.

    Raises:
        SettingsError: for a subject with several rows, as in a table of samples.
    """
    import pandas as pd

    frame = pd.DataFrame(dict(table))
    found: dict[str, NDArray[Any]] = {}
    for name in frame.columns:
        column = frame[name]
        if str(name).lower() in SUBJECT:
            if (again := column.duplicated()).any():
                who = column[again].iloc[0]
                raise SettingsError(
                    f"patients: {name} {who} has {int((column == who).sum())} rows; give a table with one row a "
                    "patient and the covariates as columns, not one of samples"
                )
            continue
        number = pd.api.types.is_numeric_dtype(column)
        found[str(name)] = column.to_numpy(float) if number else column.fillna("").astype(str).to_numpy(object)
    return found
