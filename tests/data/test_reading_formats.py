"""The same table, written in many ways, becomes the same cohort."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellkinetics as ck
from cellkinetics.errors import DataError, SettingsError

PLAIN = "subject,time,value,lloq\nP1,0,<50,50\nP1,7.5,1200.25,50\nP1,14,300,50\n"


def write(folder: Path, data: bytes | str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def check_is_plain(cohort: ck.Cohort) -> None:
    assert cohort.subject == ("P1",)
    np.testing.assert_array_equal(cohort.time, [[0.0, 7.5, 14.0]])
    np.testing.assert_array_equal(cohort.value, [[50.0, 1200.25, 300.0]])
    np.testing.assert_array_equal(cohort.censored, [[1, 0, 0]])
    np.testing.assert_array_equal(cohort.lloq, [[50.0, 50.0, 50.0]])
    assert cohort.row.tolist() == [[2, 3, 4]]
    assert not [fault for fault in cohort.faults if fault.effect != "note"]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(".", "§").replace(",", ";").replace("§", ",").encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace("P1", '"P1"').encode(),
        PLAIN.rstrip("\n").encode(),
        (PLAIN + ",,,\n\n").encode(),
        PLAIN.replace("subject,time,value", "Subject,TIME,Value").encode(),
    ],
    ids=[
        "utf8",
        "byte-order mark",
        "utf16",
        "utf16 little endian without mark",
        "utf16 big endian without mark",
        "windows line ends",
        "old mac line ends",
        "semicolons",
        "tabs",
        "semicolons and decimal commas",
        "blanks around cells",
        "quotes",
        "no last line end",
        "empty rows at the end",
        "capitals",
    ],
)
def test_every_way_to_write_the_text_gives_the_same_cohort(tmp_path, data):
    check_is_plain(ck.read(write(tmp_path, data)))


def test_blank_separated_text_is_read(tmp_path):
    table = write(tmp_path, "ID  TIME   DV\n 1   0   5.5\n 1  10    7\n")
    assert ck.read(table).value.tolist() == [[5.5, 7.0]]


def test_a_separator_line_of_excel_is_obeyed(tmp_path):
    cohort = ck.read(write(tmp_path, "sep=;\nsubject;time;value\nA;0;1,5\n"))
    assert cohort.value.tolist() == [[1.5]]
    assert cohort.row.tolist() == [[3]]


def test_latin1_text_is_read_and_noted(tmp_path):
    cohort = ck.read(write(tmp_path, "subject,time,value,unit\nMüller,0,1,copies/µg\n".encode("latin-1")))
    assert cohort.subject == ("Müller",)
    assert cohort.value_unit == ("copies/µg",)
    assert "encoding" in [fault.code for fault in cohort.faults]


def test_excel_is_read_with_whole_numbers_as_names_and_its_own_lines(tmp_path):
    path = tmp_path / "table.xlsx"
    frame = pd.DataFrame({"ID": [1, 1, "007"], "TIME": [0, 7.5, 1], "DV": ["<50", 1200.25, 3], "LLOQ": [50, 50, None]})
    with pd.ExcelWriter(path, engine="xlsxwriter") as writer:
        frame.to_excel(writer, index=False, startrow=2)
        pd.DataFrame({"remark": ["other sheet"]}).to_excel(writer, sheet_name="Notes", index=False)
    cohort = ck.read(path)
    assert cohort.subject == ("1", "007")
    assert cohort.value[0].tolist() == [50.0, 1200.25]
    assert cohort.row[0].tolist() == [4, 5]
    assert "other_sheets" in [fault.code for fault in cohort.faults]


def test_parquet_and_data_frames_are_read_like_csv(tmp_path):
    frame = pd.read_csv(io.StringIO(PLAIN))
    check_is_plain(ck.read(frame))
    frame.to_parquet(tmp_path / "table.parquet")
    check_is_plain(ck.read(tmp_path / "table.parquet"))


def test_what_a_file_is_shows_in_its_bytes_not_its_name(tmp_path):
    pd.read_csv(io.StringIO(PLAIN)).to_parquet(tmp_path / "table.csv")
    check_is_plain(ck.read(tmp_path / "table.csv"))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"subject": [1, 2], "time": [0, 0], "value": [5, 6]}, index=[7, 7]),
        pd.DataFrame({"subject": [1.0, 2.0], "time": [0, 0], "value": [5, 6]}),
        pd.DataFrame({"subject": ["1.0", "2"], "time": [0, 0], "value": ["5", "6"]}),
        pd.DataFrame({"subject": [1, 2], "time": [0, 0], "value": [5, 6]}).astype("Int64"),
        pd.DataFrame({"subject": [1, 2], "time": [0, 0], "value": [5, 6]}).astype("category"),
        pd.DataFrame({"subject": ["1", "2"], "time": [0, 0], "value": [5, 6]}).astype(object),
    ],
    ids=["int", "float", "text", "nullable", "category", "object"],
)
def test_column_types_of_a_frame_do_not_matter(frame):
    cohort = ck.read(frame)
    assert cohort.subject == ("1", "2")
    assert cohort.value.tolist() == [[5.0], [6.0]]


def test_subject_names_keep_leading_zeros_and_digits_behind_the_point():
    frame = pd.DataFrame({"subject": ["001", "1", "1.0"], "time": [0, 0, 1], "value": [1, 2, 3]})
    assert ck.read(frame).subject == ("001", "1")
    frame = frame.assign(subject=["1.0", "1.1", "1.10"])
    assert ck.read(frame).subject == ("1.0", "1.1", "1.10")


def test_lines_are_counted_as_an_editor_counts(tmp_path):
    text = '# made by hand\n\nsubject,time,value,remark\n# a comment\nA,0,1,"two\nlines"\n\nA,1,x,\nA,2,3,\n'
    cohort = ck.read(write(tmp_path, text))
    assert cohort.row.tolist() == [[5, 9]]
    assert [fault.row for fault in cohort.faults if fault.code == "text_value"] == [8]


def test_hash_and_rows_of_the_source_are_kept(tmp_path):
    cohort = ck.read(write(tmp_path, PLAIN))
    assert cohort.source.sha256 == hashlib.sha256(PLAIN.encode()).hexdigest()
    assert (cohort.source.name, cohort.source.rows, cohort.source.dialect) == ("table.csv", 3, "plain")


def test_numbers_are_the_nearest_doubles(tmp_path):
    texts = ["0.1", "2.2250738585072014e-308", "123456789.123456789", "8.41e21", "1e308", "9007199254740993"]
    rows = "".join(f"A,{k},{text}\n" for k, text in enumerate(texts))
    cohort = ck.read(write(tmp_path, "subject,time,value\n" + rows))
    assert cohort.value[0].tolist() == [float(text) for text in texts]


def test_a_comma_that_may_part_thousands_is_not_guessed(tmp_path):
    rows = "subject\ttime\tvalue\nA\t0\t1,234\nA\t1\t2,500\n"
    cohort = ck.read(write(tmp_path, rows))
    assert [fault.code for fault in cohort.faults if fault.effect == "row"] == ["text_value"] * 2
    clear = ck.read(write(tmp_path, rows.replace("2,500", "0,5")))
    assert clear.value.tolist() == [[1.234, 0.5]]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"\xef\xbb\xbf", "empty_file"),
        (b"\n \n\n", "empty_file"),
        (b"# only\n# comments\n", "no_header"),
        (b"subject,time,value\n", "no_rows"),
        (b"subject,time,value\n,,\n", "no_rows"),
        (b"P1,0,5\nP1,1,6\n", "no_header"),
        (bytes(range(256)) * 4, "not_a_table"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "not_a_table"),
        (b"PK\x03\x04" + bytes(64), "not_a_table"),
        (b"PAR1 and no more", "not_a_table"),
        (b'subject,time,value,x\nA,0,1,"open\nA,1,2,\n', "open_quote"),
        (b"subject,time,value,value\nA,0,1,2\n", "duplicate_column"),
        (b"subject,time,value\n,0,1\n", "no_samples"),
    ],
)
def test_what_is_no_table_is_an_error_that_says_so(tmp_path, data, code):
    with pytest.raises(DataError, match=r"table\.csv cannot be read") as caught:
        ck.read(write(tmp_path, data))
    assert code in [fault.code for fault in caught.value.faults]


def test_a_missing_file_a_folder_and_a_locked_file_are_errors(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="there is no file"):
        ck.read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is a folder"):
        ck.read(tmp_path)

    def locked(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", locked)
    with pytest.raises(DataError, match="Permission denied"):
        ck.read(tmp_path / "locked.csv")


def test_a_source_that_is_no_path_is_a_settings_error():
    with pytest.raises(SettingsError, match="path"):
        ck.read(3)  # type: ignore[arg-type]


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    import importlib

    def absent(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    from cellkinetics.data.reading import read

    with pytest.raises(SettingsError, match=r"needs python-calamine, the extra .excel.: pip install python-calamine"):
        read(write(tmp_path, b"PK\x03\x04"))
