"""What may stand in a transport file, and that it comes back as it was."""

import io
import math
import string
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.errors import OutputError, SettingsError
from cellkinetics.report.cdisc.dataset import NAME, Dataset, Variable, check
from cellkinetics.report.cdisc.xpt import xpt_bytes

PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))


def dataset(values: list[str], numbers: list[float], *, name: str = "AVALC", label: str = "Value") -> Dataset:
    variables = (
        Variable("USUBJID", "Subject", "Char", "Assigned"),
        Variable(name, label, "Char", "Derived"),
        Variable("AVAL", "Number", "Num", "Derived"),
    )
    table = pd.DataFrame({"USUBJID": [f"P{row}" for row in range(len(values))], name: values, "AVAL": numbers})
    return Dataset("ADPP", "Parameters", variables, table.astype({"USUBJID": str, name: str, "AVAL": float}))


def read(data: bytes, folder: Path) -> tuple[pd.DataFrame, object]:
    path = folder / "dataset.xpt"
    path.write_bytes(data)
    return pyreadstat.read_xport(str(path))


@pytest.mark.parametrize("name", ["", "aval", "1AVAL", "AVAL-C", "AVAL C", "AVALCCCCC", "ÄVAL", "AVAL\n"])
def test_a_name_that_sas_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(OutputError, match="no name of a variable"):
        check(dataset(["x"], [1.0], name=name))


@pytest.mark.parametrize("label", ["", "x" * 41, "Größe", "a\tb"])
def test_a_label_that_would_be_cut_or_garbled_is_refused(label: str) -> None:
    with pytest.raises(OutputError, match=r"data set ADPP, variable AVALC: the label .* 1 to 40"):
        check(dataset(["x"], [1.0], label=label))


@pytest.mark.parametrize(
    ("value", "why"), [("x" * 201, "201 bytes"), ("µg", "'µ'"), ("a\nb", "printable"), (" a", "blank"), ("a ", "blank")]
)
def test_a_value_that_cannot_be_written_is_named_with_its_row_and_variable(value: str, why: str) -> None:
    with pytest.raises(OutputError, match=r"adpp\.csv, line 3, subject 'P1', variable AVALC") as caught:
        check(dataset(["fine", value], [1.0, 2.0]))
    assert why in str(caught.value)


@pytest.mark.parametrize("number", [math.inf, -math.inf, 1.1e74, -1e300, 1e-79, 5e-324])
def test_a_number_beyond_ibm_floating_point_is_named_with_its_row_and_variable(number: float) -> None:
    with pytest.raises(OutputError, match=r"adpp\.csv, line 3, subject 'P1', variable AVAL: .* outside"):
        check(dataset(["a", "b"], [1.0, number]))


def test_a_missing_text_is_refused_and_a_missing_number_is_not() -> None:
    check(dataset(["a"], [np.nan]))
    broken = dataset(["a"], [1.0])
    broken.table["AVALC"] = pd.Series([None], dtype=object)
    with pytest.raises(OutputError, match="None is no text"):
        check(broken)


def test_every_column_is_described_once_and_in_order() -> None:
    good = dataset(["a"], [1.0])
    for variables in (good.variables[:2], good.variables[::-1], (*good.variables, good.variables[0])):
        with pytest.raises(OutputError, match="every column needs one variable"):
            check(Dataset("ADPP", "Parameters", variables, good.table))


def test_texts_in_a_column_of_numbers_are_refused() -> None:
    good = dataset(["a"], [1.0])
    with pytest.raises(OutputError, match=r"variable AVAL: .* not numbers"):
        check(Dataset("ADPP", "Parameters", good.variables, good.table.astype({"AVAL": str})))


@pytest.mark.parametrize("name", ["adpp", "ADPPADPPP", ""])
def test_a_name_of_a_data_set_is_checked_too(name: str) -> None:
    good = dataset(["a"], [1.0])
    with pytest.raises(OutputError, match="no name of a data set"):
        check(Dataset(name, "Parameters", good.variables, good.table))


# Nine in ten of these are invalid somewhere: whatever is written must be valid, and come back as it was.
@settings(deadline=None, max_examples=150)
@given(
    name=st.one_of(st.text(string.ascii_uppercase + string.digits + "_", min_size=1, max_size=8), st.text(max_size=10)),
    label=st.one_of(st.text(PRINTABLE, min_size=1, max_size=40), st.text(max_size=60)),
    values=st.lists(st.one_of(st.text(PRINTABLE, max_size=200), st.text(max_size=260)), min_size=1, max_size=4),
    numbers=st.lists(st.one_of(st.floats(-1e70, 1e70), st.floats()), min_size=4, max_size=4),
)
def test_nothing_invalid_is_ever_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, label: str, values: list[str], numbers: list[float]
) -> None:
    numbers = numbers[: len(values)]
    try:
        data = xpt_bytes(dataset(values, numbers, name=name, label=label))
    except OutputError:
        valid = (
            NAME.fullmatch(name)
            and name not in {"USUBJID", "AVAL"}
            and 0 < len(label) <= 40
            and label == label.strip()
            and all(len(value) <= 200 and value == value.strip() for value in values)
            and all(set(text) <= set(PRINTABLE) for text in (label, *values))
            and all(not abs(number) or math.isnan(number) or 1e-78 <= abs(number) <= 1e74 for number in numbers)
        )
        assert not valid
        return
    table, meta = read(data, tmp_path_factory.mktemp("xpt"))
    assert list(table.columns) == ["USUBJID", name, "AVAL"]
    assert NAME.fullmatch(name)
    assert meta.column_labels == ["Subject", label, "Number"]
    assert max(meta.variable_storage_width.values()) <= 200
    assert table[name].tolist() == values
    np.testing.assert_allclose(table["AVAL"], numbers, rtol=1e-14, atol=0)


def test_a_double_keeps_its_value_in_both_readers(tmp_path: Path) -> None:
    numbers = [1 / 3, -math.pi, 1e-78, 1e74, 123456789.123456789, 30870.0, np.nan]
    data = xpt_bytes(dataset(["x"] * len(numbers), numbers))
    frame, _ = read(data, tmp_path)
    np.testing.assert_array_equal(frame["AVAL"], numbers)
    by_pandas = pd.read_sas(io.BytesIO(data), format="xport", encoding="ascii")
    np.testing.assert_allclose(by_pandas["AVAL"], numbers, rtol=1e-14, atol=0)


def test_a_file_holds_no_time_of_writing() -> None:
    data = xpt_bytes(dataset(["x"], [1.0]))
    assert data.count(b"01JAN60:00:00:00") == 4
    records = [data[start : start + 80] for start in range(0, len(data), 80)]
    assert records[0].startswith(b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!")
    assert records[5][:24] == b"SAS     ADPP    SASDATA "
    assert records[6][32:42] == b"Parameters"


def test_a_data_set_without_rows_keeps_its_variables(tmp_path: Path) -> None:
    frame, meta = read(xpt_bytes(dataset([], [])), tmp_path)
    assert (list(frame.columns), len(frame)) == (["USUBJID", "AVALC", "AVAL"], 0)
    assert meta.column_labels == ["Subject", "Value", "Number"]
    assert dataset([], []).lengths() == (1, 1, 8)


def test_without_the_extra_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyreadstat", None)
    with pytest.raises(SettingsError, match="pip install pyreadstat"):
        xpt_bytes(dataset(["x"], [1.0]))
