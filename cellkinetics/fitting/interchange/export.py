"""`export`: a population model with its data and starting values, as files that NONMEM or nlmixr2 run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import OutputError, SettingsError
from cellkinetics.fitting.interchange.dataset import DataSet, count_censored, data_set
from cellkinetics.fitting.interchange.estimates import Start, starting_point
from cellkinetics.fitting.interchange.layout import LAYOUT
from cellkinetics.fitting.interchange.nlmixr2 import ESTIMATES, SCRIPT, r_script
from cellkinetics.fitting.interchange.nonmem import STREAM, control_stream
from cellkinetics.fitting.pooled.known import read_population
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.structure import FloatArray
from cellkinetics.models.base import Model
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import Residual, get_residual

Program = Literal["nonmem", "nlmixr2"]
DATA, SUBJECTS, README = "data.csv", "subjects.csv", "README.txt"


@dataclass(frozen=True)
class Exported:
    """A population model for another program.

    Attributes:
        program: ``nonmem`` or ``nlmixr2``.
        files: name to text.
    """

    program: str
    files: Mapping[str, str]

    def write(self, folder: str | Path) -> Path:
        """Write the files into a folder, which is made if it does not exist; return it.

        Raises:
            OutputError: if it cannot be written.
        """
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            for name, text in self.files.items():
                (path / name).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from None
        return path

    def __repr__(self) -> str:
        return f"Exported for {self.program}: {', '.join(self.files)}"


def export(
    source: Cohort | PopulationFit,
    to: Program,
    *,
    population: str | os.PathLike[str] | PopulationModel | None = None,
    model: str | Model = "ecp",
    residual: str | Residual = "log-constant",
    start: Start = None,
    fix: Mapping[str, float] | None = None,
    omega: str = "diagonal",
    covariates: Sequence[str] = (),
    iov: Sequence[str] = (),
    mixture: Sequence[str] = (),
    comedication: Any = None,
    seed: int = 0,
) -> Exported:
    r"""Return a population model, its data and its starting values as text for NONMEM or nlmixr2.

    The equations are those of the model of this package on both sides of the peak, typical values are on the scale of
    the random effects (MU-referenced), samples below quantification are left-censored (M3).

    Args:
        source: a cohort; or a population fit, whose model, data and estimates are exported.
        to: ``nonmem`` or ``nlmixr2``.
        population: of a cohort, the fit whose model, structure and values are exported: its folder or
            ``population.json``. Then only ``comedication`` may be given besides.
        model: of a cohort, as in `cellkinetics.fitting.pooled.estimation.pool`; a fit has its own.
        residual: likewise.
        start: values to start from, of a cohort; by default as a fit begins.
        fix: as in `pool`.
        omega: as in `pool`.
        covariates: as in `pool`.
        iov: as in `pool`.
        mixture: as in `pool`.
        comedication: as in `pool`.
        seed: of the other program's estimation.

    Raises:
        SettingsError: for an unknown program, a residual or a structure that the program has no words for, or
            arguments that a fit has already.
        ModelError: for a model that is not of the expansion family.
        FitError: if no patient can take part.

    Source: Beal SL 2001, doi:10.1023/A:1012299115260 (M3).

    Example:
        >>> from cellkinetics.models.published import STEIN_2019
        >>> cohort = Cohort.from_arrays([[2, 9, 14, 28]] * 3, [[90, 9e3, 4e3, 300]] * 3, lloq=50)
        >>> files = export(cohort, "nonmem", start=STEIN_2019.typical)
        >>> files
        Exported for nonmem: run1.ctl, data.csv, layout.json, README.txt
        >>> print(*files.files["data.csv"].splitlines()[:2], sep="\n")
        ID,TIME,DV,LNDV,CENS,LLOQ,EVID,MDV
        1,2,90,4.499809670330265,0,50,0,0
    """
    if to not in get_args(Program):
        raise SettingsError(f"there is no program {to!r} to export to; there is {', '.join(get_args(Program))}")
    structure: dict[str, Any] = {
        "fix": dict(fix or {}),
        "omega": omega,
        "covariates": covariates,
        "iov": iov,
        "mixture": mixture,
    }
    is_given = start is not None or omega != "diagonal" or any((fix, covariates, iov, mixture))
    if (isinstance(source, PopulationFit) or population is not None) and is_given:
        raise SettingsError("a fit is exported as it is: it has its structure and starting values")
    if isinstance(source, PopulationFit):
        return export_problem(source.problem, source.cohort, source.x, to, seed=seed)
    chosen, spread = get_model(model), get_residual(residual)
    known = None
    if population is not None:
        known = population if isinstance(population, PopulationModel) else read_population(Path(population)).population
        chosen, spread, structure = known.model, known.residual, _structure_of(known)
    windows, notes = None, tuple[str, ...]()
    if comedication is not None:
        from cellkinetics.data.comedication import comedication_of

        windows, notes = comedication_of(comedication, source).windows(source, chosen.inputs)
    problem = PooledProblem.from_cohort(source, chosen, residual=spread, given=windows, notes=notes, **structure)
    if known is None:
        return export_problem(problem, source, starting_point(problem, source, start), to, seed=seed)
    if known.structure.labels != problem.structure.labels:
        differ = sorted(set(known.structure.labels) ^ set(problem.structure.labels))
        raise SettingsError(f"the fit is one of other data: they differ in {', '.join(differ)}")
    return export_problem(problem, source, known.x, to, seed=seed)


def _structure_of(population: PopulationModel) -> dict[str, Any]:
    """Return the arguments of `PooledProblem.from_cohort` that make a population's structure."""
    structure, names = population.structure, population.structure.random_names
    blocks = ";".join(",".join(names[k] for k in block) for block in structure.blocks)
    return {
        "fix": {f"omega_{name}": 0.0 for name in structure.parameters if name not in names},
        "omega": blocks or "diagonal",
        "covariates": tuple(str(term) for term in population.terms),
        "iov": tuple(structure.parameters[k] for k in structure.occasion),
        "mixture": tuple(names[k] for k in structure.shifted),
    }


