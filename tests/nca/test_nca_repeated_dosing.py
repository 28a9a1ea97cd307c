"""Drugs given again and again, from the table to clearance: which dose counts, and what SS says of steady state.

A bolus of 100 into a volume of 10 that falls at 0.1 an hour has clearance 1; given every 24 hours the level
after a dose is, at steady state, 10 exp(-0.1 t) / (1 - exp(-2.4)).
"""

import math

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.nca.options import NCAOptions

RATE, VOLUME, DOSE, TAU = 0.1, 10.0, 100.0, 24.0
HOURS = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0]


def table(doses, hours=HOURS, accumulated=True, **columns):
    """Return a NONMEM data set: dose records ``(time, amount)``, then the samples of one subject."""
    factor = DOSE / VOLUME / ((1 - math.exp(-RATE * TAU)) if accumulated else 1.0)
    rows = [
        {"ID": 1, "TIME": time, "DV": ".", "AMT": amount, "EVID": 1, "II": TAU, **columns} for time, amount in doses
    ]
    rows += [
        {
            "ID": 1,
            "TIME": t,
            "DV": factor * math.exp(-RATE * t),
            "AMT": 0,
            "EVID": 0,
            "II": 0,
            **dict.fromkeys(columns, 0),
        }
        for t in hours
    ]
    return pd.DataFrame(rows)


def values(cohort, parameters, **rules):
    options = NCAOptions(route="bolus", auc_method="log", windows=(), **rules)
    rows = ck.noncompartmental(cohort, options=options, parameters=parameters).table
    return rows.set_index("parameter")["value"].to_dict(), rows.set_index("parameter")["reason_code"].to_dict()


def notes(cohort, code):
    return [fault.message for fault in cohort.faults if fault.code == code]


def test_clearance_and_volumes_at_steady_state_are_those_of_one_dose():
    cohort = ck.read(table([(-TAU * k, DOSE) for k in (4, 3, 2, 1, 0)]), time_unit="hour")
    assert cohort.dose.tolist() == [DOSE]
    found, _ = values(cohort, "CLTAU,VZTAU,VSSO,AUCTAUD", steady_state="all")
    expected = {"CLTAU": RATE * VOLUME, "VZTAU": VOLUME, "VSSO": VOLUME, "AUCTAUD": 1 / (RATE * VOLUME)}
    assert found == pytest.approx(expected, rel=1e-12)
    (note,) = notes(cohort, "several_doses")
    assert note == "5 dose records with a dosing interval; the dose is the one at time zero, 100"
    assert not notes(cohort, "dose_not_at_zero")


def test_a_loading_dose_before_time_zero_does_not_count():
    assert ck.read(table([(-48, 300.0), (-24, DOSE), (0, DOSE), (24, 150.0)])).dose.tolist() == [DOSE]


def test_equal_doses_none_of_them_at_time_zero_are_each_the_dose():
    cohort = ck.read(table([(-1.0, DOSE), (23.0, DOSE)]))
    assert cohort.dose.tolist() == [DOSE]
    assert "the dose is that of each, 100" in notes(cohort, "several_doses")[0]


@pytest.mark.parametrize("doses", [[(-48, 200.0), (-24, 100.0)], [(0, 200.0), (0, 100.0)]])
def test_amounts_that_contradict_each_other_leave_the_dose_unknown(doses):
    cohort = ck.read(table(doses), time_unit="hour")
    assert np.isnan(cohort.dose[0])
    assert "the dose is left unknown" in notes(cohort, "several_doses")[0]
    assert values(cohort, "CLTAU", steady_state="all")[1] == {"CLTAU": "no_dose"}


def test_without_a_dosing_interval_dose_records_add_up():
    cohort = ck.read(table([(0, 60.0), (0, 40.0)], II=0))
    assert cohort.dose.tolist() == [100.0]


@pytest.mark.parametrize(("said", "steady"), [(1, True), (2, True), (0, False)])
def test_the_dose_record_says_whether_the_profile_is_at_steady_state(said, steady):
    cohort = ck.read(table([(0, DOSE)], [1.0, 2.0, 4.0, 8.0, 24.0], steady, ADDL=6, SS=said), time_unit="hour")
    assert cohort.steady_state.tolist() == [float(steady)]
    assert cohort.profile(0).steady_state == float(steady)
    assert "SS" not in cohort.covariates
    found, reasons = values(cohort, "CLO,CLTAU")
    assert reasons["CLO"] == ("at_steady_state" if steady else "")
    name = "CLTAU" if steady else "CLO"
    assert found[name] == pytest.approx(1.0, rel=1e-12)


