"""Four published CAR-T patients whose numbers were had by hand with other tools."""

from pathlib import Path

import pytest

from cellkinetics import read
from cellkinetics.data.cohort import Cohort
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions

# Cmax, Tmax, Tlast, AUClast linear and linear-up/log-down, AUC0-28 linear and linear-up/log-down
PATIENTS = {
    "CR-01": (4200.0, 14.0, 99.0, "45071.32", "39346.867", "40225.656", "36273.287"),
    "CR-02": (211.0, 14.0, 68.0, "3012.4", "2231.2402", "2976.75", "2207.8047"),
    "CR-03": (1710.0, 14.0, 68.0, "25968.25", "20733.182", "25279.15", "20507.892"),
    "CR-04": (8660.0, 7.0, 68.0, "113048.1", "68154.398", "111270.5", "67653.708"),
}


@pytest.mark.parametrize("subject", PATIENTS)
def test_the_floor_taken_as_data_gives_the_reference_numbers(shared: Path, subject: str) -> None:
    cohort = read(shared / "data" / "ball32.csv")
    profile = cohort.profile(cohort.subject.index(subject))
    as_data = Cohort.from_arrays(
        [profile.time.tolist()], [profile.value.tolist()], censored=[[0] * len(profile)], subject=[subject]
    )
    cmax, tmax, tlast, *areas = PATIENTS[subject]
    linear, log = (
        noncompartmental(as_data, windows="0-28", options=NCAOptions(auc_method=method)).wide.iloc[0]
        for method in ("linear", "linear-up-log-down")
    )
    assert (log["CMAX"], log["TMAX"], log["TLST"]) == (cmax, tmax, tlast)
    ours = (linear["AUCLST"], log["AUCLST"], linear["AUCINT_0_28"], log["AUCINT_0_28"])
    for value, printed in zip(ours, areas, strict=True):
        digits = len(printed.partition(".")[2])
        assert value == pytest.approx(float(printed), abs=0.5 * 10.0**-digits, rel=0)


def test_every_empty_value_of_the_32_patients_has_a_reason(shared: Path) -> None:
    table = noncompartmental(read(shared / "data" / "ball32.csv")).table
    assert table["subject"].nunique() == 32
    empty = table["value"].isna()
    assert (table.loc[empty, "status"] == "not_calculated").all()
    assert (table.loc[empty, "reason_code"] != "").all()
    assert (table.loc[empty, "reason"] != "").all()
    assert (table.loc[~empty, "status"] != "not_calculated").all()
