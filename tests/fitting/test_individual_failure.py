"""One patient whose numbers break the arithmetic: a row with a reason, and the others are fitted."""

import math

import numpy as np
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting import engine
from cellkinetics.fitting.individual import fit
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import STEIN_2019

DAYS = [1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 112, 180]
GOOD = ECP.predict(STEIN_2019.typical, DAYS).tolist()


def with_values(**wild: float) -> list[float]:
    values = list(GOOD)
    for place, value in wild.items():
        values[int(place[1:])] = value
    return values


# Warnings are errors in tests: a fit that prints one fails here.
@pytest.mark.parametrize(
    "values",
    [
        with_values(_4=1e308, _5=1e308),  # beyond the range once it is a bound of Cmax
        with_values(_4=1e-308, _5=5e-324),
        [1e308] * len(DAYS),
        [5e-324] * len(DAYS),
    ],
)
def test_a_wild_value_fails_its_own_profile_and_no_other(values: list[float]) -> None:
    fits = fit(Cohort.from_arrays([DAYS, DAYS, DAYS], [GOOD, values, GOOD], subject=["P01", "wild", "P03"]))
    assert [one.status == "failed" for one in fits] == [False, True, False]
    assert fits["P03"].estimates == fits["P01"].estimates
    assert {row.reason_code for row in fits["wild"].rows if row.status == "failed"} == {"numerical"}
    assert "look for a wild value: the samples run from" in fits["wild"].reason
    assert fits["wild"].estimates["n_samples"] == len(DAYS)


def test_a_value_near_the_end_of_the_range_leaves_no_height_that_is_reported() -> None:
    (one,) = fit(Cohort.from_arrays([DAYS], [with_values(_4=1e306, _5=1e290)]))
    assert one.status == "not_identifiable"
    assert all(one.estimates[name] is None for name in ("cmax", "foldx", "alpha", "auc_0_28", "sigma"))


def test_a_large_value_that_can_be_fitted_leaves_only_numbers() -> None:
    (one,) = fit(Cohort.from_arrays([DAYS], [with_values(_4=1e30)]))
    assert one.status == "not_identifiable"
    numbers = [number for row in one.rows for number in (row.estimate, row.se, row.ci_low, row.ci_high)]
    assert all(number is None or math.isfinite(number) for number in numbers)


@pytest.mark.parametrize("error", [np.linalg.LinAlgError("singular"), FloatingPointError("overflow")])
def test_a_numeric_error_of_one_profile_is_a_failed_fit_in_words(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(engine, "judge", broken)
    (one,) = fit(Cohort.from_arrays([DAYS], [GOOD]))
    assert one.status == "failed"
    assert f"the fit left the range of double-precision numbers ({error})" in one.reason


@pytest.mark.parametrize("error", [TypeError, ValueError, AttributeError])
def test_an_error_of_the_program_stays_an_error(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise error("wrong")

    monkeypatch.setattr(engine, "judge", broken)
    with pytest.raises(error, match="wrong"):
        fit(Cohort.from_arrays([DAYS], [GOOD]))