def test_steady_state_is_guessed_only_where_the_data_say_nothing():
    silent = ck.read(table([(0, DOSE)]))
    empty = ck.read(table([(0, DOSE)], SS="."))
    earlier = ck.read(table([(-24, DOSE), (0, DOSE)], SS=0))
    for cohort in (silent, empty, earlier):
        assert np.isnan(cohort.steady_state[0])
        assert values(cohort, "CLO")[1] == {"CLO": "at_steady_state"}
    begun = ck.read(table([(-24, DOSE), (0, DOSE)]).assign(SS=[1, *[0] * 9]))
    assert begun.steady_state.tolist() == [1.0]
    assert ck.read(table([(2, DOSE), (26, DOSE)], SS=0)).steady_state.tolist() == [0.0]


def test_the_data_come_before_the_guess_from_the_sample_at_time_zero():
    frame = table([(0, DOSE)], [0.0, 1.0, 4.0, 8.0, 24.0], SS=1)
    frame.loc[1, "DV"] = 0
    assert values(ck.read(frame), "CLO")[1] == {"CLO": "at_steady_state"}


def test_adppk_says_it_in_the_same_column():
    frame = table([(0, DOSE)], SS=0).rename(columns={"ID": "USUBJID", "TIME": "AFRLT"}).assign(FRLTU="HOURS", MDV=0)
    frame.loc[0, "MDV"] = 1
    cohort = ck.read(frame)
    assert cohort.source.dialect == "adppk"
    assert cohort.steady_state.tolist() == [0.0]


def test_the_cohort_keeps_what_is_said_with_its_profile():
    frame = pd.concat([table([(0, DOSE)], SS=0), table([(0, DOSE)], SS=1).assign(ID=2)])
    cohort = ck.read(frame)
    assert cohort.take([1, 0]).steady_state.tolist() == [1.0, 0.0]


def occasions(names=("CYCLE 1", "CYCLE 2", "CYCLE 10")):
    """Return an SDTM table of three doses, each 28 days after the one before, whose levels grow by a half each time."""
    rows = []
    for number, name in enumerate(names):
        dose = pd.Timestamp("2026-01-01T10:00") + pd.Timedelta(days=28 * number)
        rows += [
            {
                "USUBJID": "P1",
                "PCTESTCD": "DRG",
                "PCSTRESN": 100 * 1.5**number * math.exp(-RATE * hour),
                "PCTPTREF": name,
                "PCRFTDTC": dose.isoformat(),
                "PCDTC": (dose + pd.Timedelta(hours=hour)).isoformat(),
            }
            for hour in HOURS
        ]
    return pd.DataFrame(rows)


ADAM = {"PCTESTCD": "PARAMCD", "PCSTRESN": "AVAL", "PCTPTREF": "ATPTREF"}


def as_adnca(frame):
    """Return the same as ADNCA, whose times since the first dose alone tell the order of the doses."""
    date, dose = (pd.to_datetime(frame[name]) for name in ("PCDTC", "PCRFTDTC"))
    hours = {"ARRLT": (date - dose) / pd.Timedelta(hours=1), "AFRLT": (date - dose.min()) / pd.Timedelta(hours=1)}
    return frame.rename(columns=ADAM).drop(columns=["PCDTC", "PCRFTDTC"]).assign(**hours, RRLTU="HOURS")


@pytest.mark.parametrize("names", [("CYCLE 1", "CYCLE 2", "CYCLE 10"), ("WEEK 0", "THEN", "DAY 1")])
@pytest.mark.parametrize("write", [lambda frame: frame, as_adnca])
@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_rows_never_changes_what_is_compared_with_the_first_dose(names, write, seed):
    frame = write(occasions(names))
    shuffled = frame.iloc[np.random.default_rng(seed).permutation(len(frame))]
    options = NCAOptions(route="bolus", auc_method="log", windows=(), tau=TAU, dose=DOSE)
    parameters = "core,drug"
    tables = []
    for one in (frame, shuffled):
        result = ck.noncompartmental(ck.read(one, time_unit="hour"), options=options, parameters=parameters)
        columns = ["occasion", "parameter", "value", "status", "reason_code"]
        tables.append(result.table[columns].sort_values(["occasion", "parameter"], ignore_index=True))
    pd.testing.assert_frame_equal(*tables)
    ratio = tables[0].query("parameter == 'ARAUC'").set_index("occasion")
    assert ratio["reason_code"].to_dict() == {names[0]: "first_occasion", names[1]: "", names[2]: ""}
    assert ratio["value"][list(names[1:])].tolist() == pytest.approx([1.5, 2.25], rel=1e-9)
