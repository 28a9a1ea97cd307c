"""The cellular group on profiles that can be worked out by hand, and what holds for every profile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.nca.curve import Samples
from cellkinetics.nca.engine import compute, noncompartmental
from cellkinetics.nca.options import Acceptance, NCAOptions
from cellkinetics.nca.parameters import select
from cellkinetics.nca.result import NCAResult

QUIET = settings(deadline=None, max_examples=60)
LN2 = float(np.log(2.0))
# twofold every day until day 6, half every 7 days until day 27, half every 28 days; LLOQ 20
DAYS = [0.0, 2.0, 4.0, 6.0, 13.0, 20.0, 27.0, 55.0, 83.0, 111.0, 139.0, 167.0]
VALUES = [0.0, 100.0, 400.0, 1600.0, 800.0, 400.0, 200.0, 100.0, 50.0, 25.0, 0.0, 0.0]


def analyse(time: list[float], value: list[float], **options: object) -> NCAResult:
    cohort = Cohort.from_arrays([time], [value], lloq=20.0)
    return noncompartmental(cohort, options=NCAOptions(**options), parameters="core,cellular")


def only(result: NCAResult, column: str) -> float:
    return float(result.wide[column].iloc[0])


def code(result: NCAResult, parameter: str) -> str:
    return str(result.table.set_index("parameter").loc[parameter, "reason_code"])


def test_a_profile_worked_out_by_hand() -> None:
    result = analyse(DAYS, VALUES, windows="0-28,0-334", days=(28.0, 3.0, 150.0))
    expected = {
        "EXPRATE": LN2,
        "EXPDT": 1,
        "EXPNPT": 3,
        "EXPFOLD": 16,
        "T10CMAX": 2 + 2 * (160 - 100) / (400 - 100),
        "T50CMAX": 4 + 2 * (800 - 400) / (1600 - 400),
        "ALPHA": LN2 / 7,
        "ALPHAHL": 7,
        "BETA": LN2 / 28,
        "BETAHL": 28,
        "BREAKT": 27,
        "CDAY_28": 200 * 2 ** (-1 / 28),
        "CDAYCMAX_28": 200 * 2 ** (-1 / 28) / 1600,
        "CDAY_3": 250,
        "CDAY_150": 0,
        # from 20 at day 0.4 to 20 at 111 + 28/5, on the way down to 0 at day 139
        "TABOVE": 116.6 - 0.4,
        "TFBLQ": 139,
        "PERSLO": 111,
        "PERSUP": 139,
        "PERSEVT": 1,
        "WCOVER_0_28": 100,
        "WCOVER_0_334": 50,
    }
    for column, value in expected.items():
        assert only(result, column) == pytest.approx(value, rel=1e-11), column
    assert only(result, "ALPHANPT") + only(result, "BETANPT") == 7
    assert only(result, "BICDELTA") > 0
    assert "straddles_break" not in code(result, "LAMZHL")
    cellular = result.table[result.table["parameter"].isin([key.code for key in select("cellular", NCAOptions())])]
    assert set(cellular["status"]) == {"ok"}


def test_a_given_threshold_replaces_the_lloq() -> None:
    assert only(analyse(DAYS, VALUES, threshold=200.0), "TABOVE") == pytest.approx(27 - (2 + 2 / 3), rel=1e-12)
    assert code(analyse(DAYS, VALUES, threshold=10.0), "TABOVE") == "threshold_below_lloq"
    no_limit = noncompartmental(Cohort.from_arrays([[1.0, 7.0]], [[5.0, 9.0]]), parameters="TABOVE")
    assert code(no_limit, "TABOVE") == "no_threshold"


def test_a_blip_below_quantification_is_no_loss() -> None:
    result = analyse([0.0, 7.0, 14.0, 21.0, 28.0], [0.0, 800.0, 0.0, 200.0, 100.0])
    assert only(result, "TFBLQ") == 14
    assert (only(result, "PERSLO"), only(result, "PERSEVT")) == (28, 0)
    assert code(result, "PERSUP") == "still_positive"


@pytest.mark.parametrize("blq", ["default", "drop", "half-lloq", "zero"])
def test_persistence_does_not_depend_on_what_blq_samples_count_as(blq: str) -> None:
    result = analyse(DAYS, VALUES, blq=blq)
    assert [only(result, name) for name in ("TFBLQ", "PERSLO", "PERSUP", "PERSEVT")] == [139, 111, 139, 1]


def test_what_the_samples_cannot_show_has_a_reason() -> None:
    falling = analyse([3.0, 7.0, 14.0], [800.0, 400.0, 200.0], days=(2.0, 21.0))
    reasons = falling.table.set_index("parameter")["reason_code"]
    assert only(falling, "ALPHAHL") == pytest.approx(
        LN2 / -np.polyfit([3.0, 7.0, 14.0], np.log([800.0, 400.0, 200.0]), 1)[0]
    )
    assert reasons["EXPRATE"] == reasons["EXPFOLD"] == "no_rise"
    assert reasons["BETAHL"] == reasons["BREAKT"] == reasons["BICDELTA"] == "too_few_for_two_phases"
    assert reasons["TFBLQ"] == "no_blq_after_peak"
    assert only(falling, "CDAY_2") == pytest.approx(800 * 2 / 3)  # on the way up from the imputed zero
    assert list(reasons["CDAY"]) == list(reasons["CDAYCMAX"]) == ["", "not_observed"]
    unimputed = analyse([3.0, 7.0, 14.0], [800.0, 400.0, 200.0], time_zero="none", days=(2.0,))
    assert code(unimputed, "CDAY") == "not_observed"
    assert code(unimputed, "T10CMAX") == "above_from_the_start"
    scattered = analyse([1.0, 2.0, 3.0, 4.0], [900.0, 800.0, 30.0, 950.0])
    assert code(scattered, "EXPDT") == "not_rising"
    two_points = analyse([0.0, 7.0, 14.0], [0.0, 800.0, 400.0])
    assert code(two_points, "ALPHA") == "too_few_points"


def test_a_profile_without_a_quantified_sample_has_reasons_and_no_time_above() -> None:
    result = analyse([0.0, 7.0, 30.0], [0.0, 0.0, 0.0], windows="0-60", blq="drop")
    assert only(result, "TABOVE") == 0
    assert only(result, "CDAY_28") == 0
    assert only(result, "WCOVER_0_60") == 50
    for name in ("EXPRATE", "ALPHAHL", "BETAHL", "T10CMAX", "CDAYCMAX", "TFBLQ", "PERSLO", "PERSUP", "PERSEVT"):
        assert code(result, name) == "no_quantifiable", name


def test_one_phase_is_not_cut_in_two() -> None:
    days = [7.0 * k for k in range(1, 10)]
    result = analyse(days, [51200.0 * 0.5**k for k in range(9)])
    assert only(result, "ALPHAHL") == pytest.approx(7, rel=1e-12)
    assert only(result, "ALPHANPT") == 9
    assert code(result, "BETAHL") == code(result, "BREAKT") == "one_phase"


def test_a_plateau_leaves_the_contraction_and_has_no_half_life() -> None:
    result = analyse([7.0, 14.0, 21.0, 28.0, 56.0, 84.0, 112.0], [6400.0, 1600.0, 400.0, 100.0, 100.0, 110.0, 120.0])
    assert only(result, "ALPHAHL") == pytest.approx(3.5, rel=1e-12)
    assert 28 < only(result, "BREAKT") < 56
    assert code(result, "BETAHL") == "slope_not_negative"


# a steep fall to 80 at day 28, then a slow and scattered one
STRADDLING = ([7.0, 14.0, 21.0, 28.0, 56.0, 84.0, 112.0, 140.0], [10000.0, 2000.0, 400.0, 80.0, 60.0, 85.0, 50.0, 55.0])


def test_a_terminal_line_across_the_break_is_flagged_and_not_used_to_extrapolate() -> None:
    result = analyse(*STRADDLING, windows="0-168", acceptance=Acceptance(r2adj_min=None, span_min=None))
    assert only(result, "LAMZLL") < only(result, "BREAKT") < only(result, "LAMZUL")
    assert only(result, "LAMZHL") > 0
    assert code(result, "LAMZHL") == "straddles_break"
    assert code(result, "BETAHL") == ""
    assert code(result, "AUCINT") == "lambda_z_not_accepted"
    lenient = Acceptance(r2adj_min=None, span_min=None, straddle=False)
    allowed = analyse(*STRADDLING, windows="0-168", acceptance=lenient)
    assert code(allowed, "LAMZHL") == ""
    assert only(allowed, "AUCINT_0_168") > 0


def test_the_group_is_for_cells() -> None:
    assert select("cellular", NCAOptions(route="bolus")) == ()
    cohort = Cohort.from_arrays([DAYS], [VALUES], lloq=20.0)
    result = noncompartmental(cohort, options=NCAOptions(route="bolus"), parameters="ALPHAHL")
    assert code(result, "ALPHAHL") == "not_for_route"


@pytest.mark.parametrize("wrong", [{"days": (-1.0,)}, {"days": (float("inf"),)}, {"threshold": 0.0}])
def test_a_day_or_threshold_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        NCAOptions(**wrong)


@QUIET
@given(
    alpha=st.floats(2.0, 10.0),
    ratio=st.floats(3.0, 30.0),
    peak=st.floats(1e3, 1e9),
    before=st.integers(3, 6),
    after=st.integers(3, 6),
)
def test_exact_phases_are_found_again(alpha: float, ratio: float, peak: float, before: int, after: int) -> None:
    """Half-lives alpha and ratio * alpha; samples every half-life of the phase, none at the break."""
    beta = ratio * alpha
    first = [5.0 + alpha * k for k in range(before)]
    meet = first[-1] + 0.4 * alpha
    second = [meet + beta * (k + 0.3) for k in range(after)]
    logs = [-(t - 5.0) / alpha for t in first] + [-(meet - 5.0) / alpha - (t - meet) / beta for t in second]
    cohort = Cohort.from_arrays([[0.0, *first, *second]], [[0.0, *(peak * 2.0**x for x in logs)]])
    result = noncompartmental(cohort, parameters="cellular")
    assert only(result, "ALPHAHL") == pytest.approx(alpha, rel=1e-9)
    assert only(result, "BETAHL") == pytest.approx(beta, rel=1e-9)
    assert only(result, "BREAKT") == pytest.approx(meet, rel=1e-9)
    assert (only(result, "ALPHANPT"), only(result, "BETANPT")) == (before, after)


Rows = list[tuple[float, float]]
profiles = st.lists(
    st.tuples(
        st.integers(0, 400).map(lambda quarter_days: quarter_days / 4),
        st.one_of(st.just(0.0), st.floats(20.0, 1e5), st.sampled_from([50.0, 500.0])),
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda row: row[0],
).map(sorted)


def cohort_of(*batch: Rows, factor: float = 1.0) -> Cohort:
    return Cohort.from_arrays(
        [[time for time, _ in rows] for rows in batch],
        [[value * factor for _, value in rows] for rows in batch],
        lloq=20.0 * factor,
    )


@QUIET
@given(rows=profiles, exponent=st.integers(-8, 8))
def test_scaling_values_changes_no_rate_and_no_time(rows: Rows, exponent: int) -> None:
    factor = 2.0**exponent
    before, after = (
        noncompartmental(cohort_of(rows, factor=f), parameters="cellular").wide.iloc[0] for f in (1.0, factor)
    )
    for name in (
        "EXPRATE",
        "EXPDT",
        "EXPFOLD",
        "T10CMAX",
        "T50CMAX",
        "TABOVE",
        "TFBLQ",
        "PERSLO",
        "PERSUP",
        "CDAYCMAX_28",
    ):
        assert after[name] == pytest.approx(before[name], rel=1e-9, abs=1e-9, nan_ok=True), name
    assert after["CDAY_28"] == pytest.approx(before["CDAY_28"] * factor, rel=1e-9, nan_ok=True)
    # A decision between one and two phases that hangs on the last digit may fall either way.
    if np.isnan(before["BICDELTA"]) or abs(before["BICDELTA"]) > 1e-6:
        for name in ("ALPHA", "BETA", "BREAKT"):
            assert after[name] == pytest.approx(before[name], rel=1e-6, abs=1e-9, nan_ok=True), name


@QUIET
@given(batch=st.lists(profiles, min_size=2, max_size=6), blq=st.sampled_from(["default", "drop", "half-lloq"]))
def test_a_batch_equals_one_at_a_time_to_the_last_bit(batch: list[Rows], blq: str) -> None:
    options = NCAOptions(blq=blq)
    keys = select("core,cellular", options)
    together = compute(Samples.of(cohort_of(*batch)), options, keys)
    for i, rows in enumerate(batch):
        alone = compute(Samples.of(cohort_of(rows)), options, keys)
        for key in keys:
            assert np.array_equal(together[key].value[i], alone[key].value[0], equal_nan=True), key
            assert together[key].why[i] == alone[key].why[0]
            assert together[key].flags[i] == alone[key].flags[0]


@QUIET
@given(rows=profiles)
def test_parts_lie_within_the_whole(rows: Rows) -> None:
    row = noncompartmental(cohort_of(rows), parameters="core,cellular").wide.iloc[0]
    last = rows[-1][0]
    assert not row["TABOVE"] > last * (1 + 1e-12)
    assert not row["T10CMAX"] > row["T50CMAX"]
    assert not row["T50CMAX"] > row["TMAX"]
    assert not row["BREAKT"] < row["TMAX"]
    assert not row["BREAKT"] > row["TLST"]
    assert not row["ALPHA"] <= row["BETA"]
    assert not row["PERSUP"] <= row["PERSLO"]
    assert np.isnan(row["PERSUP"]) == (row["PERSEVT"] != 1)
    assert not row["CDAYCMAX_28"] > 1 + 1e-12
