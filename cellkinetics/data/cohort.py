"""Samples of many patients as padded arrays (`Cohort`) and of one patient (`Profile`)."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.provenance import RowRecords, Source
from cellkinetics.drawing import Drawable
from cellkinetics.errors import DataError, Fault
from cellkinetics.units import DEFAULT_TIME_UNIT, DEFAULT_VALUE_UNIT

_T = TypeVar("_T")

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

NOT_CENSORED, LEFT_CENSORED, RIGHT_CENSORED = 0, 1, -1


@dataclass(frozen=True, eq=False)
class Profile:
    """The samples of one subject, analyte, occasion and specimen, in order of time, without padding.

    Arrays have shape ``(m,)``. ``value`` of a sample below quantification is whatever the file
    holds (its LLOQ, 0 or NaN): the flag ``censored`` decides, never the number. ``dose``,
    ``infusion_duration`` and ``tau`` (the dosing interval), in the unit of time, are NaN where unknown;
    ``steady_state`` is that of `Cohort`.
    """

    subject: str
    analyte: str
    occasion: str
    time: FloatArray
    value: FloatArray
    censored: IntArray
    lloq: FloatArray
    uloq: FloatArray
    nominal_time: FloatArray
    row: IntArray
    dose: float
    group: str
    fault: Fault | None = None
    specimen: str = ""
    infusion_duration: float = np.nan
    tau: float = np.nan
    steady_state: float = np.nan

    @property
    def quantified(self) -> BoolArray:
        """Mask of the samples with a quantified value, shape ``(m,)``."""
        return self.censored == NOT_CENSORED

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, eq=False)
class Cohort(Drawable):
    """A trial's samples: ``n`` profiles of at most ``m`` samples, padded, in order of time.

    One profile is one subject, analyte, occasion and specimen. Arrays ``time, value, lloq, uloq,
    nominal_time`` are ``(n, m)`` float64, NaN where ``mask`` is False; ``censored`` is ``(n, m)``
    with 0 quantified, 1 below the LLOQ, -1 above the ULOQ; ``row`` is the line in the file.
    Profiles stand in the order of first appearance in the file.

    Attributes:
        unusable: one entry a profile, the fault because of which nothing can be calculated for
            it, or None. Such profiles stay in the cohort, so that every table names them.
        faults: every fault and note that reading found.
        covariates: name to array ``(n,)``, numbers (NaN missing) or text ("" missing).
        records: rows that were left out, or changed by a rule, each with its reason.
        dose: ``(n,)``, NaN where unknown. It is a covariate or an initial value, not an input rate.
        lower: ``(n, m)``, of a sample below the LLOQ that is known to lie above this number, NaN elsewhere.
        specimen: what was sampled (blood, bone marrow), "" where it is not said.
        infusion_duration: ``(n,)``, in the unit of time, NaN where unknown.
        tau: dosing interval ``(n,)``, in the unit of time, NaN where unknown.
        steady_state: ``(n,)``, 1 where the data say that the profile is at steady state (NONMEM's SS), 0 where they
            say that it is not, NaN where they do not say.
        occasion_start: ``(n,)``, numbers that put the occasions of one subject in order of time, NaN where the data
            do not tell it.
        dose_unit: of each profile's dose, as the data say it; empty where they do not.

    Example:
        >>> cohort = Cohort.from_arrays([[0.0, 7.0, 14.0]], [[0.0, 900.0, 400.0]])
        >>> len(cohort), cohort.subject
        (1, ('1',))
    """

    subject: tuple[str, ...]
    analyte: tuple[str, ...]
    occasion: tuple[str, ...]
    group: tuple[str, ...]
    time: FloatArray
    value: FloatArray
    censored: IntArray
    lloq: FloatArray
    uloq: FloatArray
    nominal_time: FloatArray
    mask: BoolArray
    row: IntArray
    dose: FloatArray
    covariates: Mapping[str, NDArray[np.generic]] = field(default_factory=lambda: MappingProxyType({}))
    unusable: tuple[Fault | None, ...] = ()
    faults: tuple[Fault, ...] = ()
    time_unit: str = DEFAULT_TIME_UNIT
    value_unit: tuple[str, ...] = ()
    source: Source = field(default_factory=Source)
    records: RowRecords = field(default_factory=RowRecords)
    specimen: tuple[str, ...] = ()
    infusion_duration: FloatArray = field(default_factory=lambda: np.empty(0))
    tau: FloatArray = field(default_factory=lambda: np.empty(0))
    steady_state: FloatArray = field(default_factory=lambda: np.empty(0))
    occasion_start: FloatArray = field(default_factory=lambda: np.empty(0))
    dose_unit: tuple[str, ...] = ()
    lower: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        n = len(self.subject)
        if self.lower.shape != self.time.shape:
            object.__setattr__(self, "lower", np.full(self.time.shape, np.nan))
        if not self.specimen:
            object.__setattr__(self, "specimen", ("",) * n)
        if not self.dose_unit:
            object.__setattr__(self, "dose_unit", ("",) * n)
        for name in ("infusion_duration", "tau", "steady_state", "occasion_start"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(n, np.nan))
        if not self.unusable:
            object.__setattr__(self, "unusable", (None,) * n)
        if not self.value_unit:
            object.__setattr__(self, "value_unit", (DEFAULT_VALUE_UNIT,) * n)
        for array in (
            *(self.time, self.value, self.censored, self.lloq, self.uloq, self.nominal_time),
            *(self.mask, self.row, self.dose, self.infusion_duration, self.tau),
            *(self.steady_state, self.occasion_start, self.lower),
        ):
            array.flags.writeable = False
        covariates = {name: _read_only(array) for name, array in self.covariates.items()}
        object.__setattr__(self, "covariates", MappingProxyType(covariates))

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process whole: a read-only mapping does not by itself."""
        state = {one.name: getattr(self, one.name) for one in fields(self)}
        return _restored, ({**state, "covariates": dict(self.covariates)},)

    @classmethod
    def from_arrays(
        cls,
        time: Sequence[Sequence[float]],
        value: Sequence[Sequence[float]],
        *,
        lloq: Sequence[Sequence[float]] | float | None = None,
        censored: Sequence[Sequence[int]] | None = None,
        subject: Sequence[str] | None = None,
        group: Sequence[str] | None = None,
        dose: Sequence[float] | None = None,
        specimen: Sequence[str] | None = None,
        infusion_duration: Sequence[float] | None = None,
        tau: Sequence[float] | None = None,
        lower: Sequence[Sequence[float]] | None = None,
    ) -> Cohort:
        """Build a cohort from ragged lists; a value of zero, or below the LLOQ, is below quantification.

        Args:
            time: one sequence of days a patient; samples are put in order of time, and ``row`` counts
                them as they were given.
            value: same shape as ``time``.
            lloq: one number for all, or same shape as ``time``.
            censored: same shape as ``time``, 0, 1 or -1; by default from ``value`` and ``lloq``.
            subject: names; by default 1, 2, 3, ...
            group: one label a patient.
            dose: one number a patient.
            specimen: one label a patient.
            infusion_duration: one number a patient, in the unit of time; NaN where unknown.
            tau: dosing interval, likewise.
            lower: same shape as ``time``, lower end of the interval in which a sample below the LLOQ lies; NaN
                where there is none.

        Raises:
            DataError: if an argument has not one entry a patient, or not one a sample; if ``censored``
                holds another number, or ``infusion_duration`` or ``tau`` one that is not positive.
        """
        n = len(time)
        limit_for_all = isinstance(lloq, numbers.Real)
        for name, rows in (
            *(("value", value), ("lloq", None if limit_for_all else lloq)),
            *(("censored", censored), ("lower", lower)),
        ):
            if rows is not None:
                _check_shape(name, cast("Sequence[Sequence[float]]", rows), time)
        for name, labels in (
            *(("subject", subject), ("group", group), ("dose", dose), ("specimen", specimen)),
            *(("infusion_duration", infusion_duration), ("tau", tau)),
        ):
            if labels is not None and (isinstance(labels, str) or len(labels) != n):
                found = "a text" if isinstance(labels, str) else f"{len(labels)}"
                raise DataError(f"{name} must have one entry a profile, {n}, and has {found}")
        m = max((len(row) for row in time), default=0)

        def pad(rows: Sequence[Sequence[float]], fill: float = np.nan) -> FloatArray:
            out = np.full((n, m), fill)
            for i, row in enumerate(rows):
                out[i, : len(row)] = row
            return out

        times, values = pad(time), pad(value)
        mask = ~np.isnan(pad([[0.0] * len(row) for row in time]))
        if lloq is None:
            limits = np.full((n, m), np.nan)
        elif limit_for_all:
            limits = np.where(mask, float(cast("float", lloq)), np.nan)
        else:
            limits = pad(cast("Sequence[Sequence[float]]", lloq))
        if censored is None:
            flags = ((values <= 0) | (values < limits)).astype(np.int64)
        else:
            given = pad(censored, 0.0)
            if not np.isin(given, (NOT_CENSORED, LEFT_CENSORED, RIGHT_CENSORED)).all():
                raise DataError("censored must be 0 (quantified), 1 (below the LLOQ) or -1 (above the ULOQ)")
            flags = given.astype(np.int64)
        row = np.where(mask, np.cumsum(mask).reshape(n, m) + 1, -1)
        # A missing time is sorted behind the others, and padding stands behind both.
        order = np.lexsort((times, ~mask))
        times, values, limits, flags, row, ends = (
            np.take_along_axis(array, order, axis=1)
            for array in (times, values, limits, flags, row, pad(lower or [[]] * n))
        )
        return cls(
            subject=tuple(subject) if subject is not None else tuple(str(i + 1) for i in range(n)),
            analyte=("",) * n,
            occasion=("",) * n,
            group=tuple(group) if group is not None else ("",) * n,
            time=times,
            value=values,
            censored=flags,
            lloq=limits,
            uloq=np.full((n, m), np.nan),
            nominal_time=np.full((n, m), np.nan),
            mask=mask,
            row=row,
            dose=np.array(dose, float) if dose is not None else np.full(n, np.nan),
            source=Source(rows=int(mask.sum())),
            specimen=tuple(specimen) if specimen is not None else ("",) * n,
            infusion_duration=_lengths("infusion_duration", infusion_duration, n),
            tau=_lengths("tau", tau, n),
            lower=ends,
        )

    def __len__(self) -> int:
        return len(self.subject)

    def __iter__(self) -> Iterator[Profile]:
        return (self.profile(i) for i in range(len(self)))

    def profile(self, i: int) -> Profile:
        """Return profile number ``i`` (counted from 0) without its padding."""
        keep = self.mask[i]
        return Profile(
            subject=self.subject[i],
            analyte=self.analyte[i],
            occasion=self.occasion[i],
            time=self.time[i, keep],
            value=self.value[i, keep],
            censored=self.censored[i, keep],
            lloq=self.lloq[i, keep],
            uloq=self.uloq[i, keep],
            nominal_time=self.nominal_time[i, keep],
            row=self.row[i, keep],
            dose=float(self.dose[i]),
            group=self.group[i],
            fault=self.unusable[i],
            specimen=self.specimen[i],
            infusion_duration=float(self.infusion_duration[i]),
            tau=float(self.tau[i]),
            steady_state=float(self.steady_state[i]),
        )

    def take(self, indices: Sequence[int] | Sequence[bool] | IntArray | BoolArray) -> Cohort:
        """Return the cohort of the given profiles, in the given order; faults stay as they are.

        Args:
            indices: numbers of profiles, negative ones counted from the end; or a mask, one entry a profile.

        Raises:
            DataError: for a number that no profile has, or a mask of another length.
        """
        index = _numbers(indices, len(self))

        def pick(values: Sequence[_T]) -> tuple[_T, ...]:
            return tuple(values[i] for i in index)

        return replace(
            self,
            subject=pick(self.subject),
            analyte=pick(self.analyte),
            occasion=pick(self.occasion),
            group=pick(self.group),
            unusable=pick(self.unusable),
            value_unit=pick(self.value_unit),
            time=self.time[index],
            value=self.value[index],
            censored=self.censored[index],
            lloq=self.lloq[index],
            uloq=self.uloq[index],
            nominal_time=self.nominal_time[index],
            mask=self.mask[index],
            row=self.row[index],
            dose=self.dose[index],
            covariates=MappingProxyType({name: array[index] for name, array in self.covariates.items()}),
            records=self.records.of_profiles(index),
            specimen=pick(self.specimen),
            dose_unit=pick(self.dose_unit),
            infusion_duration=self.infusion_duration[index],
            tau=self.tau[index],
            steady_state=self.steady_state[index],
            occasion_start=self.occasion_start[index],
            lower=self.lower[index],
        )

    @property
    def analytes(self) -> tuple[str, ...]:
        """The analytes, each once, in order of first appearance."""
        return tuple(dict.fromkeys(self.analyte))

    @property
    def specimens(self) -> tuple[str, ...]:
        """The specimens, each once, in order of first appearance."""
        return tuple(dict.fromkeys(self.specimen))

    def select(self, *, analyte: str | None = None, specimen: str | None = None) -> Cohort:
        """Return the profiles of one analyte, of one specimen, or of both.

        Raises:
            DataError: if no profile has this analyte or specimen.
        """
        keep = np.ones(len(self), bool)
        for what, wanted, names in (("analyte", analyte, self.analyte), ("specimen", specimen, self.specimen)):
            if wanted is None:
                continue
            here = np.array([name == wanted for name in names], bool)
            if not here.any():
                raise DataError(f"no profile of {what} {wanted!r}; the cohort has {_listed(names)}")
            keep &= here
        if not keep.any():
            raise DataError(f"no profile of analyte {analyte!r} has the specimen {specimen!r}")
        return self.take(keep)

    @property
    def n_samples(self) -> int:
        """Number of samples kept."""
        return int(self.mask.sum())

    @property
    def n_blq(self) -> int:
        """Number of samples below the limit of quantification."""
        return int((self.mask & (self.censored == LEFT_CENSORED)).sum())

    @property
    def n_lost(self) -> IntArray:
        """Samples of each profile that were left out because of a fault in their row, shape ``(n,)``.

        Samples from before infusion, which nothing uses, do not count.
        """
        lost = self.records.fault & (self.records.profile >= 0) & ~(self.records.time < 0)
        return np.bincount(self.records.profile[lost], minlength=len(self))

    @property
    def series(self) -> tuple[str, ...]:
        """What was measured in each profile: see `series_name`."""
        return tuple(series_name(*names) for names in zip(self.analyte, self.specimen, strict=True))

    def __repr__(self) -> str:
        subjects = len(set(self.subject))
        unusable = sum(fault is not None for fault in self.unusable)
        return (
            f"Cohort: {subjects} subjects, {len(self)} profiles, {self.n_samples} samples, "
            f"{self.n_blq} below quantification, {unusable} profiles unusable"
        )


def _restored(state: dict[str, Any]) -> Cohort:
    return Cohort(**state)


def series_name(analyte: str, specimen: str) -> str:
    """Return what was measured, analyte and specimen, in words.

    Example:
        >>> series_name("CAR", "BLOOD"), series_name("", "BLOOD"), series_name("CAR", "")
        ('CAR, BLOOD', 'BLOOD', 'CAR')
    """
    return ", ".join(filter(None, (analyte, specimen)))


def _read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    view = array.view()
    view.flags.writeable = False
    return view


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "none" for name in dict.fromkeys(names))


