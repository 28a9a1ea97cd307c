"""The data set that is exported obeys NONMEM's rules and reads back as the samples that a fit takes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.interchange.dataset import data_set
from cellkinetics.fitting.interchange.estimates import read_estimates
from cellkinetics.fitting.interchange.export import export, export_problem
from cellkinetics.fitting.pooled.population import PopulationModel
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.published import library
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import get_residual

START = dict(library["stein2019"].typical)


@pytest.fixture(scope="module")
def simulated() -> Cohort:
    trial = library["stein2019"].simulate(6, [1, 3, 7, 9.5, 14, 28, 84, 365], lloq=50, seed=3)
    return read(trial.samples)


@pytest.mark.parametrize("program", ["nonmem", "nlmixr2"])
def test_data_read_back_give_the_same_samples(simulated: Cohort, tmp_path: Path, program: str) -> None:
    folder = export(simulated, program, start=START).write(tmp_path / "run")  # type: ignore[arg-type]
    again = read(folder / "data.csv")
    assert not [fault for fault in again.faults if fault.effect != "note"]
    names = dict(line.split(",") for line in (folder / "subjects.csv").read_text().splitlines())
    assert [names[name].strip('"') for name in again.subject] == list(simulated.subject)
    for name in ("time", "value", "censored", "lloq", "mask"):
        ours, theirs = getattr(simulated, name), getattr(again, name)
        if name == "value":  # of a sample below quantification it is the limit
            ours = np.where(simulated.censored == 1, simulated.lloq, ours)
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_every_kind_of_censoring_survives(tmp_path: Path) -> None:
    cohort = Cohort.from_arrays(
        [[0.0, 1.0, 3.0, 9.0, 9.5, 28.0]] * 3,
        [[0.0, 0.0, 20.0, 1e5, 4e3, 700.0]] * 3,
        censored=[[1, 1, 1, -1, 0, 0]] * 3,
        lloq=50.0,
        lower=[[np.nan, np.nan, 10.0, np.nan, np.nan, np.nan]] * 3,
        subject=["11", "7", "300"],
    )
    cohort = replace(cohort, uloq=np.where(cohort.censored == -1, 1e5, np.nan))
    again = read(export(cohort, "nonmem", start=START).write(tmp_path) / "data.csv")
    assert again.subject == ("11", "7", "300")
    assert not (tmp_path / "subjects.csv").exists()
    # The sample at infusion enters no fit.
    np.testing.assert_array_equal(again.time[0], [1.0, 3.0, 9.0, 9.5, 28.0])
    np.testing.assert_array_equal(again.censored[0], [1, 1, -1, 0, 0])
    np.testing.assert_array_equal(again.lower[0], [np.nan, 10.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(again.value[0], [50.0, 50.0, 1e5, 4e3, 700.0])
    np.testing.assert_array_equal(again.uloq[0], [np.nan, np.nan, 1e5, np.nan, np.nan])
    assert "left out: 1 taken at or before infusion" in (tmp_path / "README.txt").read_text()


def test_data_obey_the_rules_of_nonmem(simulated: Cohort) -> None:
    files = export(simulated, "nonmem", start=START).files
    header, *rows = files["data.csv"].splitlines()
    assert header[0].isalpha()  # what IGNORE=@ passes over
    cells = [row.split(",") for row in rows]
    assert all(cell == "." or np.isfinite(float(cell)) for row in cells for cell in row)
    assert all(len(cell) <= 24 and " " not in cell for row in cells for cell in row)
    identifiers, time = np.array([row[0] for row in cells], float), np.array([row[1] for row in cells], float)
    for number in np.unique(identifiers):
        own = np.flatnonzero(identifiers == number)
        assert (np.diff(own) == 1).all()  # a patient's records stand together
        assert (np.diff(time[own]) >= 0).all()
    assert {row[header.split(",").index("MDV")] for row in cells} == {"0"}


def test_samples_that_are_dropped_cannot_be_exported_as_censored(simulated: Cohort) -> None:
    problem = PooledProblem.from_cohort(simulated, get_model("ecp"), blq="drop")
    with pytest.raises(Exception, match="take blq m3"):
        data_set(problem, simulated)


def test_windows_begin_at_infusion_and_covariates_on_two_parameters_share_a_column() -> None:
    cohort = Cohort.from_arrays(
        [[1.0, 7.0, 14.0]] * 3, [[90.0, 900.0, 400.0]] * 3, group=["R", "NR", "R"], dose=[50.0, 100.0, 200.0]
    )
    windows = np.array([[[[-2.0, 3.0]]], [[[0.0, 0.0]]], [[[4.0, 1e6]]]])
    problem = PooledProblem.from_cohort(
        cohort,
        get_model("ecp+comedication=toci"),
        covariates=["cmax ~ group + power(dose, 100)", "tmax ~ group + power(dose, 50)"],
        given=windows,
    )
    data = data_set(problem, cohort)
    assert data.columns[-6:] == ("MDV", "GROUP_NR", "LN_DOSE", "LN_DOSE_2", "TOCI_ON1", "TOCI_OFF1")
    assert data.design == ("GROUP_NR", "LN_DOSE", "GROUP_NR", "LN_DOSE_2")
    np.testing.assert_allclose(data["LN_DOSE_2"][::3], np.log([1.0, 2.0, 4.0]))
    np.testing.assert_array_equal(data["TOCI_ON1"][::3], [0.0, 0.0, 4.0])
    np.testing.assert_array_equal(data["TOCI_OFF1"][::3], [3.0, 0.0, 1e6])


def test_population_of_a_fit_is_exported_with_its_structure_and_values(tmp_path: Path) -> None:
    cohort = Cohort.from_arrays(
        [[2.0, 9.0, 14.0, 28.0]] * 4, [[90.0, 9e3, 4e3, 300.0]] * 4, group=["R", "NR", "R", "R"], dose=[1.0, 2, 3, 4]
    )
    problem = PooledProblem.from_cohort(
        cohort,
        get_model("ecp+lag"),
        omega="cmax,foldx",
        covariates=["cmax ~ group", "tmax ~ power(dose, 2)"],
        fix={"omega_tlag": 0},
    )
    x = problem.pack({**START, "tlag": 2.0}, {}, [0.6])
    x[problem.structure.parts["beta"]] = [0.4, -0.2]
    x[problem.structure.parts["correlation"]] = 0.5
    population = PopulationModel(problem.form, x, problem.terms)
    wanted = export_problem(problem, cohort, x, "nonmem").files
    assert export(cohort, "nonmem", population=population).files == wanted
    record = {"population": population.to_dict(), "covariance": None, "uncertainty": "none", "parameters": []}
    record["parameters"] = [{"name": name, "unit": ""} for name in problem.model.names]
    (tmp_path / "population.json").write_text(json.dumps(record))
    assert export(cohort, "nonmem", population=tmp_path).files == wanted
    # The same file is a start, too.
    begin = problem.pack({**START, "tlag": 1.0}, {}, [0.3])
    np.testing.assert_allclose(read_estimates(tmp_path).apply(problem, begin), x, rtol=1e-9)
    with pytest.raises(SettingsError, match="a fit is exported as it is"):
        export(cohort, "nonmem", population=tmp_path, omega="full")
    fewer = cohort.take([0, 2, 3])
    with pytest.raises(SettingsError, match=r"group|differ"):
        export(fewer, "nonmem", population=tmp_path)


def test_zeros_of_a_residual_on_the_natural_scale_are_exported_without_a_logarithm() -> None:
    cohort = Cohort.from_arrays([[2.0, 9.0, 14.0, 28.0]] * 3, [[0.0, 9e3, 4e3, -3.0]] * 3, censored=[[0] * 4] * 3)
    problem = PooledProblem.from_cohort(cohort, get_model("ecp"), residual=get_residual("natural-combined"))
    data = data_set(problem, cohort)
    assert data["DV"][:4].tolist() == [0.0, 9e3, 4e3, -3.0]
    np.testing.assert_allclose(data["LNDV"][:4], [np.nan, np.log(9e3), np.log(4e3), np.nan])
    assert data.to_csv().splitlines()[1] == "1,2,0,.,0,0,0"


PARTS = ["omega_cmax", "omega_foldx", "corr_cmax_foldx"]


@pytest.mark.parametrize("program", ["nonmem", "nlmixr2"])
@pytest.mark.parametrize("held", [PARTS[:1], PARTS[:2], PARTS[2:]])
def test_a_block_of_which_a_part_is_fixed_is_refused_by_name(simulated: Cohort, program: str, held: list) -> None:
    fix = dict.fromkeys(held, 0.5)
    message = f"{', '.join(held)} is fixed and .* is not.* fix all of them"
    with pytest.raises(SettingsError, match=message):
        export(simulated, program, omega="cmax,foldx", fix=fix, start=START)  # type: ignore[arg-type]


def test_a_block_that_is_fixed_keeps_a_correlation_of_zero(simulated: Cohort) -> None:
    options = {"omega": "cmax,foldx", "fix": {**dict.fromkeys(PARTS, 0.5), "corr_cmax_foldx": 0.0}, "start": START}
    stream = export(simulated, "nonmem", **options).files["run1.ctl"]  # type: ignore[arg-type]
    assert "$OMEGA BLOCK(2) FIX\n  0.25 ; IIV_cmax\n  0 0.25 ; IIV_foldx\n" in stream
    script = export(simulated, "nlmixr2", **options).files["run1.R"]  # type: ignore[arg-type]
    assert "~ fix(0.25, 0, 0.25)" in script


def test_what_was_done_to_comedication_stands_beside_the_export() -> None:
    cohort = Cohort.from_arrays([[2.0, 9.0, 14.0, 28.0]] * 3, [[90.0, 9e3, 4e3, 300.0]] * 3, subject=["A", "B", "C"])
    table = pd.DataFrame({"subject": "B", "drug": "toci", "start": [4, 6], "end": [8, 9]})
    files = export(
        cohort, "nonmem", model="ecp+comedication=toci", comedication=table, start={**START, "f_toci": 1.2}
    ).files
    assert (
        "How the data entered:\n  intervals of comedication that overlap or touch were joined: B (toci)\n"
        in (files["README.txt"])
    )
