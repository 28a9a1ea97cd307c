"""The data set that NONMEM and nlmixr2 read: numbers only, a row a sample, in order of time within a patient.

| column | holds |
|---|---|
| ``ID`` | number of the patient: the subject's own where all are numbers |
| ``TIME`` | days since infusion; with several occasions days since the first one's, on an axis of our own |
| ``DAY``, ``OCC`` | with several occasions: days since the infusion of this one, and its number |
| ``DV``, ``LNDV`` | value and its logarithm; where the sample is censored, the limit and its logarithm |
| ``CENS`` | 0 quantified, 1 below DV, -1 above DV |
| ``LIMIT`` | where some are known: lower end of the interval of a sample below DV, ``.`` where there is none |
| ``LLOQ``, ``ULOQ`` | of the sample, ``.`` where it has none |
| ``EVID``, ``MDV`` | 0: every row is an observation. The dose of infused cells is no amount that enters a compartment |
| others | covariates as the model takes them, and the windows of comedication |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import LEFT_CENSORED, RIGHT_CENSORED, Cohort, FloatArray
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.interchange.equations import window_columns
from cellkinetics.fitting.observations import observations
from cellkinetics.fitting.pooled.problem import PooledProblem

LONGEST_NAME = 20
"""Characters that NM-TRAN allows in a name."""
MOST_COLUMNS = 50
"""Data items that NONMEM takes."""
_OWN = ("ID", "TIME", "DAY", "OCC", "DV", "LNDV", "CENS", "LIMIT", "LLOQ", "ULOQ", "EVID", "MDV", "VALUE")


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set as text, and what the model's code needs to know of it.

    Attributes:
        columns: names, in order.
        rows: numbers ``(rows, columns)``, NaN where there is none.
        identifiers: ID of each subject.
        subjects: their names.
        design: for each covariate coefficient, the column that it is multiplied by.
        meaning: column of a covariate to what it holds, in words.
        windows: columns of each input of the model.
        occasions: most occasions of a patient, 0 where the model does not tell them apart.
    """

    columns: tuple[str, ...]
    rows: FloatArray
    identifiers: tuple[int, ...]
    subjects: tuple[str, ...]
    design: tuple[str, ...]
    meaning: dict[str, str]
    windows: int
    occasions: int

    def has(self, censored: int) -> bool:
        """Tell whether a sample has this censoring flag."""
        return bool((self[("CENS")] == censored).any())

    @property
    def is_censored(self) -> bool:
        """Whether a sample is censored."""
        return self.has(LEFT_CENSORED) or self.has(RIGHT_CENSORED)

    @property
    def has_intervals(self) -> bool:
        """Whether a sample lies in an interval."""
        return "LIMIT" in self.columns

    def __getitem__(self, column: str) -> FloatArray:
        return self.rows[:, self.columns.index(column)]

    def to_csv(self) -> str:
        """Return the data as text: a header, commas, ``.`` where there is no number."""
        lines = [",".join(self.columns)]
        lines += [",".join(_number(value) for value in row) for row in self.rows.tolist()]
        return "\n".join(lines) + "\n"

    def subjects_csv(self) -> str:
        """Return which subject each ID is, as a table; empty where the names are the numbers."""
        if all(str(number) == name for number, name in zip(self.identifiers, self.subjects, strict=True)):
            return ""
        pairs = zip(self.identifiers, self.subjects, strict=True)
        quoted = (f'{number},"{name.replace(chr(34), chr(34) * 2)}"' for number, name in pairs)
        return "\n".join(["ID,subject", *quoted]) + "\n"


def data_set(problem: PooledProblem, cohort: Cohort) -> DataSet:
    """Return the samples that a population fit takes as a data set.

    Args:
        problem: who takes part, the covariates' design, the inputs' windows.
        cohort: whose samples they are.

    Raises:
        SettingsError: for samples below quantification that are not censored, and for more columns, or a longer name,
            than NONMEM takes.
    """
    chosen = observations(cohort, natural=problem.residual.scale == "natural")
    identifiers = _identifiers(problem.subjects)
    places = [(u, k, i, j) for u, own in enumerate(problem.profiles) for k, i in enumerate(own)
              for j in np.flatnonzero(chosen.used[i])]  # fmt: skip
    if len(places) != problem.n_observations:
        raise SettingsError("samples below quantification are exported as censored ones: take blq m3")
    u, k, i, j = np.array(places).T
    occasions = problem.structure.occasions if problem.structure.occasion else 0
    days, y = cohort.time[i, j], chosen.y[i, j]
    table: dict[str, NDArray[Any]] = {"ID": np.array(identifiers)[u], "TIME": days}
    if occasions:
        table |= {"TIME": _one_axis(u, k, days), "DAY": days, "OCC": k + 1}
    # A residual on the natural scale takes values of 0 and below, which have no logarithm.
    table |= {"DV": y, "LNDV": np.log(np.where(y > 0, y, np.nan)), "CENS": cohort.censored[i, j]}
    lower = np.where(chosen.lower[i, j] > 0, chosen.lower[i, j], np.nan)
    for name, values in (("LIMIT", lower), ("LLOQ", cohort.lloq[i, j]), ("ULOQ", cohort.uloq[i, j])):
        if np.isfinite(values).any():
            table[name] = values
    table |= {"EVID": np.zeros(len(u)), "MDV": np.zeros(len(u))}
    design, meaning = _covariates(problem, table, u)
    windows = _windows(problem, table, u)
    _check(table)
    return DataSet(
        columns=tuple(table),
        rows=np.column_stack([np.asarray(values, dtype=float) for values in table.values()]),
        identifiers=identifiers,
        subjects=problem.subjects,
        design=design,
        meaning=meaning,
        windows=windows,
        occasions=occasions,
    )