def _lengths(name: str, given: Sequence[float] | None, n: int) -> FloatArray:
    """Return lengths of time ``(n,)``, NaN where they are not known."""
    if given is None:
        return np.full(n, np.nan)
    lengths = np.array(given, float)
    for i in np.flatnonzero(~np.isnan(lengths) & ~((lengths > 0) & (lengths < np.inf))):
        raise DataError(f"{name} must be a positive number; profile {i} (counted from 0) has {lengths[i]:g}")
    return lengths


def _check_shape(name: str, rows: Sequence[Sequence[float]], time: Sequence[Sequence[float]]) -> None:
    if len(rows) != len(time):
        raise DataError(f"{name} must have one sequence a profile, {len(time)}, and has {len(rows)}")
    for i, (given, times) in enumerate(zip(rows, time, strict=True)):
        if len(given) != len(times):
            raise DataError(
                f"{name} must have one number a sample; profile {i} (counted from 0) has {len(times)} times, "
                f"and {len(given)} here"
            )


def _numbers(indices: Any, n: int) -> IntArray:
    """Return profile numbers from 0 to ``n - 1`` for numbers, also negative ones, or for a mask."""
    index = np.asarray(indices)
    if index.dtype == bool:
        if index.shape != (n,):
            raise DataError(f"a mask must have one entry a profile, {n}, and has the shape {index.shape}")
        return np.flatnonzero(index)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise DataError("profiles are taken by a list of whole numbers, or by a mask")
    index = index.astype(np.int64)
    wrong = index[(index < -n) | (index >= n)]
    if wrong.size:
        raise DataError(f"there is no profile number {wrong[0]}; the cohort has {n}, counted from 0")
    return np.where(index < 0, index + n, index)
