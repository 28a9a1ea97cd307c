"""Parameters of a dosing interval, against profiles whose areas and moments have a closed form.

The exact profile rises as an exponential from the trough to Cmax at ``RISE`` and falls as one back to the
trough at ``TAU``: the logarithmic rule is exact on both, wherever the samples lie.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import Fault
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import select
from cellkinetics.nca.result import NCAResult

TAU, RISE, TROUGH, PEAK, DOSE = 24.0, 3.0, 2.0, 11.0, 500.0
UP, DOWN = math.log(PEAK / TROUGH) / RISE, math.log(PEAK / TROUGH) / (TAU - RISE)
HOURS = [0.0, 1.0, 3.0, 6.0, 10.0, 16.0, 24.0]


def level(hour: float) -> float:
    return TROUGH * math.exp(UP * hour) if hour <= RISE else PEAK * math.exp(-DOWN * (hour - RISE))


def area(a: float, b: float) -> float:
    """The area between two times on the same side of the peak."""
    rate = UP if b <= RISE else -DOWN
    return (level(b) - level(a)) / rate


def moment(a: float, b: float) -> float:
    rate = UP if b <= RISE else -DOWN
    return (b * level(b) - a * level(a)) / rate - (level(b) - level(a)) / rate**2


AREA = area(0, RISE) + area(RISE, TAU)
MOMENT = moment(0, RISE) + moment(RISE, TAU)
# the drug that is left at the end of the interval goes on falling at the same rate
MEAN_TIME = (MOMENT + TAU * TROUGH / DOWN) / AREA


def profile(hours: list[float] = HOURS, **more: object) -> Cohort:
    given = {"dose": [DOSE], "tau": [TAU], **more}
    return Cohort.from_arrays([hours], [[level(hour) for hour in hours]], **given)


def analyse(
    cohort: Cohort, parameters: str = "core,drug", route: str = "extravascular", windows: str = "0-6", **rules: object
) -> NCAResult:
    options = NCAOptions(route=route, auc_method="log", windows=windows, **rules)
    return noncompartmental(cohort, options=options, parameters=parameters)


def reasons(result: NCAResult) -> dict[str, str]:
    return result.table.set_index("parameter")["reason_code"].to_dict()


def test_every_parameter_of_an_interval_is_that_of_the_closed_form() -> None:
    wide = analyse(profile()).wide.iloc[0]
    expected = {
        "TAU": TAU,
        "AUCTAU": AREA,
        "AUCTAUPE": 0.0,
        "AUCTAUD": AREA / DOSE,
        "AUMCTAU": MOMENT,
        "CAVG": AREA / TAU,
        "CMAX": PEAK,
        "TMAX": RISE,
        "CMIN": TROUGH,
        "TMIN": 0.0,
        "CTROUGH": TROUGH,
        "FLUCP": 100.0 * (PEAK - TROUGH) * TAU / AREA,
        "FLUCPTAU": 100.0 * (PEAK - TROUGH) * TAU / AREA,
        "SWING": (PEAK - TROUGH) / TROUGH,
        "SWINGTAU": (PEAK - TROUGH) / TROUGH,
        "PTROUGHR": PEAK / TROUGH,
        "AILAMZ": 1.0 / (1.0 - math.exp(-DOWN * TAU)),
        "CLFTAU": DOSE / AREA,
        "VZFTAU": DOSE / (DOWN * AREA),
        "MRTEVIFO": MEAN_TIME,
        "MRTEVIFP": MEAN_TIME,
    }
    for code, value in expected.items():
        assert wide[code] == pytest.approx(value, rel=1e-12), code


def test_a_bolus_gives_back_clearance_and_volumes_of_its_compartment() -> None:
    # one compartment of 10 L, cleared at 1 L/h, 100 mg every 12 h
    hours = [0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0]
    levels = [10.0 * math.exp(-0.1 * hour) / (1.0 - math.exp(-1.2)) for hour in hours]
    cohort = Cohort.from_arrays([hours], [levels], dose=[100.0], tau=[12.0])
    wide = analyse(cohort, route="bolus").wide.iloc[0]
    expected = {"AUCTAU": 100.0, "CLTAU": 1.0, "VZTAU": 10.0, "VSSO": 10.0, "VSSP": 10.0, "MRTIBIFO": 10.0}
    for code, value in expected.items():
        assert wide[code] == pytest.approx(value, rel=1e-12), code


def test_an_infusion_takes_half_its_duration_off_the_mean_time_and_the_volume() -> None:
    wide = analyse(profile(infusion_duration=[RISE]), route="infusion").wide.iloc[0]
    assert wide["MRTICIFO"] == pytest.approx(MEAN_TIME - RISE / 2.0, rel=1e-12)
    assert wide["VSSP"] == pytest.approx((MEAN_TIME - RISE / 2.0) * DOSE / AREA, rel=1e-12)


def test_the_mean_time_of_an_interval_is_that_of_a_single_dose() -> None:
    # the curve of one dose: what an interval has above the remainder of all doses before it
    k, a = 0.1, 1.0
    hours = [float(hour) for hour in np.linspace(0, 24, 2401)]

    def once(hour: float) -> float:
        return math.exp(-k * hour) - math.exp(-a * hour)

    steady = [
        math.exp(-k * hour) / (1.0 - math.exp(-k * 24)) - math.exp(-a * hour) / (1.0 - math.exp(-a * 24))
        for hour in hours
    ]
    every = Cohort.from_arrays([hours], [steady], tau=[24.0], dose=[1.0])
    long = [float(hour) for hour in np.linspace(0, 240, 12001)]
    single = Cohort.from_arrays([long], [[once(hour) for hour in long]], dose=[1.0])
    both = [
        analyse(cohort, "MRTEVIFO", lambda_z_not_before=20.0).wide["MRTEVIFO"].iloc[0] for cohort in (every, single)
    ]
    assert both == pytest.approx([1 / k + 1 / a] * 2, rel=2e-5)


def test_an_interval_that_ends_between_samples_is_interpolated_and_later_samples_do_not_count() -> None:
    cohort = profile([*HOURS[:-1], 20.0, 27.0])
    later = replace(cohort, value=np.where(cohort.time == 27.0, 40.0, cohort.value))
    for data, end in ((cohort, TROUGH), (later, None)):
        wide = analyse(data).wide.iloc[0]
        assert wide["CMAX"] == pytest.approx(PEAK)
        assert wide["CMIN"] == pytest.approx(level(0.0))
        if end is not None:
            assert wide["CTROUGH"] == pytest.approx(end, rel=1e-12)
            assert wide["AUCTAU"] == pytest.approx(AREA, rel=1e-12)
            assert wide["AUMCTAU"] == pytest.approx(MOMENT, rel=1e-12)


def test_an_interval_that_ends_after_the_last_sample_follows_the_terminal_line() -> None:
    hours = [0.0, 3.0, 6.0, 10.0, 16.0]
    result = analyse(profile(hours), acceptance={"span_min": None})
    wide = result.wide.iloc[0]
    for code, value in (("AUCTAU", AREA), ("AUMCTAU", MOMENT), ("CTROUGH", TROUGH), ("MRTEVIFO", MEAN_TIME)):
        assert wide[code] == pytest.approx(value, rel=1e-12), code
    assert wide["AUCTAUPE"] == pytest.approx(100.0 * area(16.0, TAU) / AREA, rel=1e-12)


def test_a_line_that_misses_a_threshold_gives_the_interval_its_end_and_a_mark() -> None:
    strict = {"span_min": 50.0}
    late = reasons(analyse(profile([0.0, 3.0, 6.0, 10.0, TAU - 0.1]), acceptance=strict))  # minutes before tau
    for code in ("AUCTAU", "AUMCTAU", "CAVG", "CTROUGH", "CLFTAU", "FLUCP", "FLUCPTAU", "SWINGTAU", "PTROUGHR"):
        assert late[code] == "span_short", code
    assert late["CMAX"] == late["CMIN"] == late["SWING"] == ""
    table = analyse(profile([0.0, 3.0, 6.0, 10.0, TAU - 0.1]), acceptance=strict).table.set_index("parameter")
    assert table.loc["AUCTAU", "value"] == pytest.approx(AREA, rel=1e-12)
    assert table.loc["AUCTAU", "status"] == "flagged"
    sampled = reasons(analyse(profile([0.0, 3.0, 6.0, 10.0, TAU]), acceptance=strict))  # the line adds nothing
    assert sampled["LAMZ"] == "span_short"
    assert sampled["AUCTAU"] == sampled["CTROUGH"] == sampled["CAVG"] == ""


def test_a_window_does_not_follow_a_line_that_misses_a_threshold_where_the_interval_does() -> None:
    cohort = profile([0.0, 3.0, 6.0, 10.0, TAU - 0.1])
    options = NCAOptions(route="extravascular", windows=((0.0, TAU),), acceptance={"span_min": 50.0})
    codes = reasons(noncompartmental(cohort, options=options, parameters="AUCINT,AUCTAU"))
    assert codes == {"AUCINT": "lambda_z_not_accepted", "AUCTAU": "span_short"}


def test_a_largely_extrapolated_interval_marks_what_rests_on_it() -> None:
    marks = reasons(analyse(profile([0.0, 3.0, 4.0, 6.0, 8.0]), acceptance={"span_min": None}))
    assert marks["AUCTAU"] == marks["CLFTAU"] == marks["FLUCP"] == "extrapolated_high"
    assert marks["CMIN"] == marks["CMAX"] == ""


@settings(deadline=None, max_examples=40)
@given(
    levels=st.lists(st.one_of(st.just(0.0), st.floats(1.0, 1e4)), min_size=3, max_size=9),
    tau=st.floats(0.5, 20.0),
    window_end=st.sampled_from(["observed", "predicted", "zero", "missing"]),
    method=st.sampled_from(["linear", "linear-up-log-down", "linear-log", "log"]),
)
def test_the_area_over_the_interval_is_that_of_the_window_which_ends_there(
    levels: list[float], tau: float, window_end: str, method: str
) -> None:
    cohort = Cohort.from_arrays([[1.5 * i for i in range(len(levels))]], [levels], tau=[tau])
    every_line = {"r2adj_min": None, "span_min": None}  # a window follows accepted ones only
    rules = {"windows": ((0.0, tau),), "window_end": window_end, "auc_method": method, "acceptance": every_line}
    options = NCAOptions(route="extravascular", **rules)
    result = noncompartmental(cohort, options=options, parameters="AUCINT,AUCINTPE,AUCTAU,AUCTAUPE")
    window, share, interval, percent = result.columns.values()
    np.testing.assert_array_equal(window.value, interval.value)
    np.testing.assert_array_equal(share.value, percent.value)
    np.testing.assert_array_equal(window.why, interval.why)


@settings(deadline=None, max_examples=40)
@given(
    levels=st.lists(st.floats(1.0, 1e4), min_size=3, max_size=9),
    method=st.sampled_from(["linear", "linear-up-log-down", "linear-log", "log"]),
)
def test_the_moment_over_an_interval_that_ends_at_the_last_sample_is_the_moment_to_it(
    levels: list[float], method: str
) -> None:
    hours = [1.5 * i for i in range(len(levels))]
    cohort = Cohort.from_arrays([hours], [levels], tau=[hours[-1]])
    options = NCAOptions(route="extravascular", auc_method=method)
    wide = noncompartmental(cohort, options=options, parameters="AUMCLST,AUMCTAU").wide.iloc[0]
    assert wide["AUMCTAU"] == pytest.approx(wide["AUMCLST"], rel=1e-13)


def test_a_missing_time_zero_takes_the_lowest_value_of_the_interval_at_steady_state() -> None:
    cohort = profile([1.0, *HOURS[2:]])
    starts = {}
    for rule in ("auto", "minimum", "zero", "first", "none"):
        points = analyse(cohort, "AUCTAU", time_zero=rule).points
        imputed = points[points["role"] == "imputed"]
        starts[rule] = imputed["value"].round(9).tolist()
    assert starts == {"auto": [TROUGH], "minimum": [TROUGH], "zero": [0.0], "first": [round(level(1.0), 9)], "none": []}
    lowest = analyse(cohort, "AUCTAU,TMIN").wide.iloc[0]
    assert lowest["TMIN"] == TAU
    assert lowest["AUCTAU"] == pytest.approx(AREA, rel=1e-12)


def test_the_points_are_those_of_the_analysis_where_a_later_value_is_higher_or_another_occasion_is_unusable() -> None:
    late = profile([0.0, 3.0, 6.0, 10.0, 16.0, 24.0, 30.0])
    raised = replace(late, value=np.where(late.time == 30.0, 99.0, late.value))
    result = analyse(raised, lambda_z_not_after=24.0)
    points = result.points
    assert int(points["used"].sum()) == result.wide["LAMZNPT"].iloc[0] == 4
    first = repeated()
    started = replace(first, mask=first.mask & (first.time > 0.5))
    lost = replace(started, unusable=(None, Fault("no_rows", "no row can be used", "correct them", "profile")))
    imputed = analyse(lost, "CMAX").points
    assert imputed.loc[imputed["role"] == "imputed", "value"].tolist() == [0.0]


def test_a_bolus_is_extrapolated_back_at_steady_state_too() -> None:
    cohort = Cohort.from_arrays([[1.0, 2.0, 4.0, 8.0]], [[8.0, 4.0, 1.0, 0.0625]], tau=[8.0])
    wide = analyse(cohort, "C0,AUCTAU", route="bolus").wide.iloc[0]
    assert wide["C0"] == pytest.approx(16.0, rel=1e-14)
    assert wide["AUCTAU"] == pytest.approx((16.0 - 0.0625) / math.log(2.0), rel=1e-12)


def test_time_zero_stays_empty_where_no_sample_lies_in_the_interval() -> None:
    cohort = profile([6.0, 10.0, 16.0, 24.0], tau=[4.0])
    codes = reasons(analyse(cohort, "CMAX,TMAX,CMIN,AUCTAU,FLUCP,TLST"))
    assert codes == {
        "CMAX": "nothing_in_interval",
        "TMAX": "nothing_in_interval",
        "CMIN": "nothing_in_interval",
        "AUCTAU": "no_time_zero",
        "FLUCP": "nothing_in_interval",
        "TLST": "",
    }


def repeated(**more: object) -> Cohort:
    """The first interval and the one at steady state of a bolus that falls at 0.1 per hour, every 12 h."""
    hours = [0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0]
    first = [10.0 * math.exp(-0.1 * hour) for hour in hours]
    steady = [value / (1.0 - math.exp(-1.2)) for value in first]
    cohort = Cohort.from_arrays(
        [hours, hours], [first, steady], subject=["A", "A"], dose=[100.0, 100.0], tau=[12.0, 12.0], **more
    )
    return replace(cohort, occasion=("1", "15"))


def test_a_later_occasion_is_compared_with_the_first() -> None:
    result = analyse(repeated(), route="bolus")
    first, later = (result.wide.iloc[i] for i in (0, 1))
    accumulation = 1.0 / (1.0 - math.exp(-1.2))
    expected = {
        **dict.fromkeys(("ARAUC", "ARAUCD", "ARCMAX", "ARCMIN", "ARCTROUG", "AILAMZ"), accumulation),
        "SRAUC": 1.0,
        "EFFHL": math.log(2.0) / 0.1,
    }
    for code, value in expected.items():
        assert later[code] == pytest.approx(value, rel=1e-12), code
    table = result.table[(result.table["occasion"] == "1")].set_index("parameter")
    assert table.loc["ARAUC", "reason_code"] == "first_occasion"
    assert math.isnan(first["EFFHL"])


def test_the_first_of_several_occasions_is_taken_for_the_first_dose() -> None:
    for rule, first, later in (
        ("auto", "", "at_steady_state"),
        ("all", "at_steady_state", "at_steady_state"),
        ("none", "", ""),
    ):
        result = analyse(repeated(), "CLO", route="bolus", steady_state=rule)
        assert result.table["reason_code"].str.replace("span_short;extrapolated_high", "").tolist() == [first, later]
    single = analyse(repeated(), "CLO,VZO,VSSO,MRTIBIFO", route="bolus").wide.iloc[0]
    assert single["CLO"] == pytest.approx(1.0, rel=1e-12)
    assert single["VSSO"] == pytest.approx(10.0, rel=1e-12)


def test_a_profile_that_starts_below_quantification_is_not_at_steady_state() -> None:
    hours, levels = [0.0, 2.0, 4.0, 8.0, 12.0], [0.0, 8.0, 4.0, 1.0, 0.25]
    cohort = Cohort.from_arrays([hours], [levels], dose=[100.0], tau=[12.0])
    free = {"acceptance": {"r2adj_min": None, "span_min": None, "extrapolated_max": None}}
    assert reasons(analyse(cohort, "CLFO,CLFTAU", **free)) == {"CLFO": "", "CLFTAU": ""}
    assert reasons(analyse(cohort, "CLFO,CLFTAU", steady_state="all", **free))["CLFO"] == "at_steady_state"
    single = analyse(cohort, "MRTEVIFO,AUMCIFO,AUCIFO", **free).wide.iloc[0]
    assert single["MRTEVIFO"] == pytest.approx(single["AUMCIFO"] / single["AUCIFO"], rel=1e-15)


def test_occasions_named_by_numbers_are_ordered_by_them() -> None:
    cohort = repeated()
    turned = replace(cohort.take([1, 0]), occasion=("15", "1"))
    assert analyse(turned, "ARAUC", route="bolus").table["reason_code"].tolist() == ["", "first_occasion"]
    named = replace(turned, occasion=("Cycle 10, day 1", "Cycle 2, day 15"))
    assert analyse(named, "ARAUC", route="bolus").table["reason_code"].tolist() == ["", "first_occasion"]


def test_the_start_of_an_occasion_comes_before_its_name() -> None:
    cohort = replace(repeated(), occasion_start=np.array([9.0, 2.0]))
    assert analyse(cohort, "ARAUC", route="bolus").table["reason_code"].tolist() == ["", "first_occasion"]


@pytest.mark.parametrize("names", [("week 2", "day 28"), ("screening", "treatment"), ("dose", "DOSE")])
def test_where_nothing_tells_the_first_occasion_there_is_no_ratio(names: tuple[str, str]) -> None:
    result = analyse(replace(repeated(), occasion=names), "ARAUC,EFFHL", route="bolus")
    assert set(result.table["reason_code"]) == {"occasions_unordered"}
    assert result.table["reason"].str.contains("nothing tells which occasion of the subject is the first").all()


def test_occasions_of_another_analyte_or_specimen_are_not_compared() -> None:
    cohort = repeated(specimen=["blood", "marrow"])
    assert analyse(cohort, "ARAUC", route="bolus").table["reason_code"].tolist() == ["no_other_occasion"] * 2
    other = replace(repeated(), analyte=("drug", "metabolite"))
    assert analyse(other, "ARAUC", route="bolus").table["reason_code"].tolist() == ["no_other_occasion"] * 2


def test_a_first_occasion_without_a_value_gives_no_ratio_and_a_shrinking_area_no_half_life() -> None:
    cohort = repeated()
    lost = replace(cohort, value=np.where(np.arange(2)[:, None] == 0, -1.0, cohort.value))
    table = analyse(lost, "ARAUC,EFFHL", route="bolus").table
    assert table["reason_code"].tolist() == ["first_occasion"] * 2 + ["no_reference_value"] * 2
    turned = replace(cohort, occasion=("15", "1"))
    table = analyse(turned, "ARAUC,EFFHL", route="bolus").table
    assert table["reason_code"].tolist() == ["", "no_accumulation", "first_occasion", "first_occasion"]


def test_a_mark_of_the_first_occasion_marks_the_ratio() -> None:
    cohort = repeated()
    short = replace(cohort, mask=cohort.mask & ((cohort.time <= 4.0) | (np.arange(2)[:, None] == 1)))
    options = NCAOptions(route="bolus", acceptance={"span_min": None})
    table = noncompartmental(short, options=options, parameters="ARAUC,ARCMAX").table
    later = table[table["occasion"] == "15"].set_index("parameter")["reason_code"]
    assert later.to_dict() == {"ARAUC": "extrapolated_high", "ARCMAX": ""}


def test_what_cannot_be_had_says_why() -> None:
    no_tau = analyse(profile(tau=None), "AUCTAU,TAU,CMIN,CTROUGH,SWING,AILAMZ,CLFTAU,EFFHL")
    codes = reasons(no_tau)
    assert codes.pop("EFFHL") == "no_other_occasion"
    assert set(codes.values()) == {"no_tau"}
    no_dose = reasons(analyse(profile(dose=None), "AUCTAUD,CLFTAU,VZFTAU,CAVG"))
    assert no_dose == {"AUCTAUD": "no_dose", "CLFTAU": "no_dose", "VZFTAU": "no_dose", "CAVG": ""}
    assert reasons(analyse(profile(dose=[0.0]), "AUCTAUD,CLFTAU")) == {"AUCTAUD": "zero_dose", "CLFTAU": ""}
    fallen = Cohort.from_arrays([[0.0, 2.0, 4.0, 8.0]], [[0.0, 8.0, 4.0, 0.0]], tau=[8.0])
    codes = reasons(analyse(fallen, "CMIN,CTROUGH,SWING,SWINGTAU,PTROUGHR,FLUCP"))
    assert codes == {
        "CMIN": "",
        "CTROUGH": "",
        "FLUCP": "",
        "SWING": "zero_trough",
        "SWINGTAU": "zero_trough",
        "PTROUGHR": "zero_trough",
    }
    empty = Cohort.from_arrays([[0.0, 8.0]], [[0.0, 0.0]], tau=[8.0], dose=[1.0])
    codes = reasons(analyse(empty, "AUCTAU,CMIN,CTROUGH,CLFTAU,SWING"))
    assert codes.pop("AUCTAU") == ""
    assert codes.pop("CLFTAU") == "zero_area"
    assert set(codes.values()) == {"no_quantifiable"}


def test_an_interval_has_no_meaning_for_cells() -> None:
    assert reasons(analyse(profile(), "AUCTAU,ARAUC,CMAX", route="cells")) == {
        "CMAX": "",
        "AUCTAU": "not_for_route",
        "ARAUC": "not_for_route",
    }
    late = profile([*HOURS, 30.0])
    raised = replace(late, value=np.where(late.time == 30.0, 99.0, late.value))
    assert analyse(raised, "CMAX", route="cells").wide["CMAX"].tolist() == [99.0]


def test_the_group_brings_the_same_columns_whatever_the_data() -> None:
    # so that the pieces of a batch fit together
    columns = [list(analyse(cohort, "drug", route="bolus").columns) for cohort in (profile(tau=None), repeated())]
    assert columns[0] == columns[1] == list(select("drug", NCAOptions(route="bolus", windows="0-6")))
    assert {"AUCTAU", "ARAUC"} <= {key.code for key in columns[0]}


def test_the_options_stand_for_the_numbers_of_the_data() -> None:
    cohort = profile(infusion_duration=[1.0])
    asked = {"route": "infusion", "parameters": "TAU,MRTICLST"}
    own = analyse(cohort, **asked).wide.iloc[0]
    given_ones = analyse(cohort, **asked, tau=12.0, infusion_duration=3.0).wide.iloc[0]
    assert own["MRTICLST"] - given_ones["MRTICLST"] == pytest.approx(1.0, rel=1e-12)
    assert (own["TAU"], given_ones["TAU"]) == (24.0, 12.0)


def test_each_patient_has_its_own_infusion_and_an_unknown_one_gives_no_mean_time() -> None:
    hours, levels = [0.0, 1.0, 2.0, 4.0, 8.0], [0.0, 8.0, 4.0, 1.0, 0.0625]
    cohort = Cohort.from_arrays([hours] * 3, [levels] * 3, infusion_duration=[1.0, 2.0, math.nan], dose=[10.0] * 3)
    asked = "MRTICLST,MRTICIFO,MRTICIFP,VSSO,VSSP,CLO,VZO,AUCIFO"
    table = analyse(cohort, asked, route="infusion").table.set_index(["subject", "parameter"])
    for code in ("MRTICLST", "MRTICIFO", "MRTICIFP"):
        assert table.loc[("1", code), "value"] - table.loc[("2", code), "value"] == pytest.approx(0.5, rel=1e-12)
    lost = table.loc["3"]
    assert set(lost[lost["reason_code"] == "no_infusion_duration"].index) == {
        "MRTICLST",
        "MRTICIFO",
        "MRTICIFP",
        "VSSO",
        "VSSP",
    }
    none = analyse(cohort, "MRTICLST", route="infusion", infusion_duration=0.0)
    assert none.wide["MRTICLST"].nunique() == 1
    assert none.table["reason_code"].tolist() == [""] * 3


def test_a_value_above_the_upper_limit_marks_the_trough_and_the_lowest_value_that_are_it() -> None:
    cohort = profile([0.0, 3.0, 6.0, 10.0, 16.0, 20.0, 28.0])
    above = replace(cohort, censored=np.where(cohort.time == 20.0, -1, 0))
    marks = reasons(analyse(above, "CMIN,CTROUGH,AUCTAU"))
    assert marks == {"AUCTAU": "above_uloq", "CMIN": "", "CTROUGH": "above_uloq"}
    alone = replace(cohort, censored=np.full(cohort.time.shape, -1))
    assert "above_uloq" in reasons(analyse(alone, "CMIN"))["CMIN"]
