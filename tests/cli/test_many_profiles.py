"""Several analytes, infusions and specimens of a subject: from the table that is read to every file."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from cellkinetics.errors import FitError

KEY = ["subject", "analyte", "occasion", "specimen"]
SUBJECTS, ANALYTES = ("S1-01", "S1-02"), ("CARTRANS", "CARCELL")
INFUSIONS, SPECIMENS = ("INFUSION 1", "INFUSION 2"), ("BLOOD", "BONE MARROW")
PROFILES = list(product(SUBJECTS, ANALYTES, INFUSIONS, SPECIMENS))
CMAX = {profile: 1000.0 * (k + 1) for k, profile in enumerate(PROFILES)}
SHARES = {0: 0.0, 7: 1.0, 14: 0.5, 21: 0.25, 28: 0.125}  # of Cmax, by day: from day 7 halved every week
UNITS = {"CARTRANS": "copies/ug", "CARCELL": "cells/uL"}
START = {"INFUSION 1": "2026-03-01T10:00", "INFUSION 2": "2026-06-01T10:00"}


def pc() -> pd.DataFrame:
    """Return SDTM PC with sixteen profiles, rows in order of time so that profiles interleave."""
    rows = []
    for day, share in SHARES.items():
        for profile in PROFILES:
            subject, analyte, infusion, specimen = profile
            value = CMAX[profile] * share
            rows.append(
                {
                    "STUDYID": "S1",
                    "USUBJID": subject,
                    "PCTESTCD": analyte,
                    "PCSPEC": specimen,
                    "PCSTRESC": repr(value) if value else "BLQ",
                    "PCSTRESN": value or None,
                    "PCSTRESU": UNITS[analyte],
                    "PCLLOQ": 10.0,
                    "PCDTC": (pd.Timestamp(START[infusion]) + pd.Timedelta(days=day)).isoformat(),
                    "PCRFTDTC": START[infusion],
                    "PCTPTREF": infusion,
                    "ARM": "DL1" if subject == "S1-01" else "DL2",
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    pc().to_csv(tmp_path / "pc.csv", index=False)
    return tmp_path / "pc.csv"


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the results; no test changes its tables."""
    from typer.testing import CliRunner

    from cellkinetics.cli.app import app

    folder = tmp_path_factory.mktemp("many")
    pc().to_csv(folder / "pc.csv", index=False)
    options = ["--cdisc", "--by", "group,occasion", "--windows", "0-28", "--out", str(folder / "results")]
    done = CliRunner().invoke(app, ["nca", str(folder / "pc.csv"), *options])
    assert done.exit_code == 0, done.output
    return folder / "results"


def test_every_profile_has_its_own_values(analysed: Path) -> None:
    nca = pd.read_csv(analysed / "nca.csv")
    cmax = nca[nca["parameter"] == "CMAX"]
    assert {tuple(row) for row in cmax[[*KEY, "value"]].itertuples(index=False)} == {(*k, v) for k, v in CMAX.items()}
    assert set(zip(cmax["analyte"], cmax["unit"], strict=True)) == set(UNITS.items())
    wide = pd.read_csv(analysed / "nca_wide.csv")
    assert [tuple(row) for row in wide[KEY].itertuples(index=False)] == PROFILES
    assert wide["CMAX"].tolist() == [CMAX[profile] for profile in PROFILES]
    assert wide["TMAX"].tolist() == [7.0] * 16
    # days 0-7: a triangle; then weeks of an exponential that halves: 7 (c0 - c1) / ln 2
    expected = [CMAX[profile] * (3.5 + 7 * (1 - 0.125) / 0.6931471805599453) for profile in PROFILES]
    assert wide["AUCINT_0_28"].tolist() == pytest.approx(expected, rel=1e-12)
    assert wide["LAMZHL"].tolist() == pytest.approx([7.0] * 16, rel=1e-12)


def test_samples_and_points_name_their_profile(analysed: Path) -> None:
    samples = pd.read_csv(analysed / "samples.csv")
    assert samples.groupby(KEY, sort=False).size().tolist() == [5] * 16
    points = pd.read_csv(analysed / "nca_points.csv")
    line = points[points["role"] == "lambda_z"]
    assert line.groupby(KEY, sort=False).size().tolist() == [3] * 16


def test_summaries_never_mix_analytes_or_specimens(analysed: Path) -> None:
    summary = pd.read_csv(analysed / "nca_summary.csv")
    assert list(summary.columns[:4]) == ["analyte", "specimen", "group", "occasion"]
    cmax = summary[summary["parameter"] == "CMAX"]
    assert len(cmax) == 16
    assert cmax["n"].tolist() == [1] * 16
    found = {(row.analyte, row.occasion, row.specimen, row.group): row.mean for row in cmax.itertuples()}
    for (subject, *place), value in CMAX.items():
        assert found[*place, "DL1" if subject == "S1-01" else "DL2"] == value


