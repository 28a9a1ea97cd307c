"""Where the search for one patient ended, and what its curve is drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.fitting.lmfit_fit import LmfitView
from cellkinetics.fitting.profile import Profiled


@dataclass(frozen=True, eq=False, kw_only=True)
class Settled:
    """Where the search for one patient ended; arrays are ``(q,)`` over ``names``.

    Attributes:
        names: the model's parameters, then the residual's.
        x: end point on the transformed scale.
        value: what was minimised, there: -2LL, and the prior's term where there is a prior.
        slope: largest absolute derivative of it over the parameters inside their bounds.
        searched: False where a value was held.
        at_bound: True where a parameter ended at a bound.
        at_kink: True for a Tmax that ended at a sampling time, where there is no derivative.
        covariance: ``(q, q)``, 0 for what is held.
        n_quantified: how many samples are neither below nor above quantification.
        highest: the highest quantified value; None where a sample above the ULOQ may be higher.
        ceiling: the highest ULOQ that a sample is above; None where none is.
        view: makes lmfit's own result.
    """

    names: tuple[str, ...]
    x: FloatArray
    value: float
    slope: float
    searched: BoolArray
    at_bound: BoolArray
    at_kink: BoolArray
    covariance: FloatArray
    n_quantified: int
    highest: float | None
    ceiling: float | None
    view: LmfitView

    @property
    def se(self) -> FloatArray:
        """Standard errors on the transformed scale, 0 for what is held."""
        return np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True, eq=False, kw_only=True)
class Search(Settled):
    """Where the search for a maximum of the likelihood ended; its covariance is 0 at a kink too.

    Attributes:
        n: number of samples.
        last_quantified: day of the last quantified one.
        profiled: intervals by profile likelihood; None where they were not asked for.
    """

    n: int
    last_quantified: float
    profiled: Profiled | None = None

    @property
    def aic(self) -> float:
        """-2LL + 2 k over the k searched parameters."""
        return self.value + 2.0 * float(self.searched.sum())

    @property
    def bic(self) -> float:
        """-2LL + k ln n over the k searched parameters and n samples."""
        return self.value + float(self.searched.sum() * np.log(self.n))


@dataclass(frozen=True, eq=False, kw_only=True)
class Mode(Settled):
    """Where the search for a mode ended, with a prior.

    Attributes:
        penalty: the prior's term of ``value``.
    """

    penalty: float


class Drawn(NamedTuple):
    """What a patient's curve is drawn with: parameters on the natural scale ``(p,)``, days and values."""

    theta: FloatArray
    time: FloatArray
    curve: FloatArray
