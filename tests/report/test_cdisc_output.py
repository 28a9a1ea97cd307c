"""PP and ADPP of an analysis: what stands in them, that both formats agree, and that they repeat."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cellkinetics as ck
from cellkinetics.errors import OutputError
from cellkinetics.nca.column import Key
from cellkinetics.nca.parameters import BY_CODE, PARAMETERS
from cellkinetics.report.cdisc.codes import CONCEPTS, criteria, own_codes, paramcds
from cellkinetics.report.cdisc.dataset import NAME
from cellkinetics.report.cdisc.files import CDISC_FILES
from cellkinetics.report.cdisc.terms import CDISC_METHODS, PPTEST, iso_duration, pptest
from cellkinetics.report.cdisc.writing import cdisc_files

# P01: a full profile on two analytes; P02: no sample is quantifiable; P03: two samples at one time.
ROWS = [
    ("P01", "qPCR", "DL1", *pair)
    for pair in [(0, "<50"), (3, "200"), (7, "9000"), (10, "16000"), (14, "8000"), (21, "2000"), (28, "600")]
]
ROWS += [
    ("P01", "FLOW", "DL1", time, value) for time, value in [(0, "0"), (7, "40"), (10, "80"), (14, "30"), (28, "2")]
]
ROWS += [("P02", "qPCR", "DL2", time, "BLQ") for time in (0, 7, 14, 28)]
ROWS += [("P03", "qPCR", "DL2", time, "100") for time in (0, 7, 7, 14)]


@pytest.fixture(scope="module")
def result() -> ck.NCAResult:
    table = pd.DataFrame(ROWS, columns=["subject", "analyte", "group", "time", "value"])
    table["unit"] = np.where(table["analyte"] == "FLOW", "cells/µL", "copies/µg")
    table["lloq"] = 50.0
    return ck.noncompartmental(ck.read(table), parameters="all", windows=[(0, 28), (0, 84), (28, 84)])


@pytest.fixture(scope="module")
def files(result: ck.NCAResult) -> dict[str, bytes]:
    return cdisc_files(result, study="CK-001")


@pytest.fixture(scope="module")
def pp(files: dict[str, bytes]) -> pd.DataFrame:
    return csv(files["pp.csv"])


@pytest.fixture(scope="module")
def adpp(files: dict[str, bytes]) -> pd.DataFrame:
    return csv(files["adpp.csv"])


def csv(data: bytes) -> pd.DataFrame:
    """Read texts as they stand, and numbers to the last digit."""
    table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    for name in {"PPSEQ", "PPSTRESN", "AVAL", "PARAMN", "length"} & set(table.columns):
        table[name] = [float(value or "nan") for value in table[name]]
    return table


def test_every_value_of_the_analysis_stands_in_both_data_sets(
    result: ck.NCAResult, pp: pd.DataFrame, adpp: pd.DataFrame
) -> None:
    for table, name in ((pp, "PPSTRESN"), (adpp, "AVAL")):
        np.testing.assert_array_equal(table[name], result.table["value"])
        assert table["USUBJID"].tolist() == result.table["subject"].tolist()
        assert table["PPTESTCD"].tolist() == result.table["parameter"].tolist()
    done = pp["PPSTRESN"].notna()
    assert pp.loc[done, "PPSTRESC"].astype(float).tolist() == pp.loc[done, "PPSTRESN"].tolist()
    assert (pp["PPORRES"] == pp["PPSTRESC"]).all()


@pytest.mark.parametrize("name", ["pp", "adpp"])
def test_both_readers_give_back_names_labels_and_values(files: dict[str, bytes], tmp_path: Path, name: str) -> None:
    expected = csv(files[f"{name}.csv"])
    described = csv(files["cdisc_metadata.csv"]).query("dataset == @name.upper()")
    path = tmp_path / f"{name}.xpt"
    path.write_bytes(files[f"{name}.xpt"])
    frame, meta = pyreadstat.read_xport(str(path))
    assert meta.table_name == name.upper()
    assert meta.column_names == list(expected.columns) == described["variable"].tolist()
    assert meta.column_labels == described["label"].tolist()
    assert list(meta.variable_storage_width.values()) == described["length"].tolist()
    kinds = [{"string": "Char", "double": "Num"}[kind] for kind in meta.readstat_variable_types.values()]
    assert kinds == described["type"].tolist()
    by_pandas = pd.read_sas(path, format="xport", encoding="ascii")
    assert list(by_pandas.columns) == list(expected.columns)
    for column, kind in zip(expected.columns, kinds, strict=True):
        for found in (frame, by_pandas):
            if kind == "Char":
                assert found[column].fillna("").tolist() == expected[column].tolist()
            else:  # pandas reads a zero as 5.4e-79
                np.testing.assert_allclose(found[column], expected[column], rtol=1e-14, atol=1e-78)


def test_what_is_not_calculated_says_so_and_why(pp: pd.DataFrame, adpp: pd.DataFrame) -> None:
    missing = pp["PPSTRESN"].isna()
    assert missing.any()
    assert (pp.loc[missing, "PPSTAT"] == "NOT DONE").all()
    assert (pp.loc[missing, "PPREASND"] != "").all()
    assert (pp.loc[missing, ["PPORRES", "PPSTRESC"]] == "").all(axis=None)
    assert (pp.loc[~missing, ["PPSTAT", "PPREASND"]] == "").all(axis=None)
    cmax = pp.query("USUBJID == 'P02' and PPTESTCD == 'CMAX'").iloc[0]
    assert cmax["PPREASND"] == "no sample is quantifiable"
    assert (pp.loc[pp["USUBJID"] == "P03", "PPSTAT"] == "NOT DONE").all()
    assert (adpp.loc[missing, "AVALC"] == "NC").all()
    assert (adpp["PPSUMFL"] == np.where(missing, "N", "Y")).all()
    assert (adpp["PPSUMRSN"] == pp["PPREASND"]).all()


def test_a_window_is_two_durations(pp: pd.DataFrame, adpp: pd.DataFrame) -> None:
    windows = pp.query("USUBJID == 'P01' and PPCAT == 'qPCR' and PPTESTCD == 'AUCINT'")
    assert windows[["PPSTINT", "PPENINT"]].to_numpy().tolist() == [["P0D", "P28D"], ["P0D", "P84D"], ["P28D", "P84D"]]
    assert (pp.loc[pp["PPTESTCD"] == "CMAX", ["PPSTINT", "PPENINT"]] == "").all(axis=None)
    same = adpp.loc[windows.index]
    assert same["PARAMCD"].tolist() == ["AUC28", "AUC84", "AUC28_84"]
    assert same["PARAM"].tolist() == ["AUC from 0 to 28 day", "AUC from 0 to 84 day", "AUC from 28 to 84 day"]


def test_units_are_those_of_cdisc(pp: pd.DataFrame) -> None:
    first = pp.drop_duplicates(["PPCAT", "PPTESTCD"]).set_index(["PPCAT", "PPTESTCD"])["PPSTRESU"]
    assert first["qPCR", "CMAX"] == "copies/ug"
    assert first["FLOW", "AUCLST"] == "day*cells/uL"
    assert first["qPCR", "TMAX"] == "day"
    assert first["qPCR", "LAMZ"] == "/day"
    assert first["qPCR", "AUCPEO"] == "%"
    assert first["qPCR", "AUCLSTD"].startswith("day*copies/ug/")
    assert (pp["PPORRESU"] == pp["PPSTRESU"]).all()


def test_rows_of_a_subject_are_numbered_through_and_profiles_kept_apart(pp: pd.DataFrame) -> None:
    for _, rows in pp.groupby("USUBJID"):
        assert rows["PPSEQ"].tolist() == list(range(1, len(rows) + 1))
    profiles = pp.drop_duplicates(["USUBJID", "PPCAT"])[["USUBJID", "PPCAT", "PPGRPID"]].to_numpy().tolist()
    assert profiles == [
        ["P01", "qPCR", "PROFILE 1"],
        ["P01", "FLOW", "PROFILE 2"],
        ["P02", "qPCR", "PROFILE 1"],
        ["P03", "qPCR", "PROFILE 1"],
    ]


def test_a_code_and_its_name_belong_together(pp: pd.DataFrame, adpp: pd.DataFrame) -> None:
    for table, code, names in (
        (pp, "PPTESTCD", ["PPTEST"]),
        (adpp, "PARAMCD", ["PARAM", "PARAMN", "PPTESTCD", "PPSTINT", "PPENINT"]),
        (adpp, "PARAM", ["PARAMCD"]),
    ):
        assert len(table[[code, *names]].drop_duplicates()) == table[code].nunique()
    # one value for a subject, analyte and parameter
    assert not adpp.duplicated(["USUBJID", "PARCAT1", "AVISIT", "PARAMCD"]).any()


def test_every_code_is_cdisc_or_stands_in_the_codelist(
    files: dict[str, bytes], pp: pd.DataFrame, adpp: pd.DataFrame
) -> None:
    own = csv(files["codelist.csv"])
    for table, variable in ((pp, "PPTESTCD"), (adpp, "PPTESTCD"), (adpp, "PARAMCD")):
        listed = set(own.loc[own["codelist"] == variable, "code"])
        for code in table[variable].unique():
            assert NAME.fullmatch(code)
            assert (code in BY_CODE and BY_CODE[code].cdisc) != (code in listed), code
    methods = set(own.loc[own["codelist"] == "PPANMETH", "code"])
    assert (set(pp["PPANMETH"]) - {""}) - CDISC_METHODS == methods

    assert own["label"].str.len().between(1, 40).all()
    assert (own["definition"] != "").all()
    assert not own.duplicated(["codelist", "code"]).any()


def test_every_code_that_is_said_to_be_cdiscs_has_its_concept() -> None:
    assert set(CONCEPTS) == {code for code, parameter in BY_CODE.items() if parameter.cdisc}
    assert len(set(CONCEPTS.values())) == len(CONCEPTS)
    assert all(re.fullmatch(r"C[0-9]+", concept) for concept in CONCEPTS.values())


@pytest.mark.parametrize(("method", "own"), [("log", ["LOG TRAPEZOIDAL METHOD"]), ("linear-up-log-down", [])])
def test_a_method_that_cdisc_does_not_have_stands_in_the_codelist(method: str, own: list[str]) -> None:
    cohort = ck.Cohort.from_arrays([[0.0, 7.0, 14.0]], [[0.0, 900.0, 400.0]])
    codes = own_codes(ck.noncompartmental(cohort, options=ck.NCAOptions(auc_method=method)))
    assert codes.loc[codes["codelist"] == "PPANMETH", "code"].tolist() == own


@pytest.mark.parametrize("route", ["bolus", "infusion", "extravascular"])
def test_a_drug_given_again_has_valid_codes_too(route: str) -> None:
    times = [[0.0, 1.0, 2.0, 4.0, 8.0]] * 2
    cohort = ck.Cohort.from_arrays(
        times, [[8.0, 4.0, 2.0, 1.0, 0.5]] * 2, subject=["A", "A"], tau=[8.0] * 2, dose=[1.0] * 2
    )
    options = ck.NCAOptions(route=route, windows="0-8", infusion_duration=1.0)
    result = ck.noncompartmental(replace(cohort, occasion=("1", "2")), options=options, parameters="all")
    files = cdisc_files(result)
    own = csv(files["codelist.csv"])
    codes = set(csv(files["pp.csv"])["PPTESTCD"])
    assert {"AUCTAU", "ARAUC", "FLUCPTAU"} <= codes
    assert {code for code in codes if code not in CONCEPTS} == set(own.loc[own["codelist"] == "PPTESTCD", "code"])


def test_a_missed_threshold_is_a_criterion_and_the_value_stays(result: ck.NCAResult, adpp: pd.DataFrame) -> None:
    status = result.table["status"]
    assert (status == "flagged").any()
    flags = adpp[[f"{name}FL" for name in criteria()]]
    texts = adpp[list(criteria())]
    assert ((flags == "Y").any(axis=1) == (status == "flagged")).all()
    assert ((flags.to_numpy() == "Y") == (texts.to_numpy() != "")).all()
    assert adpp.loc[status == "flagged", "AVAL"].notna().all()
    marked = adpp[adpp["CRIT3FL"] == "Y"]
    assert (marked["CRIT3"] == "more than 20.0 % of the area is extrapolated").all()
    assert result.table.loc[marked.index, "reason_code"].str.contains("extrapolated_high").all()


def test_treatment_analyte_and_study_are_where_they_belong(pp: pd.DataFrame, adpp: pd.DataFrame) -> None:
    assert set(pp["STUDYID"]) == set(adpp["STUDYID"]) == {"CK-001"}
    assert set(pp["DOMAIN"]) == {"PP"}
    assert adpp.groupby("USUBJID")["TRT01A"].unique().map(list).to_dict() == {
        "P01": ["DL1"],
        "P02": ["DL2"],
        "P03": ["DL2"],
    }
    assert (adpp["PARCAT1"] == pp["PPCAT"]).all()
    assert set(pp["PPSPEC"]) == {"BLOOD"}


def test_columns_of_the_input_give_study_specimen_and_reference_date() -> None:
    table = pd.DataFrame(ROWS[:7], columns=["subject", "analyte", "group", "time", "value"]).assign(
        STUDYID="S-9", PCSPEC="BONE MARROW", PCRFTDTC="2026-03-01T10:00", occasion="2"
    )
    result = ck.noncompartmental(ck.read(table), parameters="CMAX")
    row = csv(cdisc_files(result)["pp.csv"]).iloc[0]
    assert row[["STUDYID", "PPSPEC", "PPRFTDTC", "PPTPTREF"]].tolist() == [
        "S-9",
        "BONE MARROW",
        "2026-03-01T10:00",
        "INFUSION 2",
    ]
    assert csv(cdisc_files(result, study="S-1")["adpp.csv"]).loc[0, "STUDYID"] == "S-1"


def test_two_runs_give_the_same_bytes(result: ck.NCAResult, files: dict[str, bytes]) -> None:
    again = ck.noncompartmental(result.cohort, parameters="all", windows=[(0, 28), (0, 84), (28, 84)])
    assert cdisc_files(again, study="CK-001") == files


def test_a_subject_that_xpt_cannot_hold_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    cohort = ck.Cohort.from_arrays([[0, 7, 14]] * 2, [[0, 900, 400]] * 2, subject=["P01", "Pé2"])
    result = ck.noncompartmental(cohort, parameters="CMAX,TMAX")
    with pytest.raises(ck.CellKineticsError, match=r"pp\.csv, line 4, variable USUBJID: 'Pé2' holds 'é'"):
        ck.write_cdisc(result, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cohort_without_profiles_gives_data_sets_without_rows(result: ck.NCAResult) -> None:
    files = cdisc_files(ck.noncompartmental(result.cohort.take([])))
    assert [files[name].count(b"\n") for name in ("pp.csv", "adpp.csv")] == [1, 1]


def test_files_that_are_there_are_replaced_only_with_force(result: ck.NCAResult, tmp_path: Path) -> None:
    written = ck.write_cdisc(result, tmp_path, study="A")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CDISC_FILES) == sorted(written)
    with pytest.raises(ck.CellKineticsError, match=r"pp\.csv"):
        ck.write_cdisc(result, tmp_path, study="B")
    before = written["pp.xpt"].read_bytes()
    ck.write_cdisc(result, tmp_path, study="B", force=True)
    assert written["pp.xpt"].read_bytes() != before


def test_windows_in_a_unit_without_durations_are_refused() -> None:
    table = pd.DataFrame({"subject": "P01", "time": [0.0, 1.0, 2.0], "value": [0.0, 9.0, 4.0]})
    cohort = ck.read(table, time_unit="cycle")
    with pytest.raises(ck.CellKineticsError, match="--time-unit"):
        cdisc_files(ck.noncompartmental(cohort, parameters="AUCINT", windows=[(0, 2)]))
    assert cdisc_files(ck.noncompartmental(cohort, parameters="CMAX"))


@pytest.mark.parametrize(
    ("time", "unit", "text"),
    [(0, "day", "P0D"), (28.5, "days", "P28.5D"), (6, "h", "PT6H"), (1e-7, "min", "PT0.0000001M"), (-1, "d", "-P1D")],
)
def test_a_duration_has_no_exponent(time: float, unit: str, text: str) -> None:
    assert iso_duration(time, unit) == text


def test_codes_of_many_and_awkward_windows_are_valid_and_apart() -> None:
    windows = [(0.0, end) for end in (0.5, 28.0, 1000.0, 100000.0, 28.25)] + [(1000.0, 2000.0), (28.0, 84.0)]
    cohort = ck.Cohort.from_arrays([[0, 7, 14]], [[0, 900, 400]])
    result = ck.noncompartmental(cohort, parameters="AUCINT,AUCINTPE", windows=windows)
    codes = paramcds(result)
    names = [code.paramcd for code in codes.values()]
    assert len(set(names)) == len(names) == 14
    assert all(NAME.fullmatch(name) for name in names)
    assert set(names).isdisjoint(BY_CODE)
    assert codes[Key("AUCINT", 28.0, 84.0)].paramcd == "AUC28_84"
    assert codes[Key("AUCINT", 0.0, 28.25)].paramcd == "AUCW5"
    assert own_codes(result)["label"].str.len().max() <= 40


@settings(deadline=None, max_examples=40)
@given(
    times=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from([1, 10, 7, 1000])),
        min_size=1,
        max_size=6,
    ),
    subject=st.text(min_size=1, max_size=210),
    analyte=st.text(max_size=210),
    group=st.text(max_size=210),
)
def test_whatever_is_asked_for_what_is_written_is_valid(
    times: list[tuple[int, int, int]], subject: str, analyte: str, group: str
) -> None:
    table = pd.DataFrame({"subject": subject, "analyte": analyte, "group": group, "time": [0.0, 7, 14, 28]})
    try:
        cohort = ck.read(table.assign(value=[0.0, 900, 400, 30]))
    except ck.DataError:  # a subject of blanks
        return
    windows = [(start / unit, (start + length) / unit) for start, length, unit in times]
    result = ck.noncompartmental(cohort, parameters="CMAX,AUCINT,AUCINTPE,WCOVER", windows=windows)
    names = [code.paramcd for code in paramcds(result).values()]
    assert len(set(names)) == len(names)
    assert all(NAME.fullmatch(name) for name in names)
    own = own_codes(result)
    assert own["label"].str.len().between(1, 40).all()
    assert set(names) <= {*own.loc[own["codelist"] == "PARAMCD", "code"], "CMAX"}
    try:
        files = cdisc_files(result)
    except OutputError as error:
        texts = [*cohort.subject, *cohort.analyte, *cohort.group]
        assert any(not text.isascii() or not text.isprintable() or len(text) > 200 for text in texts)
        assert "csv, line 2" in str(error)  # noqa: PT017 (either outcome is right, for its own texts)
        return
    for name in ("pp.csv", "adpp.csv"):
        content = files[name].decode("ascii")
        assert all(NAME.fullmatch(variable) for variable in content.split("\n")[0].split(","))
        texts = csv(files[name]).astype(str)
        assert max(texts[column].str.len().max() for column in texts) <= 200


def test_a_day_and_a_part_of_a_window_have_codes_that_say_when() -> None:
    cohort = ck.Cohort.from_arrays([[0, 7, 14]], [[0, 900, 400]])
    codes = paramcds(ck.noncompartmental(cohort, parameters="CDAY,CDAYCMAX,WCOVER", windows=[(0, 168)]))
    assert [tuple(code) for code in codes.values()] == [
        ("CDAY28", "Conc at day 28"),
        ("CDCM28", "Conc at day 28 / CMAX"),
        ("WCOV168", "Observed Part from 0 to 168 day"),
    ]


def test_names_of_the_terminology_are_short_enough_and_only_for_its_codes() -> None:
    assert all(BY_CODE[code].cdisc for code in PPTEST)
    for parameter in PARAMETERS:
        assert 0 < len(pptest(parameter.code)) <= 40
        assert pptest(parameter.code).isascii()
        if parameter.cdisc:
            assert "Quantifiable" not in pptest(parameter.code)
