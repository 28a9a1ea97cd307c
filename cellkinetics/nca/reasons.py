"""Why a number could not be had: one short code and one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Why(IntEnum):
    """Reason for which a parameter of a profile is not calculated; ``CALCULATED`` is none.

    The lower-case name is the ``reason_code`` of every table.

    Example:
        >>> Why.NO_QUANTIFIABLE.code, Why.NO_QUANTIFIABLE.sentence
        ('no_quantifiable', 'no sample is quantifiable')
    """

    CALCULATED = 0
    NO_SAMPLES = 1
    NO_QUANTIFIABLE = 2
    INFINITE_VALUE = 3
    NEGATIVE_VALUE = 4
    DUPLICATE_TIME = 5
    BLQ_WITHOUT_LLOQ = 6
    NO_INTERVAL = 7
    NO_TIME_ZERO = 8
    TOO_FEW_POINTS = 9
    SLOPE_NOT_NEGATIVE = 10
    WINDOW_NOT_COVERED = 11
    LAMBDA_Z_NOT_ACCEPTED = 12
    ZERO_AREA = 13
    OVERFLOW = 14
    NOT_FOR_ROUTE = 15
    UNUSABLE_PROFILE = 16  # tables give the profile's own fault instead
    ONE_PHASE = 17
    TOO_FEW_FOR_TWO_PHASES = 18
    NO_RISE = 19
    NOT_RISING = 20
    ABOVE_FROM_THE_START = 21
    NOT_OBSERVED = 22
    NO_THRESHOLD = 23
    THRESHOLD_BELOW_LLOQ = 24
    NO_BLQ_AFTER_PEAK = 25
    STILL_POSITIVE = 26
    NO_DOSE = 27
    ZERO_DOSE = 28
    LIKELIHOOD_UNBOUNDED = 29
    NO_SCATTER = 30
    NO_TAU = 31
    NOTHING_IN_INTERVAL = 32
    ZERO_TROUGH = 33
    AT_STEADY_STATE = 34
    NO_INFUSION_DURATION = 35
    FIRST_OCCASION = 36
    NO_OTHER_OCCASION = 37
    NO_REFERENCE_VALUE = 38
    NO_ACCUMULATION = 39
    OCCASIONS_UNORDERED = 40

    @property
    def code(self) -> str:
        """The name that stands in ``reason_code``; empty for ``CALCULATED``."""
        return "" if self is Why.CALCULATED else self.name.lower()

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        return SENTENCES[self]


SENTENCES: Mapping[Why, str] = MappingProxyType(
    {
        Why.CALCULATED: "",
        Why.NO_SAMPLES: "the profile has no sample with a result at or after time zero",
        Why.NO_QUANTIFIABLE: "no sample is quantifiable",
        Why.INFINITE_VALUE: "a value is infinite; correct or remove it",
        Why.NEGATIVE_VALUE: "a value is negative; correct it or mark it as below quantification",
        Why.DUPLICATE_TIME: "two samples have the same time; keep one of them",
        Why.BLQ_WITHOUT_LLOQ: "the rule for samples below quantification needs an LLOQ, and a sample has none",
        Why.NO_INTERVAL: "a single sample at time zero spans no interval",
        Why.NO_TIME_ZERO: "there is no sample at time zero, and the options do not impute one",
        Why.TOO_FEW_POINTS: "fewer quantifiable samples that may be terminal than a terminal slope needs",
        Why.SLOPE_NOT_NEGATIVE: "no choice of terminal points that the rules allow gives a falling slope",
        Why.WINDOW_NOT_COVERED: "the window ends after the last sample, and there is no terminal slope to extrapolate",
        Why.LAMBDA_Z_NOT_ACCEPTED: (
            "the window ends after the last sample, and the terminal slope misses the acceptance thresholds"
        ),
        Why.ZERO_AREA: "the area is zero, and nothing can be divided by it",
        Why.OVERFLOW: "the calculation leaves the range of double-precision numbers",
        Why.NOT_FOR_ROUTE: "the parameter has no meaning for this route",
        Why.UNUSABLE_PROFILE: "the profile's data cannot be used",
        Why.NO_DOSE: "the dose is not known; give a column of doses, or one dose for all",
        Why.ZERO_DOSE: "the dose is zero, and nothing can be divided by it",
        Why.LIKELIHOOD_UNBOUNDED: (
            "there are two quantifiable points, and no sample below quantification contradicts the line through "
            "them: the censored regression has no maximum"
        ),
        Why.NO_SCATTER: "the points lie on a line, or are only two: there is no scatter to judge it by",
        Why.ONE_PHASE: "one phase describes the decline as well as two (BIC)",
        Why.TOO_FEW_FOR_TWO_PHASES: "fewer than three quantifiable samples for each of two phases of decline",
        Why.NO_RISE: "no quantifiable sample before Cmax shows the rise",
        Why.NOT_RISING: "the line through the samples up to Cmax does not rise",
        Why.ABOVE_FROM_THE_START: "the first sample is above this level already",
        Why.NOT_OBSERVED: "the day is before the first or after the last sample",
        Why.NO_THRESHOLD: "no threshold is given, and no sample of the profile has an LLOQ",
        Why.THRESHOLD_BELOW_LLOQ: "the threshold is below the LLOQ: a sample below quantification may be above it",
        Why.NO_BLQ_AFTER_PEAK: "no sample after Cmax is below quantification",
        Why.STILL_POSITIVE: "the last sample is quantifiable: a loss was not observed",
        Why.NO_TAU: "the dosing interval is not known; give a column of dosing intervals, or one tau for all",
        Why.NOTHING_IN_INTERVAL: "no sample that could give it lies in the dosing interval",
        Why.ZERO_TROUGH: (
            "the lowest value, or that at the end of the dosing interval, is zero: nothing can be divided by it"
        ),
        Why.AT_STEADY_STATE: (
            "at steady state a dose is cleared within the dosing interval, and the area to infinity is that of several "
            "doses; see CLTAU, CLFTAU, VZTAU and VZFTAU"
        ),
        Why.NO_INFUSION_DURATION: (
            "the duration of the infusion is not known; give a column of durations, or one for all (0 for none)"
        ),
        Why.FIRST_OCCASION: "this is the first occasion, which the later ones are compared with",
        Why.NO_OTHER_OCCASION: "the subject has no other occasion of this analyte and specimen to compare with",
        Why.NO_REFERENCE_VALUE: "the parameter of the first occasion is not calculated, or zero",
        Why.OCCASIONS_UNORDERED: (
            "nothing tells which occasion of the subject is the first: neither the dates of the doses nor numbers in "
            "the names of the occasions"
        ),
        Why.NO_ACCUMULATION: "the area over the dosing interval is not larger than on the first occasion",
    }
)
