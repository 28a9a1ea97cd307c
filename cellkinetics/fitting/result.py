"""Results of per-patient fits: frozen records that print as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellkinetics.data.cohort import Cohort, FloatArray
from cellkinetics.drawing import Drawable
from cellkinetics.errors import FitError
from cellkinetics.models.decline import decline_lines
from cellkinetics.models.phases import Phases

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.lmfit_fit import LmfitView
    from cellkinetics.fitting.selection import Ranked

FitStatus = Literal["ok", "prior", "not_identifiable", "failed"]


@dataclass(frozen=True)
class Estimate:
    """One row of a fit: a parameter, a derived quantity or a statistic; None where it cannot be had.

    ``sd_ratio`` is the posterior SD over the prior's on the log or logit scale, of a fit with a prior: 1 where the
    samples said nothing, 0 where they said all.
    """

    parameter: str
    unit: str
    estimate: float | None = None
    se: float | None = None
    rse_percent: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    status: FitStatus = "ok"
    reason: str = ""
    reason_code: str = ""
    profile_low: float | None = None
    profile_high: float | None = None
    sd_ratio: float | None = None


@dataclass(frozen=True, eq=False)
class LikelihoodProfile:
    """The profile of -2LL in one parameter of one patient.

    Attributes:
        value: natural scale, in rising order.
        delta: rise of -2LL above its least value, the other parameters at their best.
        rise: that at the ends of the 95 % interval (see `cellkinetics.fitting.precision.rise_of_profile`).
        low, high: the ends; None where -2LL never rises so far before the bound.
    """

    parameter: str
    unit: str
    value: FloatArray
    delta: FloatArray
    rise: float
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class IndividualFit:
    """The fit of one profile.

    Attributes:
        status: ``ok``, ``prior`` (some parameter says what the prior says), ``not_identifiable`` (some parameter
            cannot be had) or ``failed``.
        reason: what is missing and what to do about it; "" when all is well.
        rows: parameters, derived quantities and statistics, in that order.
        theta: the parameters behind the curve, natural scale, in the model's order, including those that
            are not identifiable; empty when the fit failed.
        sigma: residual SD on ln C, NaN when the fit failed.
        bounds: bounds of the search by parameter, natural scale.
        at_bound: parameters that ended at one of them.
        view: makes `lmfit` and `minimizer`; None when nothing was fitted.
        curve_time, curve: days and predicted values from the first to the last sample.
        profiles: likelihood profiles by parameter, where they were asked for.
        phases: of a model of the expansion family, else None.
        n_searched: number of searched parameters, those of the residual among them.
        n_effective: of those of the curve, how many the samples decided: with a prior, the sum of
            1 - (posterior SD / prior SD)^2.
        held: parameters that were not searched.
    """

    subject: str
    analyte: str
    occasion: str
    model: str
    status: FitStatus
    reason: str
    rows: tuple[Estimate, ...]
    theta: FloatArray = field(default_factory=lambda: np.empty(0))
    sigma: float = float("nan")
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    at_bound: tuple[str, ...] = ()
    view: LmfitView | None = field(default=None, repr=False)
    curve_time: FloatArray = field(default_factory=lambda: np.empty(0))
    curve: FloatArray = field(default_factory=lambda: np.empty(0))
    specimen: str = ""
    profiles: Mapping[str, LikelihoodProfile] = field(default_factory=dict, repr=False)
    phases: Phases | None = None
    n_searched: int = 0
    n_effective: float = 0.0
    held: tuple[str, ...] = ()

    @property
    def decline(self) -> dict[str, FloatArray]:
        """Contraction and persistence as exponentials over ``curve_time``, those whose parameters the samples identify.

        See `cellkinetics.models.decline.decline_lines`.
        """
        if self.phases is None or not len(self.theta):
            return {}
        names = [row.parameter for row in self.rows[: len(self.theta)]]
        lines = decline_lines(self.phases, dict(zip(names, self.theta, strict=True)), self.curve_time)
        needed = {"contraction": {"alpha"}, "persistence": {"fb", "beta"}}
        unknown = {row.parameter for row in self.rows if row.estimate is None}
        return {name: line for name, line in lines.items() if not needed[name] & unknown}

    def profile(self, parameter: str) -> LikelihoodProfile:
        """Return the likelihood profile of a parameter that was searched.

        Raises:
            FitError: if there is none, saying why.
        """
        if not self.profiles:
            raise FitError(f"there are no likelihood profiles of {self.subject}; fit with intervals='profile'")
        if parameter not in self.profiles:
            raise FitError(f"{parameter!r} of {self.subject} has no likelihood profile; {', '.join(self.profiles)} do")
        return self.profiles[parameter]

    @property
    def lmfit(self) -> Any:
        """Lmfit's own result, for `lmfit.report_fit`; None when nothing was fitted.

        Its variables are on the transformed scale; the natural ones follow as expressions.
        """
        return None if self.view is None else self.view.result

    @property
    def minimizer(self) -> Any:
        """The `lmfit.Minimizer` behind it: ``lmfit.conf_interval(fit.minimizer, fit.lmfit)``."""
        return None if self.view is None else self.view.minimizer

    @property
    def estimates(self) -> dict[str, float | None]:
        """Every row's estimate by name, None where it cannot be had."""
        return {row.parameter: row.estimate for row in self.rows}

    def __getitem__(self, name: str) -> Estimate:
        for row in self.rows:
            if row.parameter == name:
                return row
        raise FitError(f"the fit has no row {name!r}; it has {', '.join(row.parameter for row in self.rows)}")

    def to_dict(self) -> dict[str, object]:
        """Return the fit as plain values, without the curve and lmfit's result."""
        return {
            "subject": self.subject,
            "analyte": self.analyte,
            "occasion": self.occasion,
            "specimen": self.specimen,
            "model": self.model,
            "status": self.status,
            "reason": self.reason,
            "rows": [dict(vars(row)) for row in self.rows],
            "bounds": {name: list(pair) for name, pair in self.bounds.items()},
            "at_bound": list(self.at_bound),
        }

    def __repr__(self) -> str:
        head = f"{self.subject}, {self.model}: {self.status}" + (f" ({self.reason})" if self.reason else "")
        lines = []
        for row in self.rows:
            number = "" if row.estimate is None else f"{row.estimate:.4g}"
            rse = "" if row.rse_percent is None else f"{row.rse_percent:.1f} %"
            note = "" if row.status == "ok" else f"{row.status}: {row.reason}"
            lines.append(f"  {row.parameter:<16} {number:>10} {rse:>9}  {row.unit:<16} {note}".rstrip())
        return "\n".join([head, *lines])


