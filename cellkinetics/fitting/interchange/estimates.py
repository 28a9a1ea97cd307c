"""Final estimates of NONMEM (``.ext``) and of nlmixr2 (the table that our script writes) as starting values."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import DataError, SettingsError
from cellkinetics.fitting.interchange.layout import LAYOUT, Layout
from cellkinetics.fitting.interchange.nlmixr2 import EFFECT, ESTIMATES, OCCASION, TYPICAL
from cellkinetics.fitting.pooled.known import POPULATION_FILE, KnownPopulation, read_population
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.start import population_start
from cellkinetics.fitting.pooled.structure import FloatArray
from cellkinetics.models.registry import get_model

FINAL, ERRORS = -1000000000, -1000000001
"""ITERATION of the final estimates, and of their standard errors, in a file .ext."""


@dataclass(frozen=True, eq=False)
class StartingValues:
    """Where a population fit begins.

    Attributes:
        values: label to value: typical values on the natural scale, covariate coefficients, shifts, shares, SDs
            between occasions (``gamma_``), residual SDs; see `Structure.labels`.
        random: parameters with random effects.
        covariance: of the random effects, in the order of ``random``.
        source: where it is from, for messages.
    """

    values: Mapping[str, float]
    random: tuple[str, ...]
    covariance: FloatArray
    source: str = ""

    def apply(self, problem: PooledProblem, x: FloatArray) -> FloatArray:
        """Return a flat vector with these values in it; what they do not name stays, and fixed values win.

        A variance of zero leaves the SD that the flat vector has: a search could not leave zero.

        Raises:
            SettingsError: for a value that the problem has no place for, or a typical value off its scale.
        """
        structure, model = problem.structure, problem.model
        unknown = [name for name in self.values if name not in structure.labels]
        unknown += [f"omega_{name}" for name in self.random if name not in structure.parameters]
        if unknown:
            raise SettingsError(
                f"start{f' ({self.source})' if self.source else ''}: this population model has no {unknown[0]}; it has "
                f"{', '.join(structure.labels)}"
            )
        now = structure.values(x)
        mu = now.mu.copy()
        for k, name in enumerate(structure.parameters):
            if name in self.values:
                model.check_values({name: self.values[name]})
                mu[k] = model[name].transformed(self.values[name])
        covariance = np.asarray(now.factor @ now.factor.T)
        both = [(k, self.random.index(name)) for k, name in enumerate(structure.random_names) if name in self.random]
        for k, a in both:
            for j, b in both:
                if self.covariance[a, a] > 0 and self.covariance[b, b] > 0:
                    covariance[k, j] = self.covariance[a, b]
        given = {
            kind: np.array([self.values.get(label, old) for label, old in zip(labels, values.tolist(), strict=True)])
            for kind, labels, values in (
                ("beta", [one.name for one in structure.coefficients], now.beta),
                ("gamma", [f"gamma_{structure.parameters[k]}" for k in structure.occasion], now.gamma),
                ("sigma", list(structure.residual), now.sigma),
            )
        }
        shift, share = now.shift.copy(), np.exp(now.log_share)
        for number in range(2, structure.classes + 1):
            for k in structure.shifted:
                label = f"shift_{structure.random_names[k]}_{number}"
                shift[number - 1, k] = self.values.get(label, shift[number - 1, k])
            share[number - 1] = self.values.get(f"share_{number}", share[number - 1])
        share[0] = 1.0 - share[1:].sum()
        try:
            packed = structure.pack(mu, covariance, given["sigma"], beta=given["beta"], gamma=given["gamma"],
                                    shift=shift, share=share)  # fmt: skip
        except np.linalg.LinAlgError:
            raise SettingsError(
                f"start{f' ({self.source})' if self.source else ''}: the covariance of the random effects is not one "
                "(not positive definite)"
            ) from None
        return problem.hold(packed)


Start = StartingValues | Mapping[str, float] | str | os.PathLike[str] | None


def starting_point(problem: PooledProblem, cohort: Cohort, start: Start) -> FloatArray:
    """Return the flat vector at which a fit begins: what is given, the rest from the patients' own starts.

    Args:
        problem: to be fitted.
        cohort: of which it was made.
        start: values by label, see `population_start`; or what `read_estimates` reads, or has read.
    """
    if start is None or isinstance(start, Mapping):
        return population_start(problem, cohort, start)
    given = start if isinstance(start, StartingValues) else read_estimates(start)
    typical = {name: value for name, value in given.values.items() if name in problem.model.names}
    return given.apply(problem, population_start(problem, cohort, typical))


def read_estimates(path: str | os.PathLike[str]) -> StartingValues:
    """Read the final estimates that NONMEM or nlmixr2 wrote for an exported model.

    | file | what is read |
    |---|---|
    | ``run1.ext`` | the line ITERATION -1000000000 of the last table that has one |
    | ``estimates.csv`` | what the exported R script writes at its end |
    | ``population.json`` | the estimates of a fit of this package |

    For the first two, the file ``layout.json`` that came with the model says what each parameter is; it must stand
    beside the file.

    Args:
        path: one of these files, or the folder that holds it.

    Raises:
        DataError: for a file that cannot be read, holds no final estimates, or not those of the exported model.
    """
    path = _file(Path(path))
    if path.name == POPULATION_FILE or path.suffix.lower() == ".json":
        return _from_fit(path)
    layout_file = path.parent / LAYOUT
    if not layout_file.is_file():
        raise DataError(
            f"{path}: there is no {LAYOUT} beside it, which says what its parameters are; "
            "put the one there that cellkinetics export wrote with the model"
        )
    layout = Layout.from_json(layout_file.read_text(encoding="utf-8"))
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if path.suffix.lower() == ".ext":
        return _from_nonmem(read_ext(text, str(path))[-1], layout, str(path))
    return _from_nlmixr2(text, layout, str(path))


@dataclass(frozen=True)
class ExtTable:
    """One estimation step of a file .ext: its title, its final estimates, and their standard errors if there are."""

    title: str
    final: Mapping[str, float]
    errors: Mapping[str, float] | None


def read_ext(text: str, source: str = "the file .ext") -> tuple[ExtTable, ...]:
    r"""Return the steps of a file .ext that have final estimates, by column such as THETA1 or OMEGA(2,1).

    Raises:
        DataError: if none has.

    Example:
        >>> text = "TABLE NO. 1: SAEM\n ITERATION THETA1 OBJ\n 0 1.0 9.0\n -1000000000 1.5 8.0\n"
        >>> read_ext(text)[0].final["THETA1"]
        1.5
    """
    title, header, found = "", list[str](), list[ExtTable]()
    rows: dict[int, dict[str, float]] = {}

    def close() -> None:
        if FINAL in rows:
            found.append(ExtTable(title, rows[FINAL], rows.get(ERRORS)))

    for line in text.splitlines():
        if line.strip().upper().startswith("TABLE NO."):
            close()
            title, header, rows = line.strip(), [], {}
            continue
        cells = [cell for cell in re.split(r"[,;\s]+(?![^()]*\))", line.strip()) if cell]
        if cells and cells[0].upper() == "ITERATION":
            header = [cell.upper() for cell in cells]
        elif header and len(cells) == len(header):
            numbers = [_fortran(cell) for cell in cells]
            if numbers[0] in (FINAL, ERRORS):
                rows[int(numbers[0])] = dict(zip(header[1:], numbers[1:], strict=True))
    close()
    if not found:
        raise DataError(
            f"{source} holds no final estimates (no line ITERATION {FINAL}): the run did not end, or this is no .ext"
        )
    return tuple(found)


def _file(path: Path) -> Path:
    """Return the file of estimates in a folder, or the file itself."""
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        return path
    found = sorted([*path.glob("*.ext"), *path.glob(ESTIMATES), *path.glob(POPULATION_FILE)])
    if len(found) != 1:
        listed = ", ".join(one.name for one in found) or "none"
        raise DataError(
            f"{path} must hold one file of estimates (.ext, {ESTIMATES} or {POPULATION_FILE}), and holds {listed}; "
            "name it"
        )
    return found[0]


def _fortran(text: str) -> float:
    """Return a number as Fortran writes it: 1.0D-3, or 1.0-103 without a letter; NaN for a text."""
    try:
        return float(re.sub(r"(?<=\d)([+-]\d+)$", r"E\1", text.upper().replace("D", "E")))
    except ValueError:
        return math.nan


def _natural(layout: Layout, values: Mapping[str, float], source: str) -> dict[str, float]:
    """Return fixed effects by label on the natural scale."""
    model = get_model(layout.model)
    lost = [label for label, value in values.items() if not math.isfinite(value)]
    if lost:
        raise DataError(f"{source}: {lost[0]} is not a number")
    return {label: model[label].natural(value) if label in model.names else value for label, value in values.items()}


def _from_fit(path: Path) -> StartingValues:
    population = read_population(path).population
    labels = (*population.structure.random_names,)
    values = KnownPopulation.natural(population)
    kept = {label: value for label, value in values.items() if not label.startswith(("omega_", "corr_"))}
    places = list(population.structure.random)
    return StartingValues(_positive(kept), labels, population.omega[np.ix_(places, places)], str(path))


def _from_nonmem(table: ExtTable, layout: Layout, source: str) -> StartingValues:
    thetas = {re.sub(r"\D", "", name): value for name, value in table.final.items() if name.startswith("THETA")}
    effects = len(layout.eta) + len(layout.occasion)
    if len(thetas) != len(layout.theta) or f"OMEGA({effects + 1},1)" in table.final:
        raise DataError(
            f"{source} has {len(thetas)} THETAs and the exported model {len(layout.theta)}, or other random effects: "
            f"the model was changed. Give the values themselves, or a {LAYOUT} that fits"
        )
    values = {label: thetas.get(str(k), math.nan) for k, label in enumerate(layout.theta, start=1)}

    def omega(i: int, j: int) -> float:
        value = table.final.get(f"OMEGA({max(i, j)},{min(i, j)})", math.nan)
        if not math.isfinite(value):
            raise DataError(f"{source}: OMEGA({max(i, j)},{min(i, j)}) is missing or not a number")
        return value

    q = len(layout.eta)
    covariance = np.array([[omega(i + 1, j + 1) for j in range(q)] for i in range(q)])
    natural = _natural(layout, values, source)
    for k, name in enumerate(layout.occasion):
        natural.setdefault(f"gamma_{name}", math.sqrt(omega(q + k + 1, q + k + 1)))
    return StartingValues(_positive(natural), layout.eta, covariance, source)


def _from_nlmixr2(text: str, layout: Layout, source: str) -> StartingValues:
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not {"kind", "name", "other", "value"} <= set(rows[0]):
        raise DataError(f"{source} is not the table that the exported script writes (kind, name, other, value)")
    thetas = {row["name"]: _fortran(row["value"]) for row in rows if row["kind"] == "theta"}
    omegas = {(row["name"], row["other"]): _fortran(row["value"]) for row in rows if row["kind"] == "omega"}
    lost = [name for (name, _), value in omegas.items() if not math.isfinite(value)]
    if lost:
        raise DataError(f"{source}: the covariance of {lost[0]} is not a number")
    omegas |= {(second, first): value for (first, second), value in omegas.items()}
    names = get_model(layout.model).names
    values = {}
    for label in layout.theta:
        if label.startswith("share_"):
            continue  # on which scale the program reports it is not known to us
        name = f"{TYPICAL}{label}" if label in names else label
        if name not in thetas:
            raise DataError(f"{source}: the exported model has {name}, and there is no estimate of it")
        values[label] = thetas[name]
    lacking = [name for name in layout.eta if (f"{EFFECT}{name}",) * 2 not in omegas]
    if lacking:
        raise DataError(f"{source}: the exported model has {EFFECT}{lacking[0]}, and there is no variance of it")
    covariance = np.array([[omegas.get((f"{EFFECT}{a}", f"{EFFECT}{b}"), 0.0) for b in layout.eta] for a in layout.eta])
    natural = _natural(layout, values, source)
    for name in layout.occasion:
        variance = omegas.get((f"{OCCASION}{name}",) * 2)
        if variance is not None:
            natural[f"gamma_{name}"] = math.sqrt(variance)
    return StartingValues(_positive(natural), layout.eta, covariance, source)


def _positive(values: dict[str, float]) -> dict[str, float]:
    """Leave out SDs of zero, from which a search could not come away."""
    kept = ("sigma", "gamma_")
    return {label: value for label, value in values.items() if not (label.startswith(kept) and value <= 0)}
