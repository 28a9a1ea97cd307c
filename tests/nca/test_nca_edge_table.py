"""docs/edge_cases.md says what becomes of each awkward profile: its table is held to the program."""

import re
from pathlib import Path

import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.errors import DataError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "edge_cases.md"
PARAMETERS = {
    "Cmax": "CMAX",
    "Tmax": "TMAX",
    "Tlast": "TLST",
    "AUClast": "AUCLST",
    "AUC 0-28": "AUCINT_0_28",
    "AUC 0-84": "AUCINT_0_84",
    "t½": "LAMZHL",
    "points": "LAMZNPT",
    "AUC inf": "AUCIFO",
}


def rows() -> dict[str, dict[str, str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


ROWS = rows()


def samples(case: str) -> pd.DataFrame:
    pairs = [pair.split(": ") for pair in ROWS[case]["samples (day: value)"].split(", ")]
    return pd.DataFrame({"subject": case, "time": [day for day, _ in pairs], "value": [value for _, value in pairs]})


@pytest.fixture(scope="module")
def result() -> ck.NCAResult:
    return ck.noncompartmental(ck.read(pd.concat([samples(case) for case in ROWS])), windows="0-28,0-84")


@pytest.mark.parametrize("case", ROWS)
def test_the_table_says_what_the_program_gives(case: str, result: ck.NCAResult) -> None:
    table = result.table[result.table["subject"] == case]
    end = table["interval_end"].map(lambda time: "" if pd.isna(time) else f"_0_{time:g}")
    found = table.assign(column=table["parameter"] + end).set_index("column")
    marks: dict[str, list[str]] = {}
    for name, column in PARAMETERS.items():
        row = found.loc[column]
        missing = row["status"] == "not_calculated"
        assert ROWS[case][name] == (f"`{row['reason_code']}`" if missing else f"{row['value']:.6g}")
        for code in filter(None, () if missing else row["reason_code"].split(";")):
            marks.setdefault(code, []).append(name)
    told = re.findall(r"`([a-z0-9_]+)`: ([^;]+)", ROWS[case]["marks"])
    assert {code: names.strip().split(", ") for code, names in told} == marks


def test_every_outcome_has_a_reason_and_a_comparison() -> None:
    for row in ROWS.values():
        assert all(row[column] for column in ("what it is", "why", "PKNCA", "NonCompart"))


def test_the_profiles_are_those_of_the_reference(shared: Path) -> None:
    reference = pd.read_csv(shared / "reference" / "edge_cases.csv")
    assert list(ROWS) == list(dict.fromkeys(reference["CASE"]))
    for case, part in reference.groupby("CASE"):
        ours = samples(str(case))[["time", "value"]].replace("NA", "nan").astype(float)
        pd.testing.assert_frame_equal(
            ours, part[["TIME", "DV"]].astype(float).set_axis(["time", "value"], axis=1).reset_index(drop=True)
        )


def test_a_table_without_rows_is_a_fault_of_the_file() -> None:
    with pytest.raises(DataError):
        ck.read(pd.DataFrame({"subject": [], "time": [], "value": []}))
