"""SAS transport files: the same cohort as from the table they hold."""

import numpy as np
import pandas as pd
import pytest
from cdisc_tables import ADNCA, ADPPK, CP, PC, table

import cellkinetics as ck
from cellkinetics.data.transport import SAS7BDAT

pyreadstat = pytest.importorskip("pyreadstat")


def written(frame, path, **options):
    pyreadstat.write_xport(frame, str(path), **{"table_name": "DATA", "file_format_version": 5, **options})
    return path


@pytest.mark.parametrize("text", [PC, CP, ADNCA, ADPPK], ids=["pc", "cp", "adnca", "adppk"])
def test_a_table_and_its_transport_file_are_one_cohort(tmp_path, text):
    frame = table(text)
    direct, file = ck.read(frame), ck.read(written(frame, tmp_path / "data.xpt"))
    for name in ("time", "value", "censored", "lloq", "nominal_time", "row", "mask", "dose", "infusion_duration"):
        np.testing.assert_array_equal(getattr(direct, name), getattr(file, name))
    for name in ("subject", "analyte", "occasion", "specimen", "group", "value_unit", "time_unit"):
        assert getattr(direct, name) == getattr(file, name)
    assert [str(fault) for fault in direct.faults] == [str(fault) for fault in file.faults]
    assert file.source.dialect == direct.source.dialect


def test_zero_in_a_transport_file_is_zero(tmp_path):
    plain = pd.DataFrame({"SUBJECT": ["A", "A"], "TIME": [0.0, 7.0], "VALUE": [0.0, 900.5]})
    first = ck.read(written(plain, tmp_path / "data.xpt")).profile(0)
    assert first.time.tolist() == [0.0, 7.0]
    assert first.value.tolist() == [0.0, 900.5]
    assert first.censored.tolist() == [1, 0]


def test_the_bytes_tell_a_transport_file_whatever_its_name(tmp_path):
    plain = pd.DataFrame({"SUBJECT": ["A"], "TIME": [0.0], "VALUE": [1.0]})
    assert len(ck.read(written(plain, tmp_path / "data.csv"))) == 1


def test_a_damaged_transport_file_is_told(tmp_path):
    path = written(pd.DataFrame({"SUBJECT": ["A"], "TIME": [0.0], "VALUE": [1.0]}), tmp_path / "data.xpt")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ck.DataError, match="the transport file is damaged"):
        ck.read(path)


def test_other_files_of_sas_are_told_by_what_to_do(tmp_path):
    path = tmp_path / "data.xpt"
    written(pd.DataFrame({"SUBJECT": ["A"], "TIME": [0.0], "VALUE": [1.0]}), path, file_format_version=8)
    with pytest.raises(ck.DataError, match="not of version 5; save it as XPT version 5 or as CSV"):
        ck.read(path)
    path.write_bytes(SAS7BDAT + bytes(1000))
    with pytest.raises(ck.DataError, match=r"sas7bdat.*save it as a transport file"):
        ck.read(path)