_KEY = ("subject", "analyte", "occasion", "specimen")
_COLUMNS = (
    *_KEY,
    "model",
    "parameter",
    "estimate",
    "se",
    "rse_percent",
    "ci_low",
    "ci_high",
    "profile_low",
    "profile_high",
    "sd_ratio",
    "unit",
    "status",
    "reason",
    "reason_code",
)


def _place(fit: IndividualFit) -> tuple[str, str, str, str]:
    return fit.subject, fit.analyte, fit.occasion, fit.specimen


@dataclass(frozen=True, eq=False)
class IndividualFits(Drawable):
    """The fits of a cohort, one a profile, in the cohort's order.

    ``fits["P01"]`` is the fit of a subject with one profile; ``fits["P01", "CAR", "1", "BLOOD"]`` names
    analyte, occasion and specimen as well.
    """

    fits: tuple[IndividualFit, ...]
    model: str
    parameters: tuple[str, ...]
    seed: int
    cohort: Cohort = field(repr=False)
    notes: tuple[str, ...] = ()
    ranked: tuple[Ranked, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.fits)

    def __iter__(self) -> Iterator[IndividualFit]:
        return iter(self.fits)

    def __getitem__(self, key: str | tuple[str, ...]) -> IndividualFit:
        wanted = (key,) if isinstance(key, str) else tuple(key)
        found = [f for f in self.fits if _place(f)[: len(wanted)] == wanted]
        if len(found) == 1:
            return found[0]
        name = ", ".join(wanted)
        if not found:
            raise FitError(
                f"there is no fit of {name}; subjects are {', '.join(dict.fromkeys(f.subject for f in self))}"
            )
        choices = "; ".join(f"[{', '.join(map(repr, _place(f)))}]" for f in found)
        raise FitError(f"{name} has {len(found)} profiles; choose one of {choices}")

    @property
    def status(self) -> str:
        """How many fits are fine, and what to do about the others."""
        count = Counter(fit.status for fit in self.fits)
        text = f"{len(self)} {'profile' if len(self) == 1 else 'profiles'}: {count['ok']} with every parameter"
        if count["not_identifiable"]:
            text += (
                f", {count['not_identifiable']} with some that their samples cannot determine "
                "(the column reason says why; a population fit can borrow them from the others)"
            )
        if count["prior"]:
            text += f", {count['prior']} with some that say what the prior says (status prior)"
        if count["failed"]:
            text += f", {count['failed']} failed (the column reason says why)"
        return "; ".join([text, *self.notes])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a profile and parameter, derived quantity or statistic: the file ``individual.csv``."""
        import pandas as pd

        records = [
            {**dict(zip(_KEY, _place(f), strict=True)), "model": f.model, **vars(row)}
            for f in self.fits
            for row in f.rows
        ]
        table = pd.DataFrame.from_records(records, columns=list(_COLUMNS))
        numbers = ["estimate", "se", "rse_percent", "ci_low", "ci_high", "profile_low", "profile_high", "sd_ratio"]
        return table.astype(dict.fromkeys(numbers, float))

    @cached_property
    def identifiability(self) -> pd.DataFrame:
        """One row a profile, one column a parameter: the file ``individual_identifiability.csv``.

        A cell is ``ok``, ``prior``, or the code of the reason why there is no estimate; see
        `cellkinetics.fitting.identifiability`.
        """
        from cellkinetics.fitting.identifiability import identifiability_table

        of_residual = [name for name in dict.fromkeys(self.table["parameter"]) if name.startswith("sigma")]
        return identifiability_table(self.table, [*self.parameters, *of_residual])

    @cached_property
    def profiles(self) -> pd.DataFrame:
        """Likelihood profiles ``subject, analyte, occasion, specimen, model, parameter, value, delta, rise``.

        One row a point: ``delta`` is how far -2LL rises there, ``rise`` how far at the ends of the interval.
        Without rows unless the fit was asked for ``intervals="profile"``.
        """
        import pandas as pd

        records = [
            (*_place(f), f.model, one.parameter, value, delta, one.rise)
            for f in self.fits
            for one in f.profiles.values()
            for value, delta in zip(one.value, one.delta, strict=True)
        ]
        return pd.DataFrame.from_records(records, columns=[*_KEY, "model", "parameter", "value", "delta", "rise"])

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Predicted values over a fine grid: the file ``individual_curves.csv``.

        Columns ``subject, analyte, occasion, specimen, model, time, predicted, contraction, persistence``; the
        last two are the phases of the decline, see `IndividualFit.decline`.
        """
        import pandas as pd

        text, lines = [*_KEY, "model"], ["contraction", "persistence"]
        drawn = [f for f in self.fits if len(f.curve)]
        if not drawn:
            return pd.DataFrame(columns=[*text, "time", "predicted", *lines])
        lengths = [len(f.curve) for f in drawn]
        columns = {name: np.repeat(np.array([getattr(f, name) for f in drawn], object), lengths) for name in text}
        columns |= {"time": np.concatenate([f.curve_time for f in drawn])}
        columns |= {"predicted": np.concatenate([f.curve for f in drawn])}
        parts = [f.decline for f in drawn]
        for name in lines:
            absent = [np.full(length, np.nan) for length in lengths]
            columns[name] = np.concatenate([part.get(name, none) for part, none in zip(parts, absent, strict=True)])
        return pd.DataFrame(columns)

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """One row a profile and model, best first: the file ``individual_models.csv``.

        Without rows unless several models were asked for; see `cellkinetics.fitting.selection`.
        """
        import pandas as pd

        names = ["minus2ll", "k", "n", "aicc", "delta", "weight", "chosen", "reason_code", "reason"]
        table = pd.DataFrame.from_records([vars(one) for one in self.ranked], columns=[*_KEY, "model", *names])
        return table.astype({**dict.fromkeys(["minus2ll", "aicc", "delta", "weight"], float), "k": "Int64"})

    @cached_property
    def residuals(self) -> pd.DataFrame:
        """One row a sample, with outliers marked: the file ``individual_residuals.csv``.

        See `cellkinetics.fitting.residuals`.
        """
        from cellkinetics.fitting.residuals import residual_table

        return residual_table(self)

    @cached_property
    def beside_nca(self) -> pd.DataFrame:
        """Cmax, Tmax and areas beside the noncompartmental ones: the file ``individual_nca.csv``.

        See `cellkinetics.fitting.beside_nca`.
        """
        from cellkinetics.fitting.beside_nca import beside_nca_table

        return beside_nca_table(self)

    def to_dict(self) -> dict[str, object]:
        """Return all fits as plain values."""
        fits = [f.to_dict() for f in self.fits]
        ranking = [dict(vars(one)) for one in self.ranked]
        return {"model": self.model, "seed": self.seed, "status": self.status, "fits": fits, "ranking": ranking}

    def __repr__(self) -> str:
        lines = [f"IndividualFits, model {self.model}: {self.status}"]
        lines.append(f"  {'subject':<12}" + "".join(f"{name:>12}" for name in self.parameters) + "  status")
        for fit in self.fits:
            shown = [fit.estimates.get(name) for name in self.parameters]
            cells = "".join(f"{'' if number is None else format(number, '.4g'):>12}" for number in shown)
            chosen = f", {fit.model}" if self.ranked else ""
            lines.append(f"  {fit.subject:<12}{cells}  {fit.status}{chosen}")
        return "\n".join(lines)
