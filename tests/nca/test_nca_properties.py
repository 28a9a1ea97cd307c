"""What holds for every profile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.data.cohort import Cohort
from cellkinetics.nca.curve import Samples
from cellkinetics.nca.engine import compute, noncompartmental
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import select

QUIET = settings(deadline=None, max_examples=60)
METHODS = st.sampled_from(["linear", "linear-up-log-down", "linear-log", "log"])
Rows = list[tuple[float, float]]

times = st.integers(0, 400).map(lambda quarter_days: quarter_days / 4)
values = st.one_of(st.just(0.0), st.floats(20.0, 1e5), st.sampled_from([50.0, 500.0]))


@st.composite
def profiles(draw: st.DrawFn, min_size: int = 1) -> Rows:
    days = draw(st.lists(times, min_size=min_size, max_size=12, unique=True))
    return [(day, draw(values)) for day in sorted(days)]


def cohort_of(*profiles: Rows) -> Cohort:
    return Cohort.from_arrays(
        [[time for time, _ in rows] for rows in profiles],
        [[value for _, value in rows] for rows in profiles],
        lloq=20.0,
    )


@QUIET
@given(rows=profiles(), method=METHODS, data=st.data())
def test_the_order_of_samples_does_not_matter(rows: Rows, method: str, data: st.DataObject) -> None:
    options = NCAOptions(auc_method=method)
    shuffled = data.draw(st.permutations(rows))
    sorted_result, result = (
        noncompartmental(cohort_of(r), options=options, parameters="all") for r in (rows, shuffled)
    )
    assert result.table.equals(sorted_result.table)


@QUIET
@given(rows=profiles(), method=METHODS, exponent=st.integers(-8, 8))
def test_scaling_values_scales_peak_and_areas(rows: Rows, method: str, exponent: int) -> None:
    factor = 2.0**exponent
    options = NCAOptions(auc_method=method)
    flags = [[int(value < 20.0) for _, value in rows]]
    before, after = (
        noncompartmental(
            Cohort.from_arrays([[t for t, _ in rows]], [[v * f for _, v in rows]], censored=flags), options=options
        ).wide.iloc[0]
        for f in (1.0, factor)
    )
    assert after["CMAX"] == pytest.approx(before["CMAX"] * factor, rel=0, nan_ok=True)
    assert after["TMAX"] == pytest.approx(before["TMAX"], rel=0, nan_ok=True)
    for column in ("AUCLST", "AUCALL", "AUMCLST"):
        assert after[column] == pytest.approx(before[column] * factor, rel=1e-12, nan_ok=True)


@QUIET
@given(rows=profiles(), method=METHODS, later=st.lists(st.floats(0.1, 50.0), min_size=1, max_size=3))
def test_a_blq_sample_after_the_last_never_changes_auclst(rows: Rows, method: str, later: list[float]) -> None:
    more = [*rows, *((101.0 + day, 0.0) for day in np.cumsum(later))]
    options = NCAOptions(auc_method=method)
    before, after = noncompartmental(cohort_of(rows, more), options=options).wide.itertuples()
    if not np.isnan(before.AUCLST):  # a single sample at time zero has no interval until there is a second one
        assert after.AUCLST == before.AUCLST
    for column in ("CMAX", "TLST", "LAMZ", "AUCIFO"):
        assert np.array_equal(getattr(after, column), getattr(before, column), equal_nan=True), column


@QUIET
@given(batch=st.lists(profiles(), min_size=2, max_size=6), method=METHODS)
def test_a_batch_equals_one_at_a_time_to_the_last_bit(batch: list[Rows], method: str) -> None:
    options = NCAOptions(auc_method=method)
    keys = select("all", options)
    together = compute(Samples.of(cohort_of(*batch)), options, keys)
    for i, rows in enumerate(batch):
        alone = compute(Samples.of(cohort_of(rows)), options, keys)
        for key in keys:
            assert np.array_equal(together[key].value[i], alone[key].value[0], equal_nan=True), key
            assert together[key].why[i] == alone[key].why[0]
            assert together[key].flags[i] == alone[key].flags[0]


@QUIET
@given(rows=profiles(min_size=3), method=METHODS, cuts=st.lists(times, min_size=3, max_size=3, unique=True))
def test_windows_add_up_where_they_are_covered(rows: Rows, method: str, cuts: list[float]) -> None:
    a, b, c = sorted(cuts)
    rows = [(day, value) for day, value in rows if day != 101.0] + [(101.0, 30.0)]
    options = NCAOptions(auc_method=method, windows=[(a, b), (b, c), (a, c)])
    wide = noncompartmental(cohort_of(rows), options=options, parameters="AUCINT").wide
    first, second, whole = wide.iloc[0][-3:].astype(float)
    assert first + second == pytest.approx(whole, rel=1e-10, abs=1e-9)


@QUIET
@given(rows=profiles(), method=METHODS)
def test_the_window_to_tlast_is_auclst(rows: Rows, method: str) -> None:
    result = noncompartmental(cohort_of(rows), options=NCAOptions(auc_method=method)).wide.iloc[0]
    if not result["TLST"] > 0:
        return
    options = NCAOptions(auc_method=method, windows=[(0, result["TLST"])])
    area = noncompartmental(cohort_of(rows), options=options, parameters="AUCINT").wide.iloc[0].iloc[-1]
    assert area == pytest.approx(result["AUCLST"], rel=1e-12)


@QUIET
@given(
    rows=st.lists(st.tuples(st.one_of(st.floats(), times), st.one_of(st.floats(), values)), min_size=0, max_size=8),
    route=st.sampled_from(["cells", "bolus", "infusion", "extravascular"]),
    method=METHODS,
    blq=st.sampled_from(["default", "pknca", "winnonlin", "zero", "drop", "half-lloq"]),
    time_zero=st.sampled_from(["auto", "zero", "none", "first", "c0"]),
)
def test_whatever_comes_in_a_value_is_finite_or_has_a_reason(
    rows: Rows, route: str, method: str, blq: str, time_zero: str
) -> None:
    options = NCAOptions(route=route, auc_method=method, blq=blq, time_zero=time_zero)
    result = noncompartmental(cohort_of(rows), options=options, parameters="all")
    table = result.table
    assert not np.isinf(table["value"]).any()
    assert (table["value"].isna() == (table["status"] == "not_calculated")).all()
    assert ((table["reason"] == "") == (table["status"] == "ok")).all()
    assert len(result.points) <= len(rows) + 1
