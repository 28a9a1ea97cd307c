"""What no piece can tell by its own rows is what it is in the whole table, however the table is cut."""

import csv
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cellkinetics.batch.blocks import cut, read_piece
from cellkinetics.batch.inputs import stamp
from cellkinetics.batch.job import Piece
from cellkinetics.data.reading import read

TABLES = ("samples", "nca", "nca_wide", "nca_points", "nca_summary", "check")
DAYS = (0, 3, 7, 14, 28, 56)


def table(
    folder: Path,
    *,
    subjects: int = 8,
    name: str = "study.csv",
    separator: str = ",",
    change: Callable[[int, int, dict[str, object]], None] = lambda subject, sample, row: None,
    **columns: Callable[[int, int], object],
) -> Path:
    """Six samples a subject; columns and changes are told the numbers of subject and sample."""
    rows = []
    for subject in range(subjects):
        for sample, day in enumerate(DAYS):
            value = [5, 100, 900, 400, 150, 60][sample] * (subject + 1)
            row = {"subject": f"S{subject}", "time": day, "value": value}
            row |= {name: column(subject, sample) for name, column in columns.items()}
            change(subject, sample, row)
            rows.append(row)
    path = folder / name
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=separator, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def same_in_pieces(cli: Callable, path: Path, *options: str, code: int = 0) -> Path:
    """Analyse a table at once, and in pieces of two subjects: all files are the same bytes."""
    whole = cli("nca", path, "--out", "whole", *options)
    parts = cli("nca", path, "--out", "parts", *options, "--piece-rows", "12")
    assert (whole.code, parts.code) == (code, code), whole.err + parts.err
    for name in TABLES:
        one, other = ((each.folder / f"{name}.csv").read_bytes() for each in (whole, parts))
        assert one == other, name
    return whole.folder


def summary(folder: Path, name: str) -> dict[str, int]:
    found = pd.read_csv(folder / "nca_summary.csv", dtype={name: "str"}, keep_default_na=False)
    found = found[found["parameter"] == "CMAX"]
    return dict(zip(found[name], found["n"], strict=True))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("blank", [range(4), range(4, 8), (1, 2, 5)])
def test_a_covariate_that_is_empty_in_a_piece_is_one_all_the_same(
    cli: Callable, tmp_path: Path, blank: range, suffix: str
) -> None:
    path = table(tmp_path, weight=lambda subject, _: "" if subject in blank else 50)
    if suffix == "parquet":
        pd.read_csv(path).to_parquet(tmp_path / "study.parquet", index=False)
        path = tmp_path / "study.parquet"
    folder = same_in_pieces(cli, path, "--by", "weight")
    assert summary(folder, "weight") == {"": len(blank), "50.0": 8 - len(blank)}


@pytest.mark.parametrize(
    "weight",
    [
        lambda subject, sample: 60 + sample if subject == 5 else 50,
        lambda subject, sample: "" if subject < 7 else sample,
        lambda subject, sample: "",
    ],
)
def test_a_column_that_is_no_covariate_of_the_table_is_none_of_any_piece(
    cli: Callable, tmp_path: Path, weight: Callable
) -> None:
    path = table(tmp_path, weight=weight)
    for options in ((), ("--piece-rows", "12")):
        done = cli("nca", path, "--out", "out", "--by", "weight", *options)
        assert done.code == 2
        assert "no column 'weight' to group by" in done.err
        assert not list(done.folder.iterdir())


def test_a_number_in_several_ways_of_writing_is_one_value_of_a_covariate(cli: Callable, tmp_path: Path) -> None:
    path = table(tmp_path, weight=lambda subject, sample: ("50", "50.0", "5e1")[sample % 3] if subject < 6 else "61.5")
    assert summary(same_in_pieces(cli, path, "--by", "weight"), "weight") == {"50.0": 6, "61.5": 2}


