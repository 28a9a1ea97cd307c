"""Ten things that other programs get wrong with cell-therapy data, each with the right behaviour here.

They were measured on PKNCA 0.12.1, NonCompart 0.8.0 and the published outputs of Phoenix WinNonlin.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.models.simulation import VirtualPatients, simulate_patients
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.result import NCAResult

LLOQ = 50.0
# the peak on day 10, half every week until day 28
DAYS = [0.0, 3.0, 7.0, 10.0, 14.0, 21.0, 28.0]
VALUES = [0.0, 200.0, 1500.0, 4096.0, 2756.44, 1378.22, 689.11]


@pytest.fixture(scope="module")
def trial() -> VirtualPatients:
    """300 patients with 18 visits over a year, without error in the times."""
    days = [0, 1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 42, 56, 84, 112, 180, 270, 365]
    return ck.models.library["stein2019"].simulate(300, days, lloq=LLOQ, jitter=0.1, seed=1)


def one(days: list[float], values: list[float], windows: str = "0-28", **options: Any) -> NCAResult:
    cohort = Cohort.from_arrays([days], [values], lloq=LLOQ, subject=["P01"])
    return noncompartmental(cohort, options=NCAOptions(windows=windows, **options), parameters="all")


def value(result: NCAResult, column: str) -> float:
    return float(result.wide[column].iloc[0])


def reason(result: NCAResult, code: str) -> str:
    return str(result.table.set_index("parameter").loc[code, "reason_code"])


def test_01_a_window_that_ends_between_two_blq_samples_has_its_area(trial: VirtualPatients) -> None:
    # PKNCA: missing without a reason, for 5, 46 and 79 of 300 profiles for the windows to day 28, 84 and 168
    cohort = ck.read(trial.samples)
    result = noncompartmental(cohort, windows="0-28,0-84,0-168")
    n_between = []
    for end in (28.0, 84.0, 168.0):
        tlast = result.wide["TLST"].to_numpy()[:, None]
        blq = cohort.mask & (cohort.censored == 1) & (cohort.time > tlast)
        between = (blq & (cohort.time < end)).any(axis=1) & (blq & (cohort.time > end)).any(axis=1)
        area = result.wide[f"AUCINT_0_{end:g}"]
        assert area[between].notna().all()
        # beyond the first BLQ sample the curve is 0, so that nothing is extrapolated
        np.testing.assert_allclose(area[between], result.wide["AUCALL"][between], rtol=1e-12)
        assert (result.wide[f"AUCINTPE_0_{end:g}"][between] == 0).all()
        n_between.append(int(between.sum()))
    assert min(n_between[1:]) > 15
    # by hand: a triangle from 689.11 on day 28 to the BLQ sample of day 35
    area = value(one([*DAYS, 35.0, 56.0], [*VALUES, 0.0, 0.0], "0-28,0-42"), "AUCINT_0_42")
    assert area == pytest.approx(value(one(DAYS, VALUES), "AUCINT_0_28") + 7 * 689.11 / 2, rel=1e-12)


def test_02_a_profile_without_a_sample_at_infusion_keeps_every_area(trial: VirtualPatients) -> None:
    # PKNCA: 38 of 300 profiles lose all of them
    samples = trial.samples
    infusion = samples["time"] == 0
    without = noncompartmental(ck.read(samples[~infusion]))
    zero = noncompartmental(ck.read(samples.assign(censored=np.where(infusion, 1, samples["censored"]))))
    for key in without.columns:
        if key.code.startswith("AUC") and key.code != "AUCINTPE":
            np.testing.assert_allclose(without.wide[key.column], zero.wide[key.column], rtol=1e-12)
    assert without.wide["AUCLST"].notna().all()
    imputed = without.points[without.points["role"] == "imputed"]
    assert len(imputed) == 300
    assert set(imputed["reason_code"]) == {"no_time_zero"}


def test_03_auc_0_28_is_the_area_to_day_28_whatever_the_day_of_the_sample() -> None:
    # PKNCA: four meanings in one program; a sample on day 28.3 is thrown away (270 of 295 profiles differ)
    days, values = [*DAYS[:4], 12.0, *DAYS[4:6]], [*VALUES[:4], 3360.14, *VALUES[4:6]]

    def with_last(day: float) -> NCAResult:
        return one([*days, day], [*values, 689.11 * 2.0 ** ((28.0 - day) / 7.0)])

    on_day, after, before = with_last(28.0), with_last(28.3), with_last(27.5)
    assert value(after, "AUCINT_0_28") == pytest.approx(value(on_day, "AUCINT_0_28"), rel=1e-6)
    assert value(after, "AUCLST") > value(after, "AUCINT_0_28")
    # half a day is missing: it is extrapolated by the line, and told
    assert value(before, "AUCINT_0_28") == pytest.approx(value(on_day, "AUCINT_0_28"), rel=1e-6)
    assert 0 < value(before, "AUCINTPE_0_28") < 2
    # a longer follow-up does not change it
    longer = one([*days, 28.0, 56.0, 84.0], [*values, 689.11, 100.0, 60.0])
    assert value(longer, "AUCINT_0_28") == pytest.approx(value(on_day, "AUCINT_0_28"), rel=1e-12)


def test_04_a_window_is_extrapolated_with_the_line_of_the_whole_profile(trial: VirtualPatients) -> None:
    # PKNCA: lambda_z is fitted again on the samples of each window
    result = one(DAYS, VALUES, "0-14,0-21,0-35")
    rate = value(result, "LAMZ")
    beyond = 689.11 / rate * -np.expm1(-rate * 7.0)
    assert value(result, "AUCINT_0_35") == pytest.approx(value(result, "AUCLST") + beyond, rel=1e-12)
    cohort = ck.read(trial.samples)
    for windows in ("0-14", "0-28,0-84", "28-500"):
        wide = noncompartmental(cohort, windows=windows).wide
        np.testing.assert_array_equal(wide["LAMZ"], noncompartmental(cohort, windows="0-365").wide["LAMZ"])


def test_05_one_bad_patient_costs_nobody_else_a_number(cli: Callable[..., Any]) -> None:
    # PKNCA: the whole run stops; NonCompart: an unsorted table is refused, a negative value loses all without a word
    good = [("good", day, value) for day, value in zip(DAYS, VALUES, strict=True)]

    def spoiled(name: str, **changed: str) -> list[tuple[str, Any, Any]]:
        rows = [(name, day, value) for day, value in zip(DAYS, VALUES, strict=True)]
        day, level = changed.get("time"), changed.get("value")
        return [*rows[:3], (name, day or rows[3][1], level or rows[3][2]), *rows[4:]]

    bad = {
        "missing": [("missing", day, "") for day in DAYS],
        "infinite": spoiled("infinite", value="inf"),
        "untimed": [("untimed", "", value) for value in VALUES],
        "twice": [*spoiled("twice"), ("twice", 10.0, 3000.0)],
        "negative": spoiled("negative", value="-3"),
        "nothing": [("nothing", day, "BLQ") for day in DAYS],
        "text": spoiled("text", value="haemolysed"),
    }
    unsorted = [("unsorted", day, value) for _, day, value in reversed(good)]
    everything = [*good, *(row for rows in bad.values() for row in rows), *unsorted]
    columns = ["subject", "time", "value"]
    pd.DataFrame(everything, columns=columns).to_csv("trial.csv", index=False)
    pd.DataFrame(good, columns=columns).to_csv("alone.csv", index=False)
    ran = cli("nca", "trial.csv", "--lloq", "50", "--out", "all")
    assert ran.code == 1, "faults in the data are told by the exit code"
    assert cli("nca", "alone.csv", "--lloq", "50", "--out", "one").code == 0
    wide = pd.read_csv("all/nca_wide.csv", dtype={"subject": str}).set_index("subject")
    alone = pd.read_csv("one/nca_wide.csv", dtype={"subject": str}).set_index("subject")
    assert set(wide.index) == {"good", "unsorted", *bad}
    for name in ("good", "unsorted"):
        pd.testing.assert_series_equal(wide.loc[name], alone.loc["good"], check_names=False)
    table = pd.read_csv("all/nca.csv", keep_default_na=False)
    cmax = table[table["parameter"] == "CMAX"].set_index("subject")["reason_code"]
    assert cmax.drop(["good", "unsorted"]).to_dict() == {
        "missing": "no_usable_sample",
        "infinite": "infinite_value",
        "untimed": "no_usable_sample",
        "twice": "duplicate_time",
        "negative": "negative_value",
        "nothing": "no_quantifiable",
        "text": "sample_left_out",
    }
    faults = pd.read_csv("all/check.csv", keep_default_na=False)
    assert {"infinite", "untimed", "twice", "negative", "text"} <= set(faults["subject"])
    assert (faults["row"].astype(str) != "").all()


def test_06_a_half_life_of_neither_phase_is_marked_and_both_phases_are_reported(
    trial: VirtualPatients,
) -> None:
    # everywhere: 109 of 266 best-fit half-lives are within two-fold of neither phase's, and nothing says so
    result = noncompartmental(ck.read(trial.samples), parameters="core,cellular")
    wide, truth = result.wide.set_index("subject"), trial.truth.set_index("subject")
    alpha, beta = (np.log(2) / truth[rate] for rate in ("alpha", "beta"))

    def near(found: "pd.Series[float]", true: "pd.Series[float]") -> "pd.Series[bool]":
        return np.abs(np.log2(found / true)) <= 1

    wrong = ~(near(wide["LAMZHL"], alpha) | near(wide["LAMZHL"], beta))
    rows = result.table[result.table["parameter"] == "LAMZHL"].set_index("subject")
    marked = rows["status"].eq("flagged")
    assert wrong.mean() > 0.4
    assert marked[wrong].mean() > 0.8
    assert rows["reason_code"].str.contains("straddles_break")[wrong].mean() > 0.5
    assert marked[~wrong].mean() < marked[wrong].mean()
    right = near(wide["ALPHAHL"], alpha).sum() + near(wide["BETAHL"], beta).sum()
    assert right / wide[["ALPHAHL", "BETAHL"]].notna().sum().sum() > 0.65


def test_07_lloq_half_for_blq_samples_does_not_inflate_the_area_to_the_last_quantifiable_one() -> None:
    # as measurements they would: up to 731-fold
    days = [*DAYS[:3], 10.0, *(30.0 * k for k in range(1, 25))]
    values = [0.0, 0.0, 60.0, *[0.0] * 25]
    by_rule = {preset: one(days, values, "0-28,0-720", blq=preset) for preset in ("default", "half-lloq")}
    # before the first quantifiable sample 25 instead of 0, days 0 to 3 and in part to day 7
    assert value(by_rule["default"], "AUCLST") == pytest.approx(4 * 60 / 2)
    assert value(by_rule["half-lloq"], "AUCLST") == pytest.approx(3 * 25 + 4 * (25 + 60) / 2)
    as_measured = Cohort.from_arrays([days], [[25.0 if level == 0 else level for level in values]])
    assert noncompartmental(as_measured).wide["AUCLST"].iloc[0] > 100 * value(by_rule["default"], "AUCLST")
    assert value(by_rule["half-lloq"], "TLST") == 7
    assert reason(by_rule["half-lloq"], "LAMZ") == "too_few_points"


def test_08_a_bolus_has_no_invented_start_and_nothing_crashes_or_vanishes() -> None:
    # NonCompart: C0 is the first value above zero though a sample says 0; a constant profile stops it; its
    # logarithmic method gives area 0 for a fall to 0
    bolus = one([0.0, 1.0, 2.0, 4.0, 8.0], [0.0, 100.0, 800.0, 400.0, 100.0], route="bolus")
    assert value(bolus, "C0") == 0
    assert value(bolus, "AUCLST") == pytest.approx(50 + 450 + 2 * 400 / np.log(2) + 4 * 300 / np.log(4), rel=1e-12)
    assert value(one(DAYS, VALUES), "AUCLST") == value(one(DAYS[1:], VALUES[1:]), "AUCLST")
    constant = one(DAYS, [100.0] * 7, route="bolus")
    assert value(constant, "AUCLST") == 2800
    assert reason(constant, "LAMZ") == "slope_not_negative"
    falls = one([0.0, 2.0, 4.0], [0.0, 600.0, 0.0], "0-4", auc_method="log")
    assert value(falls, "AUCINT_0_4") == 600 + 600


def test_09_a_blq_sample_is_the_same_however_it_was_written() -> None:
    # Phoenix WinNonlin: a trailing zero is data and a trailing BLQ text is nothing, two areas for one trial
    days = [*DAYS, 35.0, 56.0]

    def analysed(blq: str, **more: Any) -> pd.DataFrame:
        values = [blq, *(str(level) for level in VALUES[1:]), blq, blq]
        table = pd.DataFrame({"subject": "P01", "time": days, "value": values, "lloq": LLOQ, **more})
        return noncompartmental(ck.read(table), windows="0-28,0-42", parameters="all").wide

    expected = analysed("<50")
    flags = [1, *[0] * 6, 1, 1]
    for found in (
        analysed("BLQ"),
        analysed("0"),
        analysed("<50.0"),
        analysed("12.5"),
        analysed("50", censored=flags),
        analysed("0", censored=flags),
    ):
        pd.testing.assert_frame_equal(found, expected)
    assert expected["AUCINT_0_42"].notna().all()


def test_10_cmax_of_the_samples_is_low_by_the_schedule_and_that_of_the_model_stands_beside_it() -> None:
    # geometric mean of NCA/true, curves without residual error: -17, -26 and -45 %
    stein = ck.models.library["stein2019"]
    bias, draws = [], []
    for days in ([1, 3, 5, 7, 9, 11, 14, 17, 21, 28], [1, 4, 7, 10, 14, 21, 28], [7, 14, 28]):
        draws.append(
            simulate_patients(
                stein.model,
                300,
                days,
                typical=stein.typical,
                omega_sd=stein.omega_sd,
                residual_sd=0.0,
                lloq=LLOQ,
                seed=1,
            )
        )
        wide = noncompartmental(ck.read(draws[-1].samples), parameters="CMAX").wide
        bias.append(float(np.exp(np.nanmean(np.log(wide["CMAX"] / draws[-1].truth["cmax"]))) - 1))
    assert np.round(bias, 2).tolist() == pytest.approx([-0.17, -0.26, -0.45], abs=0.03)
    cohort = ck.read(draws[0].samples).take([0, 1, 2])
    fits = ck.fit(cohort, model="ecp").table
    modelled = fits[fits["parameter"] == "cmax"]["estimate"].to_numpy() / draws[0].truth["cmax"].to_numpy()[:3]
    sampled = noncompartmental(cohort, parameters="CMAX").wide["CMAX"] / draws[0].truth["cmax"][:3]
    assert np.abs(np.log(modelled)).max() < np.abs(np.log(sampled)).max()
    assert np.abs(np.log(modelled)).max() < 0.1


def test_a_flag_of_the_data_decides_over_the_number_beside_it() -> None:
    cohort = Cohort.from_arrays([DAYS], [VALUES], lloq=LLOQ)
    flagged = replace(cohort, censored=np.array([[1, 0, 0, 0, 0, 0, 1]]))
    assert noncompartmental(flagged).wide["TLST"].tolist() == [21]
