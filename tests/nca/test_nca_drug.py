"""The drug group, on profiles that can be worked out by hand."""

import math

import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.result import NCAResult

K = math.log(2.0) / 2.0
# one compartment of 5 L, a dose of 500 mg: 100 mg/L at the start, half every 2 hours
HOURS = [1.0, 2.0, 4.0, 6.0, 8.0]
LEVELS = [100.0 * math.exp(-K * hour) for hour in HOURS]


def analyse(dose: float | None = 500.0, parameters: str = "core,drug", **options: object) -> NCAResult:
    cohort = Cohort.from_arrays([HOURS], [LEVELS], dose=None if dose is None else [dose])
    return noncompartmental(cohort, options=NCAOptions(windows="0-4", **options), parameters=parameters)


def test_a_bolus_gives_back_clearance_and_volume() -> None:
    wide = analyse(route="bolus").wide.iloc[0]
    area = 100.0 / K
    expected = {
        "C0": 100.0,
        "AUCIFO": area,
        "AUCPBEO": 100.0 * (1.0 - math.exp(-K)),
        "AUCPBEP": 100.0 * (1.0 - math.exp(-K)),
        "CLO": 5.0 * K,
        "CLP": 5.0 * K,
        "VZO": 5.0,
        "VZP": 5.0,
        "VSSO": 5.0,
        "VSSP": 5.0,
        "MRTIBIFO": 1.0 / K,
        "CMAXD": LEVELS[0] / 500.0,
        "C0D": 0.2,
        "AUCIFOD": area / 500.0,
        "AUCINTD_0_4": 75.0 / K / 500.0,
    }
    for code, value in expected.items():
        assert wide[code] == pytest.approx(value, rel=1e-12), code


def test_an_infusion_takes_half_its_duration_off_the_mean_time_of_vss() -> None:
    short = analyse(route="infusion", infusion_duration=0.5).wide.iloc[0]
    none = analyse(route="infusion", infusion_duration=0.0).wide.iloc[0]
    assert none["VSSO"] - short["VSSO"] == pytest.approx(0.25 * none["CLO"], rel=1e-12)


def test_each_route_has_its_own_clearance() -> None:
    def codes(route: str) -> set[str]:
        return set(analyse(route=route, parameters="drug").wide.columns) & {"CLO", "CLFO", "VSSO", "AUCPBEO", "CMAXD"}

    assert codes("extravascular") == {"CLFO", "CMAXD"}
    assert codes("infusion") == {"CLO", "VSSO", "CMAXD"}
    assert codes("bolus") == {"CLO", "VSSO", "AUCPBEO", "CMAXD"}
    assert codes("cells") == {"CMAXD"}


def test_the_dose_given_stands_for_that_of_the_data_and_has_its_unit() -> None:
    result = analyse(route="extravascular", dose=7.0)
    given = analyse(7.0, "CLFO,VZFO,CMAXD,AUCIFOD", route="extravascular", dose_unit="mg")
    table = noncompartmental(
        given.cohort, options=NCAOptions(route="extravascular", dose=14.0), parameters="CLFO"
    ).table
    assert table["value"].iloc[0] == pytest.approx(2.0 * result.wide["CLFO"].iloc[0], rel=1e-15)
    assert given.table.set_index("parameter")["unit"].to_dict() == {
        "CLFO": "mg/(day*copies/ug)",
        "VZFO": "mg/(copies/ug)",
        "CMAXD": "(copies/ug)/mg",
        "AUCIFOD": "(day*copies/ug)/mg",
    }


@pytest.mark.parametrize(("dose", "clearance", "normalised"), [(None, "no_dose", "no_dose"), (0.0, "", "zero_dose")])
def test_without_a_dose_the_reason_is_told(dose: float | None, clearance: str, normalised: str) -> None:
    table = analyse(dose, "CLO,VZO,VSSO,CMAXD,AUCPBEO", route="bolus").table.set_index("parameter")
    assert table["reason_code"].to_dict() == {
        "AUCPBEO": "",
        "CLO": clearance,
        "VZO": clearance,
        "VSSO": clearance,
        "CMAXD": normalised,
    }
    if dose == 0:
        assert table.loc[["CLO", "VZO", "VSSO"], "value"].tolist() == [0.0, 0.0, 0.0]


def test_only_what_was_asked_for_is_there() -> None:
    assert list(analyse(parameters="CLO", route="bolus").columns) == [("CLO", None, None)]
    assert "CLO" not in analyse(parameters="core", route="bolus").wide
