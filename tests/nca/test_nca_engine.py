"""The engine on profiles that can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import Fault, SettingsError
from cellkinetics.nca import acceptance
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import Acceptance, NCAOptions
from cellkinetics.nca.result import NCAResult

LN2 = float(np.log(2.0))
# a rise to 800 at day 7, then half every 7 days; below the LLOQ of 20 before and after
DAYS = [0.0, 2.0, 7.0, 14.0, 21.0, 28.0, 42.0, 56.0]
VALUES = [0.0, 100.0, 800.0, 400.0, 200.0, 100.0, 0.0, 0.0]


def analyse(days: list[float], values: list[float], windows: object = "0-28", **options: object) -> NCAResult:
    cohort = Cohort.from_arrays([days], [values], lloq=20.0)
    return noncompartmental(cohort, options=NCAOptions(windows=windows, **options), parameters="core,drug")


def only(result: NCAResult, column: str) -> float:
    return float(result.wide[column].iloc[0])


def status(result: NCAResult, code: str) -> tuple[str, str]:
    row = result.table[result.table["parameter"] == code].iloc[0]
    return row["status"], row["reason_code"]


def test_a_profile_worked_out_by_hand() -> None:
    result = analyse(DAYS, VALUES, "0-28,0-35,0-56,0-84,3.5-10.5", dose=1e8)
    k = LN2 / 7
    last = 100 + 2250 + 4900 / LN2
    moment = 200 + 14500 + 2800 / k + 700 / k**2
    tail = 700 / LN2
    expected = {
        "CMAX": 800,
        "TMAX": 7,
        "CLST": 100,
        "TLST": 28,
        "TFQ": 2,
        "TLAG": 0,
        "AUCLST": last,
        "AUCALL": last + 700,
        "AUCINT_0_28": last,
        "AUCINT_0_35": last + 7 * 75,
        "AUCINT_0_56": last + 700,
        "AUCINT_0_84": last + tail * (1 - 2**-8),
        "AUCINTPE_0_35": 0,
        "AUCINTPE_0_84": 100 * tail * (1 - 2**-8) / (last + tail * (1 - 2**-8)),
        # 310 at day 3.5, 800/sqrt(2) at day 10.5
        "AUCINT_3.5_10.5": 3.5 * (310 + 800) / 2 + 800 * (1 - 2**-0.5) / k,
        "AUCIFO": last + tail,
        "AUCIFP": last + tail,
        "AUCPEO": 100 * tail / (last + tail),
        "AUCPEP": 100 * tail / (last + tail),
        "LAMZ": k,
        "LAMZHL": 7,
        "LAMZNPT": 3,
        "LAMZLL": 14,
        "LAMZUL": 28,
        "LAMZSPN": 2,
        "LAMZICPT": np.log(1600),
        "R2": 1,
        "R2ADJ": 1,
        "CORRXY": -1,
        "AUMCLST": moment,
        "AUMCIFO": moment + 28 * 100 / k + 100 / k**2,
        "MRTIBLST": moment / last,
        "MRTIBIFO": (moment + 28 * 100 / k + 100 / k**2) / (last + tail),
        "NSAMPLE": 8,
        "NQUANT": 5,
        "CMAXD": 8e-6,
        "AUCINTD_0_28": last / 1e8,
        "AUCIFOD": (last + tail) / 1e8,
    }
    for column, value in expected.items():
        assert only(result, column) == pytest.approx(value, rel=1e-13), column
    assert set(result.table["status"]) == {"ok"}


def test_linear_areas_are_trapezoids() -> None:
    result = analyse(DAYS, VALUES, auc_method="linear")
    assert only(result, "AUCLST") == 100 + 2250 + 4200 + 2100 + 1050


def test_a_sample_just_after_the_window_is_used_for_its_end() -> None:
    with_it = analyse([0.0, 7.0, 14.0, 21.0, 28.3], [0.0, 800.0, 400.0, 200.0, 90.0])
    height = 200 * (90 / 200) ** (7 / 7.3)
    last = (height - 200) * 7 / np.log(height / 200)
    assert only(with_it, "AUCINT_0_28") == pytest.approx(2800 + 4200 / LN2 + last, rel=1e-13)
    assert only(with_it, "AUCINTPE_0_28") == 0


def test_a_window_beyond_the_last_sample_needs_an_accepted_slope() -> None:
    short = analyse(DAYS[:5], VALUES[:5], "0-84")  # two points after Cmax
    assert status(short, "AUCINT") == ("not_calculated", "window_not_covered")
    scattered = analyse([0.0, 7.0, 14.0, 21.0, 28.0], [0.0, 800.0, 100.0, 300.0, 90.0], "0-84")
    assert only(scattered, "R2ADJ") < 0.7
    assert status(scattered, "LAMZ")[0] == "flagged"
    assert status(scattered, "AUCINT") == ("not_calculated", "lambda_z_not_accepted")
    lenient = Acceptance(r2adj_min=None, span_min=None)
    accepted = analyse([0.0, 7.0, 14.0, 21.0, 28.0], [0.0, 800.0, 100.0, 300.0, 90.0], "0-84", acceptance=lenient)
    assert only(accepted, "AUCINTPE_0_84") > 0


def test_the_rule_for_the_end_of_a_window_can_be_chosen() -> None:
    def area(rule: str) -> float:
        return only(analyse(DAYS, VALUES, "0-84", window_end=rule), "AUCINT_0_84")

    observed = only(analyse(DAYS, VALUES), "AUCALL")
    assert area("zero") == observed
    assert np.isnan(area("missing"))
    assert area("predicted") == pytest.approx(area("observed"), rel=1e-13)  # the line goes through the last sample


def test_a_window_after_the_last_value_is_extrapolated_too() -> None:
    result = analyse(DAYS[:6], VALUES[:6], "35-49")
    assert only(result, "AUCINT_35_49") == pytest.approx(50 * 0.75 * 7 / LN2, rel=1e-13)
    assert only(result, "AUCINTPE_35_49") == 100
    assert status(result, "AUCINT") == ("flagged", "extrapolated_high")


def test_a_window_uses_the_slope_of_the_whole_profile() -> None:
    days, values = [0.0, 7.0, 14.0, 21.0, 28.0, 35.0], [0.0, 800.0, 300.0, 150.0, 60.0, 25.0]
    result = analyse(days, values, "28-49")  # only two samples lie in the window
    k = only(result, "LAMZ")
    assert only(result, "LAMZNPT") >= 3
    observed = 7 * 35 / np.log(60 / 25)
    assert only(result, "AUCINT_28_49") == pytest.approx(observed + 25 / k * (1 - np.exp(-14 * k)), rel=1e-12)


@pytest.mark.parametrize(
    ("blq", "last", "to_end"),
    [
        # the BLQ samples stand at days 0, 42 and 56, LLOQ 20
        ("default", 0, 700),
        ("zero", 0, 700),
        ("pknca", 0, 700),
        ("winnonlin", 0, 0),
        ("drop", 0, 0),
        ("lloq", 20, 14 * 80 / np.log(5) + 280),
        ("half-lloq", 10, 14 * 90 / np.log(10) + 140),
        ({"before": 0.25, "first_after": 0.5, "later": "zero"}, 5, 14 * 90 / np.log(10) + 70),
    ],
)
def test_blq_rules_by_place(blq: object, last: float, to_end: float) -> None:
    result = analyse(DAYS, VALUES, blq=blq)
    assert only(result, "AUCLST") == pytest.approx((last + 100) + 2250 + 4900 / LN2, rel=1e-13)
    assert only(result, "AUCALL") - only(result, "AUCLST") == pytest.approx(to_end, abs=1e-9)
    assert only(result, "CMAX") == 800
    assert only(result, "LAMZNPT") == 3  # what is substituted never enters the terminal line


def test_a_rule_that_needs_an_lloq_says_so_where_there_is_none() -> None:
    cohort = Cohort.from_arrays([DAYS, DAYS], [VALUES, VALUES], lloq=[[20.0] * 8, [float("nan")] * 8])
    table = noncompartmental(cohort, options=NCAOptions(blq="half-lloq"), parameters="CMAX,AUCLST").table
    assert table["reason_code"].tolist() == ["", "", "blq_without_lloq", "blq_without_lloq"]


def test_the_flag_decides_what_is_blq_however_it_was_written() -> None:
    as_zero, as_limit, as_nothing = (
        noncompartmental(
            Cohort.from_arrays([DAYS], [[*VALUES[:6], tail, tail]], censored=[[1, 0, 0, 0, 0, 0, 1, 1]])
        ).wide
        for tail in (0.0, 20.0, float("nan"))
    )
    assert as_zero.equals(as_limit)
    assert as_zero.equals(as_nothing)


@pytest.mark.parametrize(
    ("rule", "first_segment"),
    [("zero", 100.0), ("first", 200.0), ("c0", 200.0), ("none", 0.0)],
)
def test_missing_time_zero(rule: str, first_segment: float) -> None:
    result = analyse(DAYS[1:], VALUES[1:], time_zero=rule)
    assert only(result, "AUCLST") == pytest.approx(first_segment + 2250 + 4900 / LN2, rel=1e-13)
    if rule == "none":
        assert status(result, "AUCINT") == ("not_calculated", "no_time_zero")
        assert status(result, "TLAG") == ("not_calculated", "no_time_zero")
        assert not (result.points["role"] == "imputed").any()


def test_a_bolus_is_extrapolated_back_and_may_have_cmax_in_its_line() -> None:
    days, values = [7.0, 14.0, 21.0], [400.0, 200.0, 100.0]
    result = analyse(days, values, route="bolus")
    assert only(result, "C0") == pytest.approx(800, rel=1e-13)
    assert only(result, "AUCLST") == pytest.approx(4900 / LN2, rel=1e-13)
    assert only(result, "LAMZNPT") == 3
    assert status(analyse(days, values, route="extravascular"), "LAMZ") == ("not_calculated", "too_few_points")
    rising = analyse([7.0, 14.0], [200.0, 400.0], route="bolus")
    assert only(rising, "C0") == 200  # no exponential falls through the two: the first value


def test_an_infusion_takes_half_its_duration_off_mean_times() -> None:
    short, long = (analyse(DAYS, VALUES, route="infusion", infusion_duration=hours) for hours in (0.0, 3.0))
    assert only(short, "MRTICLST") - only(long, "MRTICLST") == pytest.approx(1.5, rel=1e-12)


def test_ties_of_cmax() -> None:
    days, values = [0.0, 7.0, 10.0, 14.0, 28.0], [0.0, 500.0, 300.0, 500.0, 50.0]
    assert only(analyse(days, values), "TMAX") == 7
    assert only(analyse(days, values, tmax_tie="last"), "TMAX") == 14


def test_lambda_z_prefers_more_points_within_the_tolerance() -> None:
    # the last three points lie exactly on a line, the fourth from the end nearly
    days = [0.0, 7.0, 14.0, 21.0, 28.0, 35.0]
    values = [0.0, 800.0, 401.0, 200.0, 100.0, 50.0]
    assert only(analyse(days, values), "LAMZNPT") == 4
    assert only(analyse(days, values, lambda_z_tolerance=0.0), "LAMZNPT") == 3
    assert only(analyse(days, values, lambda_z_tolerance=0.0, lambda_z_min_points=4), "LAMZNPT") == 4


def test_a_rising_end_does_not_hide_a_falling_line() -> None:
    # the last three points rise with adjusted R2 close to 1; only lines that fall take part
    days = [0.0, 1.0, 2.0, 3.0, 4.0, 20.0, 21.0, 22.0]
    values = [0.0, 9000.0, 6000.0, 4000.0, 3000.0, 100.0, 110.0, 121.0]
    result = analyse(days, values)
    assert only(result, "LAMZ") > 0
    assert only(result, "LAMZNPT") > 3


def test_an_early_peak_is_flagged_for_cells_only() -> None:
    days, values = [0.0, 0.5, 7.0], [0.0, 900.0, 400.0]
    assert status(analyse(days, values), "CMAX") == ("flagged", "tmax_early")
    assert only(analyse(days, values), "CMAX") == 900
    assert status(analyse(days, values, route="extravascular"), "CMAX") == ("ok", "")


@pytest.mark.parametrize(("unit", "flag"), [("day", "flagged"), ("Days", "flagged"), ("d", "flagged"), ("h", "ok")])
def test_an_early_peak_is_early_in_days_only(unit: str, flag: str) -> None:
    cohort = replace(Cohort.from_arrays([[0.0, 0.5, 7.0]], [[0.0, 900.0, 400.0]]), time_unit=unit)
    result = noncompartmental(cohort)
    assert status(result, "TMAX")[0] == flag
    assert result.options.acceptance.tmax_min == (1.0 if flag == "flagged" else None)
    assert result.options.acceptance.span_min == 2.0


PEAK = {"CMAX", "TMAX"}
LINE = {"LAMZ", "LAMZHL", "LAMZNPT", "LAMZLL", "LAMZUL", "LAMZSPN", "LAMZICPT", "R2", "R2ADJ", "CORRXY"}
WHOLE = {
    *("AUCLST", "AUCALL", "AUMCLST", "AUCIFO", "AUCIFP", "AUCPEO", "AUCPEP", "AUMCIFO", "AUMCIFP", "AUMCPEO"),
    *("AUMCPEP", "MRTIBLST", "MRTIBIFO", "MRTIBIFP"),
}


@pytest.mark.parametrize(
    ("day", "flagged"),
    [
        # windows 0-2, 2-7, 14-21, 28-56 and 0-84, of which the last is extrapolated beyond day 56
        (7, {"AUCINT_2_7", "AUCINT_0_84", "AUCINTPE_0_84"}),
        (14, {"AUCINT_14_21", "AUCINT_0_84", "AUCINTPE_0_84", *LINE}),
        (28, {"AUCINT_28_56", "AUCINT_0_84", "AUCINTPE_0_84", "CLST", *LINE}),
    ],
)
def test_what_rests_on_a_sample_above_the_upper_limit_is_flagged(day: float, flagged: set[str]) -> None:
    above = [-1 if time == day else int(value == 0) for time, value in zip(DAYS, VALUES, strict=True)]
    cohort = Cohort.from_arrays([DAYS, DAYS], [VALUES, VALUES], censored=[above, [0] * 8])
    result = noncompartmental(cohort, windows="0-2,2-7,14-21,28-56,0-84", parameters="core,drug")
    mark = acceptance.Flag.ABOVE_ULOQ
    assert {key.column for key, column in result.columns.items() if column.flags[0] & mark} == PEAK | WHOLE | flagged
    assert not any(column.flags[1] & mark for column in result.columns.values())


@pytest.mark.parametrize(("day", "flagged"), [(7, False), (14, True), (35, True)])
def test_an_extrapolated_part_rests_on_its_line_and_last_sample(day: float, flagged: bool) -> None:
    days, values = [0.0, 7.0, 14.0, 21.0, 28.0, 35.0], [0.0, 800.0, 400.0, 200.0, 100.0, 50.0]
    above = [-1 if time == day else 0 for time in days]
    table = noncompartmental(Cohort.from_arrays([days], [values], censored=[above]), windows="42-56").table
    share = table[table["parameter"].isin(["AUCINT", "AUCINTPE"])]
    assert ["above_uloq" in code for code in share["reason_code"]] == [flagged, flagged]


@pytest.mark.parametrize(("place", "flagged"), [(0, True), (1, True), (2, False)])
def test_an_extrapolated_start_rests_on_the_first_two_samples(place: int, flagged: bool) -> None:
    above = [-1 if k == place else 0 for k in range(4)]
    cohort = Cohort.from_arrays([[1.0, 2.0, 3.0, 4.0]], [[80.0, 40.0, 20.0, 10.0]], censored=[above])
    result = noncompartmental(cohort, options=NCAOptions(route="bolus"), windows=[(0, 1)])
    assert (status(result, "C0")[0] == "flagged") == flagged
    assert ("above_uloq" in status(result, "AUCINT")[1]) == flagged


def test_a_profile_without_a_quantified_sample_has_area_zero_by_every_rule() -> None:
    cohort = Cohort.from_arrays([[0.0, 7.0, 14.0]], [[0.0, 0.0, 0.0]], lloq=50.0)
    result = noncompartmental(cohort, options=NCAOptions(blq="half-lloq"), windows="0-14,7-10")
    assert [only(result, column) for column in ("AUCLST", "AUCALL", "AUCINT_0_14", "AUCINT_7_10")] == [0.0] * 4
    assert only(result, "AUCINTPE_0_14") == 0


@pytest.mark.parametrize("wrong", [{"windows": 5}, {"windows": [5]}, {"windows": [(0, "x")]}, {"parameters": 5}])
def test_what_is_no_window_or_name_is_a_settings_error(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        noncompartmental(Cohort.from_arrays([DAYS], [VALUES]), **wrong)  # type: ignore[arg-type]


def test_windows_may_come_from_any_iterable() -> None:
    result = noncompartmental(Cohort.from_arrays([DAYS], [VALUES]), windows=((0, end) for end in (7, 14)))
    assert result.options.windows == ((0.0, 7.0), (0.0, 14.0))


def test_an_unusable_profile_is_a_row_with_its_fault() -> None:
    cohort = Cohort.from_arrays([DAYS, DAYS], [VALUES, VALUES], subject=["bad", "good"])
    fault = Fault("text_value", "the value is text", "write a number", "profile", 2, "bad", "DV")
    result = noncompartmental(replace(cohort, unusable=(fault, None)), parameters="CMAX")
    assert result.table["value"].isna().tolist() == [True, False]
    assert result.table["reason_code"].tolist() == ["text_value", ""]
    assert "line 2, subject bad" in result.table["reason"].iloc[0]
    assert set(result.points["subject"]) == {"good"}
    assert result.summary()["missing_reasons"].tolist() == ["text_value: 1"]


def test_a_parameter_of_another_route_is_refused_with_a_reason() -> None:
    cohort = Cohort.from_arrays([DAYS], [VALUES])
    table = noncompartmental(cohort, parameters="C0").table
    assert table["reason_code"].tolist() == ["not_for_route"]


def test_progress_counts_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellkinetics.nca.engine.BLOCK", 2)
    seen: list[tuple[int, int]] = []
    cohort = Cohort.from_arrays([DAYS] * 5, [VALUES] * 5)
    result = noncompartmental(cohort, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert result.wide["AUCLST"].nunique() == 1


@pytest.mark.parametrize("profiles", [[], [[]]])
def test_nothing_to_analyse_is_no_error(profiles: list[list[float]]) -> None:
    result = noncompartmental(Cohort.from_arrays(profiles, profiles))
    assert len(result.wide) == len(profiles)
    assert set(result.table["reason_code"]) <= {"no_samples", ""}
    assert result.points.empty
    result.summary()
    repr(result)
