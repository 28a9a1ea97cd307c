"""Where the search for one patient ended, and what its curve is drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.fitting.lmfit_fit import LmfitView
from cellkinetics.fitting.profile import Profiled


@dataclass(frozen=True, eq=False)
class Search:
    """Where the search for one patient ended; arrays are ``(q,)`` over ``names``.

    Attributes:
        names: the model's parameters, then ``sigma``.
        x: end point on the transformed scale.
        slope: largest absolute derivative of -2LL over the parameters inside their bounds.
        searched: False where a value was held.
        at_bound: True where a parameter ended at a bound.
        at_kink: True for a Tmax that ended at a sampling time, where -2LL has no derivative.
        covariance: ``(q, q)``, 0 for what is held or at a kink.
        n: number of samples.
        n_quantified: how many of them are neither below nor above quantification.
        last_quantified: day of the last quantified one.
        highest: the highest quantified value; None where a sample above the ULOQ may be higher.
        ceiling: the highest ULOQ that a sample is above; None where none is.
        lmfit: makes lmfit's own result.
        profiled: intervals by profile likelihood; None where they were not asked for.
    """

    names: tuple[str, ...]
    x: FloatArray
    minus2ll: float
    slope: float
    searched: BoolArray
    at_bound: BoolArray
    at_kink: BoolArray
    covariance: FloatArray
    n: int
    n_quantified: int
    last_quantified: float
    highest: float | None
    ceiling: float | None
    lmfit: LmfitView
    profiled: Profiled | None = None

    @property
    def aic(self) -> float:
        """-2LL + 2 k over the k searched parameters."""
        return self.minus2ll + 2.0 * float(self.searched.sum())

    @property
    def bic(self) -> float:
        """-2LL + k ln n over the k searched parameters and n samples."""
        return self.minus2ll + float(self.searched.sum() * np.log(self.n))


class Drawn(NamedTuple):
    """What a patient's curve is drawn with: parameters on the natural scale ``(p,)``, days and values."""

    theta: FloatArray
    time: FloatArray
    curve: FloatArray