def count_censored(data: DataSet) -> dict[str, int]:
    """Return the number of samples below, above and between limits."""
    between = int(np.isfinite(data["LIMIT"]).sum()) if data.has_intervals else 0
    return {
        "below": int((data["CENS"] == LEFT_CENSORED).sum()) - between,
        "above": int((data["CENS"] == RIGHT_CENSORED).sum()),
        "between": between,
    }


def _identifiers(subjects: Sequence[str]) -> tuple[int, ...]:
    """Return the subjects' own numbers, or numbers from 1."""
    if all(re.fullmatch(r"[1-9][0-9]{0,7}", name) for name in subjects):
        return tuple(int(name) for name in subjects)
    return tuple(range(1, len(subjects) + 1))


def _one_axis(unit: NDArray[np.int64], occasion: NDArray[np.int64], days: FloatArray) -> FloatArray:
    """Return times that rise through a patient's occasions: each begins on a whole day after the last sample."""
    time = days.copy()
    for u in np.unique(unit):
        begin = 0.0
        for k in np.unique(occasion[unit == u]):
            rows = (unit == u) & (occasion == k)
            time[rows] = begin + days[rows]
            begin = float(np.floor(time[rows].max()) + 1.0)
    return time


def _covariates(
    problem: PooledProblem, table: dict[str, NDArray[Any]], unit: NDArray[np.int64]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Add a column for each different column of the design; return each coefficient's, and what they mean."""
    design = np.asarray(problem.samples.design)
    wanted = [(term, level) for term in problem.terms for level in (term.levels or ("",))]
    names, meaning = [], dict[str, str]()
    for c, ((term, level), coefficient) in enumerate(zip(wanted, problem.structure.coefficients, strict=True)):
        values = design[unit, coefficient.parameter, c]
        if term.form == "categorical":
            stem, words = f"{term.covariate}_{level}", f"1 where {term.covariate} is {level}, else 0"
        elif term.form == "power":
            stem, words = f"LN_{term.covariate}", f"ln({term.covariate}/{term.reference:.10g})"
        else:
            stem, words = f"D_{term.covariate}", f"{term.covariate} - {term.reference:.10g}"
        stem = re.sub(r"\W+", "_", stem).strip("_").upper()[: LONGEST_NAME - 2]
        if not stem.isascii() or not stem[0].isalpha():
            stem = f"X{c + 1}"
        name, k = stem, 2
        while name in _OWN or (name in table and not np.array_equal(table[name], values)):
            name, k = f"{stem}_{k}", k + 1
        table[name] = values
        meaning[name] = words
        names.append(name)
    return tuple(names), meaning


def _windows(problem: PooledProblem, table: dict[str, NDArray[Any]], unit: NDArray[np.int64]) -> int:
    """Add the windows of the model's inputs; return how many columns each has."""
    if problem.samples.given is None:
        return 0
    given = np.asarray(problem.samples.given)
    windows = given.shape[2]
    for k, spans in enumerate(window_columns(problem.model.inputs, windows)):
        for w, (first, last) in enumerate(spans):
            # Nothing grows before infusion.
            table[first] = np.maximum(given[unit, k, w, 0], 0.0)
            table[last] = np.maximum(given[unit, k, w, 1], 0.0)
    return windows


def _check(table: dict[str, NDArray[Any]]) -> None:
    long = [name for name in table if len(name) > LONGEST_NAME]
    if long:
        raise SettingsError(f"the column {long[0]} is longer than the {LONGEST_NAME} characters that NONMEM takes")
    if len(table) > MOST_COLUMNS:
        raise SettingsError(
            f"the data would have {len(table)} columns and NONMEM takes {MOST_COLUMNS}: "
            "leave out covariates, or join windows of comedication"
        )


def _number(value: float) -> str:
    """Return a number that reads back as the same one, as short as that can be; ``.`` where there is none."""
    if value != value:
        return "."
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
