"""Units of results: composed, simplified where that is certain, and those of the doses of the data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cellkinetics as ck
from cellkinetics.units import unit_label

HOURS = [0.0, 1.0, 2.0, 4.0, 8.0]
CURVE = [0.0, 8.0, 4.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("value", "dose", "clearance", "volume"),
    [
        ("mg/L", "mg", "L/h", "L"),
        ("cells/µL", "cells", "µL/h", "µL"),
        ("µg/mL", "ug", "mL/h", "mL"),
        ("ng/mL", "mg", "mg/(h*ng/mL)", "mg/(ng/mL)"),  # nothing is converted
        ("mg/L", "Mg", "Mg/(h*mg/L)", "Mg/(mg/L)"),  # megagrams, for all we know
        ("mg/L/h", "mg", "mg/(h*mg/L/h)", "mg/(mg/L/h)"),
        ("%", "mg", "mg/(h*%)", "mg/(%)"),
        ("1e6/L", "dose", "dose/(h*1e6/L)", "dose/(1e6/L)"),
    ],
)
def test_what_is_the_same_above_and_below_the_line_goes(value: str, dose: str, clearance: str, volume: str) -> None:
    units = {"time": "h", "value": value, "dose": dose}
    assert unit_label("clearance", **units) == clearance
    assert unit_label("volume", **units) == volume
    assert unit_label("area", **units) == f"h*{value}"
    assert unit_label("area_by_dose", **units) == f"(h*{value})/{dose}"


def units_of(result: ck.NCAResult) -> dict[str, str]:
    return result.table.drop_duplicates("parameter").set_index("parameter")["unit"].to_dict()


def adnca(tmp_path: Path, *units: str) -> ck.Cohort:
    rows = [
        f"P{i},DRUG,{value},mg/L,{hour},HOURS,10,{unit}"
        for i, unit in enumerate(units)
        for hour, value in zip(HOURS, CURVE, strict=True)
    ]
    path = tmp_path / "adnca.csv"
    path.write_text("USUBJID,PARAMCD,AVAL,AVALU,ARRLT,RRLTU,DOSEA,DOSEU\n" + "\n".join(rows) + "\n")
    return ck.read(path)


def test_the_unit_of_doses_in_adnca_is_that_of_the_results(tmp_path: Path) -> None:
    cohort = adnca(tmp_path, "mg")
    rules: dict[str, Any] = {"route": "extravascular", "parameters": "CLFO,VZFO,CMAXD"}
    found = units_of(ck.noncompartmental(cohort, **rules))
    time = cohort.time_unit
    assert found == {"CLFO": f"L/{time}", "VZFO": "L", "CMAXD": "(mg/L)/mg"}
    assert units_of(ck.noncompartmental(cohort, **rules, dose_unit="g"))["CMAXD"] == "(mg/L)/g"
    assert units_of(ck.noncompartmental(cohort, **rules, dose=5))["CMAXD"] == "(mg/L)/dose"  # not the dose of the data
    pytest.importorskip("pyreadstat")
    ck.write_cdisc(ck.noncompartmental(cohort, **rules), tmp_path / "out", study="S")
    assert "L/h" in (tmp_path / "out" / "pp.csv").read_text()


def test_doses_in_several_units_have_summaries_apart(tmp_path: Path) -> None:
    cohort = adnca(tmp_path, "mg", "g", "mg", "")
    assert cohort.dose_unit == ("mg", "g", "mg", "")
    summary = ck.noncompartmental(cohort, route="extravascular", parameters="CMAX,CLFO").summary()
    clearance = summary[summary["parameter"] == "CLFO"].set_index("dose_unit")
    assert clearance["n"].to_dict() == {"mg": 2, "g": 1, "dose": 1}
    assert "dose_unit" not in ck.noncompartmental(cohort, route="extravascular", parameters="CMAX").summary()


def test_a_profile_with_doses_in_two_units_has_none_and_a_note(tmp_path: Path) -> None:
    path = tmp_path / "adnca.csv"
    head = "USUBJID,PARAMCD,AVAL,AVALU,ARRLT,RRLTU,DOSEA,DOSEU\n"
    path.write_text(head + "P1,DRUG,8,mg/L,1,HOURS,10,mg\nP1,DRUG,4,mg/L,2,HOURS,10,g\n")
    cohort = ck.read(path)
    assert cohort.dose_unit == ("",)
    assert [fault.row for fault in cohort.faults if fault.code == "several_dose_units"] == [3]


def test_values_of_one_analyte_in_two_units_have_rows_that_say_which() -> None:
    cohort = ck.Cohort.from_arrays([HOURS] * 3, [CURVE] * 3)
    mixed = replace(cohort, value_unit=("copies/ug", "cells/uL", "cells/uL"))
    summary = ck.noncompartmental(mixed, parameters="CMAX,TMAX").summary(by="group")
    assert summary.set_index(["value_unit", "parameter"])["n"].to_dict() == {
        ("copies/ug", "CMAX"): 1,
        ("copies/ug", "TMAX"): 1,
        ("cells/uL", "CMAX"): 2,
        ("cells/uL", "TMAX"): 2,
    }
    keys = [name for name in ("analyte", "specimen", "value_unit", "group", "parameter") if name in summary]
    assert not summary.duplicated(keys).any()
    assert "value_unit" not in ck.noncompartmental(cohort, parameters="CMAX").summary()