def test_pp_names_analyte_specimen_and_infusion_of_every_row(analysed: Path) -> None:
    pytest.importorskip("pyreadstat")
    for name, read in (("pp.csv", pd.read_csv), ("pp.xpt", lambda p: pd.read_sas(p, format="xport", encoding="ascii"))):
        pp = read(analysed / name)
        cmax = pp[pp["PPTESTCD"] == "CMAX"]
        key = ["USUBJID", "PPCAT", "PPTPTREF", "PPSPEC"]
        assert {tuple(row) for row in cmax[[*key, "PPSTRESN"]].itertuples(index=False)} == {
            (*k, v) for k, v in CMAX.items()
        }
        assert not pp.duplicated(["USUBJID", "PPSEQ"]).any()
        assert pp.groupby("USUBJID")["PPGRPID"].nunique().tolist() == [8, 8]
        assert set(zip(pp["PPTPTREF"], pp["PPRFTDTC"], strict=True)) == set(START.items())
        assert set(pp["STUDYID"]) == {"S1"}


def test_the_manifest_knows_series_and_units(analysed: Path) -> None:
    cohort = json.loads((analysed / "manifest.json").read_text())["cohort"]
    assert cohort["profiles"] == 16
    assert cohort["specimens"] == list(SPECIMENS)
    assert cohort["value_unit"]["CARCELL, BONE MARROW"] == "cells/uL"


def test_the_report_keeps_series_apart(analysed: Path) -> None:
    from cellkinetics.report.page import file_names
    from cellkinetics.report.results import read_results
    from cellkinetics.report.sections.profiles import profiles_by_series

    found = profiles_by_series(read_results(analysed))
    assert list(found) == [f"{analyte}, {specimen}" for analyte, specimen in product(ANALYTES, SPECIMENS)]
    for name, profiles in found.items():
        assert profiles.keys == [profile for profile in PROFILES if f"{profile[1]}, {profile[3]}" == name]
        assert [len(profiles.samples_of(key)) for key in profiles.keys] == [5] * 4
        assert profiles.value_unit == {"CARTRANS": "copies/µg", "CARCELL": "cells/µL"}[name.split(",")[0]]
    assert file_names(list(found))[1] == "_cartrans__bone_marrow"


def test_slopes_by_hand_name_one_specimen(cli: Callable, trial: Path, tmp_path: Path) -> None:
    text = "subject,analyte,occasion,specimen,first,last\nS1-01,CARTRANS,INFUSION 1,BONE MARROW,7,28\n"
    (tmp_path / "slopes.csv").write_text(text)
    assert cli("nca", trial, "--slopes", "slopes.csv").code == 0
    points = pd.read_csv(tmp_path / "results" / "nca_wide.csv").set_index(KEY)["LAMZNPT"]
    assert points["S1-01", "CARTRANS", "INFUSION 1", "BONE MARROW"] == 4  # with the peak, as chosen by hand
    assert points["S1-01", "CARTRANS", "INFUSION 1", "BLOOD"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the data hold 2 analytes (CARTRANS, CARCELL), and a population fit takes one; name it with --analyte"),
        (["--analyte", "CARCELL"], "the data hold 2 specimens (BLOOD, BONE MARROW), and a population fit takes one"),
        (["--analyte", "CARCELL", "--specimen", "CSF"], "--specimen CSF: the data have BLOOD, BONE MARROW"),
    ],
)
def test_a_population_fit_asks_for_one_analyte_and_specimen(
    cli: Callable, trial: Path, options: list[str], message: str
) -> None:
    done = cli("pool", trial, *options)
    assert done.code == 2
    assert message in done.err


def test_a_population_fit_from_python_refuses_two_specimens() -> None:
    import cellkinetics as ck

    cohort = ck.read(pc()).select(analyte="CARTRANS")
    with pytest.raises(FitError, match=r"takes one specimen, the cohort has BLOOD, BONE MARROW; .*--specimen"):
        ck.pool(cohort)


def test_fits_per_patient_are_told_apart_by_specimen() -> None:
    import cellkinetics as ck

    cohort = ck.read(pc()).select(analyte="CARTRANS").take([0, 1])
    fits = ck.fit(cohort)
    assert fits.table["specimen"].unique().tolist() == list(SPECIMENS)
    assert list(fits.curves.columns[:4]) == KEY
    assert fits["S1-01", "CARTRANS", "INFUSION 1", "BONE MARROW"].specimen == "BONE MARROW"
    with pytest.raises(FitError, match="S1-01 has 2 profiles"):
        fits["S1-01"]


def test_read_in_pieces_the_files_are_those_of_the_whole(cli: Callable, trial: Path, tmp_path: Path) -> None:
    assert cli("nca", trial, "--out", "whole").code == 0
    assert cli("nca", trial, "--out", "pieces", "--piece-rows", "20").code == 0
    for name in ("samples.csv", "check.csv", "nca.csv", "nca_wide.csv", "nca_summary.csv", "nca_points.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "pieces" / name).read_bytes(), name
    assert json.loads((tmp_path / "pieces" / "manifest.json").read_text())["input"]["dialect"] == "sdtm-pc"
