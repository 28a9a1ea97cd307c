"""The rules of a noncompartmental analysis, every one an option that is recorded with the result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cellkinetics.errors import SettingsError
from cellkinetics.nca.faultyoptions import in_words
from cellkinetics.units import DEFAULT_DOSE_UNIT

AUCMethod = Literal["linear", "linear-up-log-down", "linear-log", "log"]
Route = Literal["cells", "bolus", "infusion", "extravascular"]
TimeZero = Literal["auto", "zero", "none", "first", "c0", "minimum"]
TimeZeroRule = Literal["zero", "none", "first", "c0", "minimum"]
SteadyState = Literal["auto", "all", "none"]
LineWeights = Literal["1", "1/y", "1/y2"]
LineMethod = Literal["best-fit", "tobit"]
WindowEnd = Literal["observed", "predicted", "zero", "missing"]
BLQRule = Literal["zero", "drop", "lloq", "lloq/2"] | Annotated[float, Field(ge=0, allow_inf_nan=False)]
Window = tuple[float, float]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    _within: ClassVar[str] = ""  # the option of NCAOptions that holds these

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise SettingsError(in_words(error.errors(), self._within, NESTED, list(type(self).model_fields))) from None


class BLQRules(_Settings):
    """What a sample below quantification counts as, by its place among the quantifiable ones.

        zero -> 0;  drop -> left out;  lloq -> LLOQ;  lloq/2 -> LLOQ / 2;  a number f -> f * LLOQ

    The LLOQ is that of the sample's own row. In a profile without any quantifiable sample every
    sample stands ``before``.

    Attributes:
        before: before the first quantifiable sample.
        between: between two quantifiable samples.
        first_between: the first of a run of them between two quantifiable samples; None for the rule of
            the others there.
        first_after: the first one after the last quantifiable sample.
        later: all that follow it.

    Raises:
        SettingsError: for a rule that does not exist.

    Example:
        >>> BLQRules(first_after="lloq/2").first_after
        'lloq/2'
    """

    _within: ClassVar[str] = "blq"

    before: BLQRule = "zero"
    between: BLQRule = "drop"
    first_between: BLQRule | None = None
    first_after: BLQRule = "zero"
    later: BLQRule = "drop"


BLQ_PRESETS: Mapping[str, BLQRules] = MappingProxyType(
    {
        "default": BLQRules(),
        "pknca": BLQRules(before="zero", between="drop", first_after="zero", later="zero"),
        "winnonlin": BLQRules(before="zero", between="drop", first_after="drop", later="drop"),
        "zero": BLQRules(before="zero", between="zero", first_after="zero", later="zero"),
        "drop": BLQRules(before="drop", between="drop", first_after="drop", later="drop"),
        "lloq": BLQRules(before="lloq", between="lloq", first_after="lloq", later="lloq"),
        "qpnca-1": BLQRules(before="zero", between="drop", first_after="drop", later="drop"),
        "qpnca-2": BLQRules(before="zero", between="zero", first_after="zero", later="zero"),
        "qpnca-3": BLQRules(before="zero", first_between="lloq/2", between="drop", first_after="lloq/2", later="drop"),
        "qpnca-4": BLQRules(before="zero", first_between="lloq/2", between="zero", first_after="lloq/2", later="zero"),
        "half-lloq": BLQRules(before="lloq/2", between="lloq/2", first_after="lloq/2", later="lloq/2"),
    }
)
"""Named sets of rules: ``pknca`` and ``winnonlin`` are what those tools do by default with a BLQ
sample (WinNonlin reads a BLQ text as no sample, except before the first quantifiable one). ``qpnca-1``
to ``qpnca-4`` are the rules for LOQ values of the R package qpNCA: after the first measurable sample
nothing, zero, or LLOQ/2 for the first of each run and nothing or zero for the others. There, the LLOQ/2
is a measurement like any other; here it never is a peak, a last value or a terminal point."""


class Slope(_Settings):
    """A choice by hand for the terminal line of one subject's profiles.

    Attributes:
        subject: as in the data.
        analyte, occasion, specimen: as in the data; empty for every one.
        first, last: times of the first and last point: every quantified sample between them is in the
            line, whatever the other rules say. Both or neither.
        exclude: times of samples that are left out of the line.
        reason: why, for the record; needed where samples are left out.

    Raises:
        SettingsError: for one that chooses nothing.

    Example:
        >>> Slope(subject="P01", first=14, last=56).named
        "subject 'P01'"
    """

    _within: ClassVar[str] = "slopes"

    subject: Annotated[str, Field(min_length=1)]
    analyte: str = ""
    occasion: str = ""
    specimen: str = ""
    first: Annotated[float, Field(allow_inf_nan=False)] | None = None
    last: Annotated[float, Field(allow_inf_nan=False)] | None = None
    exclude: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    reason: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> Slope:
        if (self.first is None) != (self.last is None):
            raise SettingsError(f"{self.named}: give both first and last, or neither")
        if self.first is not None and self.last is not None and self.first >= self.last:
            raise SettingsError(f"{self.named}: last must be after first")
        if self.first is None and not self.exclude:
            raise SettingsError(f"{self.named}: give first and last, or times to exclude")
        if self.exclude and not self.reason:
            raise SettingsError(f"{self.named}: give the reason for which samples are excluded")
        return self

    @property
    def named(self) -> str:
        """Whom it is about, in words."""
        others = (("analyte", self.analyte), ("occasion", self.occasion), ("specimen", self.specimen))
        return ", ".join([f"subject {self.subject!r}", *(f"{what} {name!r}" for what, name in others if name)])


class Acceptance(_Settings):
    """Thresholds that mark results as ``flagged``; values stay. ``None`` switches a rule off.

    Attributes:
        r2adj_min: smallest adjusted R2 of the terminal line.
        span_min: smallest span of the terminal points, in half-lives.
        extrapolated_max: largest extrapolated part of an area, percent.
        straddle: whether a terminal line with points on both sides of the break between contraction and
            persistence is marked, for the route ``cells``: its half-life is that of neither phase.
        tmax_min: earliest credible Tmax in days, for the route ``cells`` and data in days only: an
            earlier peak may come from the catheter through which the cells were given.

    Example:
        >>> Acceptance(r2adj_min=0.8).span_min
        2.0
    """

    _within: ClassVar[str] = "acceptance"

    r2adj_min: Annotated[float, Field(allow_inf_nan=False)] | None = 0.7
    span_min: Annotated[float, Field(allow_inf_nan=False)] | None = 2.0
    extrapolated_max: Annotated[float, Field(allow_inf_nan=False)] | None = 20.0
    tmax_min: Annotated[float, Field(allow_inf_nan=False)] | None = 1.0
    straddle: bool = True


NESTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "blq": tuple(BLQRules.model_fields),
        "slopes": tuple(Slope.model_fields),
        "acceptance": tuple(Acceptance.model_fields),
    }
)
"""Options of `NCAOptions` that hold several of their own, and the names of these."""


class NCAOptions(_Settings):
    """All rules of a noncompartmental analysis; frozen, and valid by construction.

    Attributes:
        auc_method: ``linear-up-log-down`` (logarithmic where the value falls), ``linear``,
            ``linear-log`` (linear until Tmax, logarithmic after) or ``log``. A logarithmic segment
            falls back to the linear one on a tie or a zero.
        windows: pairs (start, end) for AUCINT; also as text, ``"0-28,0-84"``.
        blq: rules by place, or the name of one of `BLQ_PRESETS`, or both as text, see `parse_blq`.
        route: ``cells``, ``bolus``, ``infusion`` or ``extravascular``. Only a bolus may have Cmax
            among its terminal points and a back-extrapolated value at time zero.
        infusion_duration: of every profile, for the route ``infusion``, instead of that in the data; half of
            it is taken off every mean time. 0 is a bolus that takes its time zero as an infusion does.
        tau: dosing interval of every profile, instead of that in the data; it has no meaning for ``cells``.
        steady_state: which profiles with a dosing interval are at steady state: ``auto`` (all, except the
            first of several occasions, which is taken for the first dose, and those whose sample at time zero
            is below quantification), ``all`` or ``none``.
        dose: of every profile, instead of the dose in the data; 0 is none.
        dose_unit: its unit, a label.
        time_zero: what stands at time zero where no sample does: ``zero``, ``none`` (nothing),
            ``first`` (the first value), ``c0`` (back-extrapolated), ``minimum`` (the smallest value in the
            dosing interval at steady state, else ``zero``), ``auto`` (``c0`` for a bolus, else ``minimum``).
        time: ``actual`` or ``nominal`` times of the samples; a sample without the one asked for is left out.
        lambda_z_method: ``best-fit``, least squares on the quantified points with the largest adjusted R2;
            ``tobit``, maximum likelihood on these and the samples below quantification after the first of
            them, as left-censored (see `cellkinetics.nca.tobit.with_censored`), without weights.
        lambda_z_min_points: fewest points of the terminal line, at least 3.
        lambda_z_tolerance: an adjusted R2 this close to the best one is as good, and the line with
            more points is taken.
        days: for the level at a day (CDAY), in the time unit of the data; also as text, ``"28,84"``.
        threshold: for the time above it (TABOVE); by default the LLOQ, the profile's largest.
        lambda_z_max_points: most points of the terminal line; None for no limit.
        lambda_z_not_before, lambda_z_not_after: times between which terminal points must lie.
        lambda_z_min_span: fewest half-lives that the points must span to take part.
        lambda_z_weights: of a point in the regression of ln C: ``1``, ``1/y`` or ``1/y2``, y being C.
        lambda_z_order: ``winnonlin`` asks for a falling slope first and compares adjusted R2 among
            these lines; ``pknca`` compares among all lines, and then asks for a falling slope.
        slopes: choices by hand, see `Slope`.
        acceptance: thresholds for flags.
        tmax_tie: ``first`` or ``last`` of several equal maxima.
        window_end: a window that ends after the last sample is extrapolated with lambda_z from the
            ``observed`` or ``predicted`` last value, counted as ``zero`` there, or ``missing``.

    Raises:
        SettingsError: for an unknown option or a value that it does not take.

    Example:
        >>> options = NCAOptions(windows="0-28", blq="pknca")
        >>> options.windows, options.blq.later
        (((0.0, 28.0),), 'zero')
    """

    auc_method: AUCMethod = "linear-up-log-down"
    windows: tuple[Window, ...] = ((0.0, 28.0), (0.0, 84.0), (0.0, 168.0))
    blq: BLQRules = BLQ_PRESETS["default"]
    route: Route = "cells"
    infusion_duration: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    tau: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    steady_state: SteadyState = "auto"
    dose: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    dose_unit: str = DEFAULT_DOSE_UNIT
    time_zero: TimeZero = "auto"
    time: Literal["actual", "nominal"] = "actual"
    lambda_z_method: LineMethod = "best-fit"
    lambda_z_min_points: Annotated[int, Field(ge=3)] = 3
    lambda_z_tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    days: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = (28.0,)
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    lambda_z_max_points: Annotated[int, Field(ge=3)] | None = None
    lambda_z_not_before: Annotated[float, Field(allow_inf_nan=False)] | None = None
    lambda_z_not_after: Annotated[float, Field(allow_inf_nan=False)] | None = None
    lambda_z_min_span: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    lambda_z_weights: LineWeights = "1"
    lambda_z_order: Literal["winnonlin", "pknca"] = "winnonlin"
    slopes: tuple[Slope, ...] = ()
    acceptance: Acceptance = Acceptance()
    tmax_tie: Literal["first", "last"] = "first"
    window_end: WindowEnd = "observed"

    @field_validator("blq", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return parse_blq(value) if isinstance(value, str) else value

    @field_validator("windows", mode="before")
    @classmethod
    def _parse_windows(cls, value: Any) -> Any:
        return parse_windows(value) if isinstance(value, str) else value

    @field_validator("windows")
    @classmethod
    def _check_windows(cls, value: tuple[Window, ...]) -> tuple[Window, ...]:
        for start, end in value:
            if not (0 <= start < end and math.isfinite(end)):
                raise SettingsError(f"window {start:g}-{end:g}: the start must be 0 or later, the end after the start")
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _points_there_may_be(self) -> NCAOptions:
        fewest, most = self.lambda_z_min_points, self.lambda_z_max_points
        if most is not None and most < fewest:
            raise SettingsError(
                f"lambda_z_max_points: {most} is less than lambda_z_min_points, {fewest}: no line has both"
            )
        earliest, latest = self.lambda_z_not_before, self.lambda_z_not_after
        if earliest is not None and latest is not None and earliest >= latest:
            raise SettingsError(
                f"lambda_z_not_after: {latest:g} is not later than lambda_z_not_before, {earliest:g}: "
                "no line lies between them"
            )
        return self

    @model_validator(mode="after")
    def _no_weights_with_censoring(self) -> NCAOptions:
        if self.lambda_z_method == "tobit" and self.lambda_z_weights != "1":
            raise SettingsError("lambda_z_weights: the method tobit takes no weights; leave them at 1")
        return self

    @field_validator("days", mode="before")
    @classmethod
    def _parse_days(cls, value: Any) -> Any:
        return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value

    @field_validator("days")
    @classmethod
    def _each_day_once(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(dict.fromkeys(value))

    @property
    def time_zero_rule(self) -> TimeZeroRule:
        """The rule for a missing time zero, with ``auto`` resolved by the route."""
        if self.time_zero == "auto":
            if self.route == "bolus":
                return "c0"
            return "zero" if self.route == "cells" else "minimum"
        return self.time_zero


def parse_blq(text: str) -> BLQRules:
    """Read rules for samples below quantification: a preset, rules by place, or a preset and what differs from it.

    Raises:
        SettingsError: for a preset, a place or a rule that does not exist, or two rules for one place.

    Example:
        >>> parse_blq("pknca, between=lloq/2").between, parse_blq("later=0.25").later
        ('lloq/2', 0.25)
    """
    first, *others = (part.strip() for part in text.split(","))
    preset, changes = ("default", [first, *others]) if "=" in first else (first, others)
    if preset not in BLQ_PRESETS:
        raise SettingsError(f"blq: no preset {preset!r}; there are {', '.join(BLQ_PRESETS)}")
    rules: dict[str, Any] = BLQ_PRESETS[preset].model_dump()
    changed = set()
    for change in changes:
        place, equals, rule = (part.strip() for part in change.partition("="))
        if not equals or place not in rules:
            raise SettingsError(
                f"blq: {change!r} is no rule for a place; write PLACE=RULE, such as later=drop, "
                f"with one of the places {', '.join(rules)}"
            )
        if place in changed:
            raise SettingsError(f"blq: there are two rules for {place}; give one")
        changed.add(place)
        rules[place] = rule
    return BLQRules(**rules)


def parse_windows(text: str) -> tuple[Window, ...]:
    """Read windows from text such as ``0-28,0-84`` (time unit of the data).

    Raises:
        SettingsError: if a part is not two numbers with a dash between them.

    Example:
        >>> parse_windows("0-28, 28-84")
        ((0.0, 28.0), (28.0, 84.0))
    """
    windows = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        start, _, end = part.partition("-")
        try:
            windows.append((float(start), float(end)))
        except ValueError:
            raise SettingsError(f"window {part!r}: write it as start-end, for example 0-28") from None
    return tuple(windows)