def export_problem(problem: PooledProblem, cohort: Cohort, x: FloatArray, to: Program, *, seed: int = 0) -> Exported:
    """Return a population problem and its starting values as text; arguments and errors as in `export`."""
    data = data_set(problem, cohort)
    if to == "nonmem":
        name, (text, layout) = STREAM, control_stream(problem, x, data, file=DATA, seed=seed)
    else:
        name, (text, layout) = SCRIPT, r_script(problem, x, data, file=DATA, seed=seed)
    files = {name: text, DATA: data.to_csv()}
    if subjects := data.subjects_csv():
        files[SUBJECTS] = subjects
    files |= {LAYOUT: layout.to_json(), README: _readme(problem, data, to, name)}
    return Exported(to, MappingProxyType(files))


def _readme(problem: PooledProblem, data: DataSet, to: Program, name: str) -> str:
    """Return what a user of the folder needs to know."""
    counts = {what: count for what, count in count_censored(data).items() if count}
    words = {"below": "below the LLOQ", "above": "above the ULOQ", "between": "in an interval"}
    censored = "; ".join(f"{count} {words[what]}" for what, count in counts.items()) or "none censored"
    run = "nmfe75 run1.ctl run1.lst" if to == "nonmem" else "Rscript run1.R"
    result = "run1.ext" if to == "nonmem" else ESTIMATES
    lines = [
        f"{problem.model.name}: {problem.model.title}",
        f"Residual {problem.residual.name}; {len(data.subjects)} patients, {len(data.rows)} samples ({censored}).",
        "",
        f"Run:        {run}",
        f"Read back:  cellkinetics pool DATA --start {result}     ({LAYOUT} must stand beside it)",
        "",
        f"{name:<13} the model and its starting values",
        f"{DATA:<13} one row a sample, . where there is no number",
    ]
    if data.subjects_csv():
        lines.append(f"{SUBJECTS:<13} the subject of each ID")
    lines += [
        f"{LAYOUT:<13} which parameter is which, for reading the estimates back",
        "",
        "Columns of the data",
        "TIME   days since infusion"
        if not data.occasions
        else "TIME   days since the first infusion, on an axis of "
        "our own: an occasion begins after the last sample of the one before",
        *(["DAY    days since the infusion of the occasion OCC"] if data.occasions else []),
        "DV     value, or its limit where CENS is not 0; LNDV its natural logarithm",
        "CENS   1 below DV, -1 above DV",
        *(["LIMIT  lower end of the interval of a sample below DV"] if data.has_intervals else []),
        *(f"{column}: {words}" for column, words in data.meaning.items()),
    ]
    if data.windows:
        lines.append("_ON, _OFF: from and to which day a drug was given; 0 and 0 where it was not")
    if problem.structure.classes > 1 and to == "nlmixr2":
        lines += ["", "The share of the sub-populations (share_1) is not read back."]
    if problem.left_out:
        lines += ["", f"{len(problem.left_out)} profiles cannot take part in a fit and are left out."]
    if problem.left_out_samples:
        lines += ["", "Samples that cannot enter a fit are left out:"]
        lines += [f"  {subject}: {reason}" for subject, reason in problem.left_out_samples.items()]
    if problem.notes:
        lines += ["", "How the data entered:", *(f"  {note}" for note in problem.notes)]
    return "\n".join(lines) + "\n"