def test_labels_of_covariates_keep_their_points_in_all_pieces(cli: Callable, tmp_path: Path) -> None:
    """Alone, the pieces of the first four subjects would have numbers, or call both labels 50."""
    weights = ("50", "50", "50.0", "50.0", "61.5", "61.5", "unknown", "50")
    path = table(tmp_path, weight=lambda subject, _: weights[subject])
    found = summary(same_in_pieces(cli, path, "--by", "weight"), "weight")
    assert found == {"50": 3, "50.0": 2, "61.5": 2, "unknown": 1}


def test_faults_of_one_line_have_one_order(cli: Callable, tmp_path: Path) -> None:
    def change(subject: int, sample: int, row: dict[str, object]) -> None:
        if sample == 2:
            row |= {0: {"time": ""}, 6: {"time": "", "value": "inf"}, 7: {"time": "x", "value": "y"}}.get(subject, {})

    folder = same_in_pieces(cli, table(tmp_path, change=change), code=1)
    faults = pd.read_csv(folder / "check.csv").query("effect != 'note' and row == row")
    found = list(faults[["row", "code"]].itertuples(index=False, name=None))
    assert len(found) > 3
    assert found == sorted(found)


def test_profiles_without_nominal_times_have_a_reason_in_a_piece_of_their_own(cli: Callable, tmp_path: Path) -> None:
    path = table(tmp_path, nominal_time=lambda subject, sample: "" if subject in (2, 3) else DAYS[sample])
    folder = same_in_pieces(cli, path, "--time", "nominal")
    wide = pd.read_csv(folder / "nca_wide.csv").set_index("subject")
    assert wide.index[wide["CMAX"].isna()].tolist() == ["S2", "S3"]


@pytest.mark.parametrize("options", [(), ("--piece-rows", "12")])
def test_a_table_without_any_nominal_time_is_refused(cli: Callable, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = table(tmp_path, nominal_time=lambda subject, sample: "")
    done = cli("nca", path, "--out", "out", "--time", "nominal", *options)
    assert done.code == 2
    assert "no nominal time" in done.err


def test_occasions_are_apart_everywhere_if_one_subject_has_several(cli: Callable, tmp_path: Path) -> None:
    path = table(tmp_path, occasion=lambda subject, sample: 2 if subject == 5 and sample > 2 else 1)
    assert summary(same_in_pieces(cli, path), "occasion") == {"1": 8, "2": 1}


def test_occasions_are_not_apart_if_no_subject_has_several(cli: Callable, tmp_path: Path) -> None:
    path = table(tmp_path, occasion=lambda subject, _: 1 + subject % 2)
    assert summary(same_in_pieces(cli, path), "group") == {"": 8}


def test_a_decimal_comma_is_known_from_all_rows(cli: Callable, tmp_path: Path) -> None:
    """1,234 alone may mean 1234; a number of the last subject says what the comma is."""

    def change(subject: int, sample: int, row: dict[str, object]) -> None:
        row["value"] = "0,5" if (subject, sample) == (7, 0) else f"{sample + 1},234"

    path = table(tmp_path, separator="\t", change=change)
    wide = pd.read_csv(same_in_pieces(cli, path) / "nca_wide.csv")
    assert wide["CMAX"].tolist() == [6.234] * 8


def test_a_dose_that_is_no_number_in_one_subject_is_no_dose_of_the_others(cli: Callable, tmp_path: Path) -> None:
    path = table(tmp_path, dose=lambda subject, _: "unknown" if subject == 6 else 100)
    folder = same_in_pieces(cli, path, "--by", "dose", "--parameters", "all", code=0)
    assert summary(folder, "dose") == {"100": 7, "unknown": 1}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_dose_of_numbers_stays_a_dose(tmp_path: Path, suffix: str) -> None:
    path = table(tmp_path, dose=lambda subject, _: 100 + subject)
    if suffix == "parquet":
        pd.read_csv(path).to_parquet(tmp_path / "study.parquet", index=False)
        path = tmp_path / "study.parquet"
    pieces = cut(Piece(0, path.name, str(path), "", *stamp(path)), {}, 12, tmp_path / "rows", grouping=["dose"])
    assert len(pieces) == 4
    found = [dose for piece in pieces for dose in read_piece(piece, {}).dose.tolist()]
    assert found == read(path).dose.tolist() == [100.0 + k for k in range(8)]
