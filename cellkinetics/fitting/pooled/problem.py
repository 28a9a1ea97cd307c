"""A population problem: padded data, a model, a residual, and the layout of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import LEFT_CENSORED, NOT_CENSORED, Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.observations import observations, require_days
from cellkinetics.fitting.pooled.occasions import require_same_covariates, require_same_windows
from cellkinetics.fitting.pooled.padding import over_patients, padded
from cellkinetics.fitting.pooled.structure import Coefficient, Form, Formed, Structure, parse_blocks
from cellkinetics.models.base import Model
from cellkinetics.models.residual import LOG_CONSTANT, Residual

if TYPE_CHECKING:
    from cellkinetics.fitting.terms import Term

FloatArray = NDArray[np.float64]
Blq = Literal["m3", "drop", "half"]


class Samples(NamedTuple):
    """What is known of each patient, as JAX takes it; the leading axis is that of the patients.

    Attributes:
        time: days since the infusion of the sample's occasion ``(n, m)``.
        y: observation on the residual's scale, the limit where a sample is censored ``(n, m)``.
        censored: 0 quantified, 1 below the LLOQ, -1 above the ULOQ ``(n, m)``.
        mask: False where there is only padding ``(n, m)``.
        design: what the covariate coefficients are multiplied by ``(n, p, c)``.
        lower: lower end of the interval of a censored sample ``(n, m)``, or None where no sample has one.
        occasion: number of the occasion, from 0 ``(n, m)``, or None without inter-occasion variability.
        given: from and to which day each input of the model is given ``(n, k, w, 2)``, or None.
    """

    time: Any
    y: Any
    censored: Any
    mask: Any
    design: Any
    lower: Any = None
    occasion: Any = None
    given: Any = None


@dataclass(frozen=True, eq=False)
class PooledProblem(Formed):
    """All that a likelihood needs, and the map between a flat vector and named parameters.

    Attributes:
        form: model, residual and structure, see `cellkinetics.fitting.pooled.structure`.
        samples: padded arrays.
        subjects: who takes part, in the cohort's order.
        profiles: places in the cohort of each subject's profiles, one an occasion.
        left_out: place of a profile in the cohort to the reason why it cannot take part.
        left_out_samples: subject to a count with reasons, where some samples cannot enter.
        n_real: number of real patients; the arrays are padded beyond it with empty ones.
        fixed: label to the value, on the natural scale, of what is not estimated.
        terms: the covariate terms behind the design.
        notes: what a reader should know of how the data entered.
    """

    form: Form
    samples: Samples
    subjects: tuple[str, ...]
    profiles: tuple[tuple[int, ...], ...]
    left_out: Mapping[int, str]
    n_real: int
    n_observations: int
    n_censored: int
    left_out_samples: Mapping[str, str]
    fixed: Mapping[str, float]
    terms: tuple[Term, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def from_cohort(
        cls,
        cohort: Cohort,
        model: Model,
        *,
        residual: Residual = LOG_CONSTANT,
        fix: Mapping[str, float] | None = None,
        omega: str = "diagonal",
        covariates: Sequence[str] = (),
        iov: Sequence[str] = (),
        mixture: Sequence[str] = (),
        given: FloatArray | None = None,
        blq: Blq = "m3",
        notes: Sequence[str] = (),
        naive: bool = False,
    ) -> PooledProblem:
        """Arrange a cohort of one analyte for fitting.

        Which samples enter, and as what, is decided by `cellkinetics.fitting.observations.observations`.

        Args:
            cohort: profiles of one analyte and specimen.
            model: what is predicted.
            residual: how samples spread around it.
            fix: values that are not estimated, natural scale, by label; ``omega_tmax`` of 0 means that tmax has no
                random effect.
            omega: ``diagonal``, ``full``, or blocks, see `cellkinetics.fitting.pooled.structure.parse_blocks`.
            covariates: formulas such as ``cmax ~ group``.
            iov: parameters that vary between the occasions of a patient.
            mixture: parameters whose typical value differs between two sub-populations.
            given: inputs of the model, one entry a profile of the cohort ``(n, k, w, 2)``.
            notes: what is already known of how the data entered.
            blq: ``m3``; for comparisons only ``drop`` or ``half`` (LLOQ/2 as if it had been measured).
            naive: no parameter has a random effect: all samples are those of one patient.

        Raises:
            FitError: if the cohort holds several analytes, specimens or units, several occasions of a subject
                without ``iov``, covariates or inputs that differ between them, times that are not days, or no
                patient with a usable sample.
            ModelError: if ``fix`` holds a parameter that the model does not have, or a value off its scale.
            SettingsError: for a structure that makes no sense, or inputs that are missing.
        """
        if len(cohort.analytes) > 1:
            raise FitError(
                f"a population fit takes one analyte, the cohort has {_listed(cohort.analytes)}; "
                "choose one with cohort.select(analyte=...) or --analyte"
            )
        if len(cohort.specimens) > 1:
            raise FitError(
                f"a population fit takes one specimen, the cohort has {_listed(cohort.specimens)}; "
                "choose one with cohort.select(specimen=...) or --specimen"
            )
        if blq not in get_args(Blq):
            raise SettingsError(f"blq {blq!r} does not exist; choose one of {', '.join(get_args(Blq))}")
        require_days(cohort)
        terms = _terms(covariates, model, cohort)
        structure, fixed = structure_of(model, residual, dict(fix or {}), omega, terms, iov, mixture, naive)
        chosen = observations(cohort, natural=residual.scale == "natural")
        flag = np.where(cohort.censored == LEFT_CENSORED, blq == "m3", True)  # what stays what it is
        used = chosen.used & flag if blq == "drop" else chosen.used
        units: dict[str, list[int]] = {}
        left_out = {}
        for i, subject in enumerate(cohort.subject):
            fault = cohort.unusable[i]
            if fault is not None:
                left_out[i] = fault.message
            elif not (used[i] & (cohort.censored[i] == NOT_CENSORED)).any():
                left_out[i] = "no quantified sample that a likelihood can take"
            else:
                units.setdefault(subject, []).append(i)
        if not units:
            raise FitError("no patient has a quantified sample; there is nothing to fit")
        repeated = sorted(subject for subject, members in units.items() if len(members) > 1)
        if repeated and not iov:
            raise FitError(
                f"subject {repeated[0]} has several occasions; a population fit takes one profile a subject: "
                "keep one occasion of each, or let parameters vary between occasions (iov=..., --iov)"
            )
        if iov and not repeated:
            raise FitError("no subject has several occasions, so nothing can vary between them (iov, --iov)")
        occasions = max(len(members) for members in units.values()) if iov else 1
        structure = replace(structure, occasions=occasions)
        scales = sorted({cohort.value_unit[i] for members in units.values() for i in members})
        if len(scales) > 1:
            raise FitError(
                f"the patients' values are in different units ({', '.join(scales)}), which one fit cannot take: "
                "keep the profiles of one unit, or give one of them as an analyte of its own"
            )
        if model.inputs and given is None:
            raise SettingsError(
                f"model {model.name} needs to know when {' and '.join(model.inputs)} were given: a table with "
                "subject, drug, start and end (comedication=..., --comedication FILE)"
            )

        members = list(units.values())
        require_same_covariates(cohort, members, terms)
        rows = padded(cohort, chosen, used, members, log=residual.scale == "log", half=blq == "half")
        design = np.zeros((len(rows.y), len(model.parameters), len(structure.coefficients)))
        first = [own[0] for own in members]
        if terms:
            from cellkinetics.fitting.covariates import design as design_of

            design[: len(members)] = design_of(terms, model, cohort, first)
        windows = None
        if model.inputs and given is not None:
            require_same_windows(cohort, members, given, model.inputs)
            windows = over_patients(given[first])
        samples = Samples(
            rows.time,
            rows.y,
            rows.censored,
            rows.mask,
            design,
            rows.lower,
            rows.occasion if iov else None,
            windows,
        )
        said = {"drop": "are dropped", "half": "count as LLOQ/2"}.get(blq)
        n_below = int((chosen.used & (cohort.censored == LEFT_CENSORED))[[i for own in members for i in own]].sum())
        return cls(
            form=Form(model, residual, structure),
            samples=samples,
            subjects=tuple(units),
            profiles=tuple(tuple(own) for own in members),
            left_out=left_out,
            n_real=len(members),
            n_observations=int(rows.mask.sum()),
            n_censored=int((rows.mask & (rows.censored == LEFT_CENSORED)).sum()),
            left_out_samples={
                subject: chosen.left_out(i) for subject, own in units.items() for i in own if chosen.left_out(i)
            },
            fixed=fixed,
            terms=terms,
            notes=(
                *(str(fault) for fault in cohort.faults if fault.code == "times_look_like_hours"),
                *notes,
                *(
                    [f"the {n_below} samples below quantification {said}: biased estimates, for comparison only"]
                    if said and n_below
                    else []
                ),
            ),
        )

    @property
    def index(self) -> tuple[int, ...]:
        """Place in the cohort of each subject's first profile."""
        return tuple(own[0] for own in self.profiles)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the elements of the flat vector."""
        return self.structure.labels

    @property
    def free(self) -> NDArray[np.bool_]:
        """Mask of the elements of the flat vector that are estimated."""
        return np.array([label not in self.fixed for label in self.labels])

    def pack(
        self,
        typical: Mapping[str, float],
        omega: Mapping[str, float],
        sigma: Sequence[float],
    ) -> FloatArray:
        """Return the flat vector of named typical values and SDs on the natural scale (fixed values win).

        Covariate coefficients, correlations and shifts are 0 in it, but for fixed ones.
        """
        structure = self.structure
        values = {name: value for name, value in self.fixed.items() if name in structure.parameters}
        theta = self.model.theta({**typical, **values})
        mu = self.model.working_values(theta)
        x = structure.pack(mu, np.array([omega.get(name, 0.5) for name in structure.random_names]), sigma)
        return self.hold(x)

    def hold(self, x: FloatArray) -> FloatArray:
        """Return a flat vector with the fixed elements at their values."""
        x = np.array(x, dtype=float)
        for k, (label, kind) in enumerate(zip(self.labels, self.structure.kinds, strict=True)):
            if label in self.fixed:
                x[k] = working(self.fixed[label], kind, self.model, label)
        return x

    def typical(self, x: FloatArray) -> FloatArray:
        """Return the typical values on the natural scale, shape ``(p,)``."""
        return self.model.natural_values(x[self.structure.parts["mu"]])


def working(value: float, kind: str, model: Model, label: str) -> float:
    """Return a value on the scale of the flat vector; ``kind`` as in `Structure.kinds`."""
    if kind == "typical":
        return model[label].transformed(value)
    if kind in ("omega", "gamma", "residual"):
        return float(np.log(value))
    return float(np.arctanh(value)) if kind == "correlation" else float(value)


def _terms(formulas: Sequence[str], model: Model, cohort: Cohort) -> tuple[Term, ...]:
    if not formulas:
        return ()
    from cellkinetics.fitting.covariates import parse_terms

    return parse_terms(formulas, model, cohort)


def structure_of(
    model: Model,
    residual: Residual,
    fixed: dict[str, float],
    omega: str,
    terms: tuple[Term, ...],
    iov: Sequence[str],
    mixture: Sequence[str],
    naive: bool,
) -> tuple[Structure, dict[str, float]]:
    """Return the structure, and the fixed values without the random effects that they take away.

    Raises:
        SettingsError: for a structure that makes no sense, or a fixed value off its range.
        ModelError: for a parameter that the model does not have.
    """
    names = model.names
    none = {label.removeprefix("omega_") for label, value in fixed.items() if label.startswith("omega_") and value == 0}
    # What a drug does to growth is seen in too few patients for a variance of its own.
    if naive:
        if iov or mixture or omega != "diagonal":
            raise SettingsError("method naive has no random effects: leave out omega, iov and mixture")
        none = set(names)
        fixed = {label: value for label, value in fixed.items() if not label.startswith("omega_")}
    none |= {f"f_{name}" for name in model.inputs if f"omega_f_{name}" not in fixed}
    random = tuple(k for k, name in enumerate(names) if name not in none)
    if not random and not naive:
        raise SettingsError("no parameter has a random effect: use method naive, or leave one in")
    kept = tuple(names[k] for k in random)
    for what, given in (("iov", iov), ("mixture", mixture)):
        for name in given:
            if name not in (names if what == "iov" else kept):
                raise SettingsError(f"{what} {name!r}: choose among {', '.join(names if what == 'iov' else kept)}")
    coefficients: tuple[Coefficient, ...] = ()
    if terms:
        from cellkinetics.fitting.covariates import coefficient_names

        coefficients = tuple(
            Coefficient(name, names.index(term.parameter)) for term in terms for name in coefficient_names((term,))
        )
    structure = Structure(
        parameters=names,
        random=random,
        residual=residual.names,
        blocks=parse_blocks(omega, kept),
        coefficients=coefficients,
        occasion=tuple(sorted({names.index(name) for name in iov})),
        shifted=tuple(sorted({kept.index(name) for name in mixture})),
        classes=2 if mixture else 1,
    )
    left = {label: value for label, value in fixed.items() if not (label.startswith("omega_") and value == 0)}
    kinds = dict(zip(structure.labels, structure.kinds, strict=True))
    for label, value in left.items():
        if label.startswith("omega_") and label not in kinds:
            model[label.removeprefix("omega_")]
        if label not in kinds:
            model[label]
        if kinds[label] == "typical":
            model.check_values({label: value})
        elif kinds[label] in ("omega", "gamma", "residual") and not 0 < value < np.inf:
            zero = " (0 takes a random effect away)" if kinds[label] == "omega" else ""
            raise SettingsError(f"{label} is fixed to {value:g}; give a positive number{zero}")
        elif kinds[label] == "correlation" and not -1 < value < 1:
            raise SettingsError(f"{label} is fixed to {value}; a correlation lies between -1 and 1")
        elif kinds[label] == "share":
            raise SettingsError(f"{label} cannot be fixed")
    for label, value in fixed.items():
        if label.startswith("omega_") and value == 0:
            model[label.removeprefix("omega_")]
    return structure, left


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "samples without one" for name in names)
