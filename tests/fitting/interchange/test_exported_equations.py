"""The equations that are exported, run by a reader of their own, are those of the model."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from exported_code import record, run_model, run_pred

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import ModelError, SettingsError
from cellkinetics.fitting.interchange.export import export, export_problem
from cellkinetics.fitting.interchange.layout import theta_labels, theta_values
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.base import Model, Parameter
from cellkinetics.models.registry import get_model
from cellkinetics.models.residual import Residual

TYPICAL = {
    "cmax": 2e4, "tmax": 9.0, "foldx": 900.0, "t0": 1.0, "delta": 0.8, "tlag": 3.0, "alpha": 0.16, "fb": 0.02,
    "beta": 0.004, "f_toci": 1.3, "f_ster": 0.8,
}  # fmt: skip
DAYS = [0.5, 1.0, 2.9, 3.1, 5.0, 8.9, 9.1, 14.0, 28.0, 200.0]
FAMILY = [
    "ecp",
    "ecp+lag",
    "ecp+distribution",
    "ecp+distribution+lag",
    "ecp-persistence",
    "ecp-contraction",
    "ecp-contraction-persistence",
    "ecp+comedication",
    "ecp+lag+comedication=toci",
    "ecp+smooth",
    "ecp+distribution+lag+comedication+smooth=0.1",
]


def problem_of(model: Model, residual: Residual | None = None, **options: object) -> tuple[PooledProblem, Cohort]:
    """Three patients with samples of every kind, the last of whom was given each drug twice."""
    values = [[90.0] * len(DAYS)] * 3
    flags = [[1, *[0] * (len(DAYS) - 1)], [0] * len(DAYS), [0, 1, -1, *[0] * (len(DAYS) - 3)]]
    cohort = Cohort.from_arrays(
        [DAYS] * 3,
        values,
        censored=flags,
        lloq=50.0,
        lower=[[np.nan] * len(DAYS)] * 2 + [[np.nan, 10.0, *[np.nan] * (len(DAYS) - 2)]],
    )
    uloq = np.where(cohort.censored == -1, 1e4, np.nan)
    cohort = replace(cohort, uloq=uloq)
    windows = None
    if model.inputs:
        windows = np.zeros((3, len(model.inputs), 2, 2))
        windows[2, 0] = [[2.0, 5.0], [7.0, 30.0]]
        windows[2, -1, 0] = [4.0, 8.0]
    given = {} if residual is None else {"residual": residual}
    return PooledProblem.from_cohort(cohort, model, given=windows, **given, **options), cohort  # type: ignore[arg-type]


def start_of(problem: PooledProblem) -> np.ndarray:
    typical = {name: TYPICAL[name] for name in problem.model.names}
    return problem.pack(typical, {}, [0.5, 0.2][: len(problem.residual.names)])


def rows_of(text: str) -> list[dict[str, float]]:
    header, *lines = text.splitlines()
    return [
        {
            name: 0.0 if cell == "." else float(cell)
            for name, cell in zip(header.split(","), line.split(","), strict=True)
        }
        for line in lines
    ]


@pytest.mark.parametrize("name", FAMILY)
def test_exported_curve_is_that_of_the_model_at_random_parameters(name: str) -> None:
    model = get_model(name)
    problem, cohort = problem_of(model)
    x = start_of(problem)
    stream = export_problem(problem, cohort, x, "nonmem").files
    script = export_problem(problem, cohort, x, "nlmixr2").files
    structure = problem.structure
    theta = list(theta_values(structure, structure.values(x)).values())
    rng = np.random.default_rng(7)
    given = None if problem.samples.given is None else np.asarray(problem.samples.given)
    rows = rows_of(stream["data.csv"])
    for patient in {row["ID"] for row in rows}:
        own = [row for row in rows if row["ID"] == patient]
        eta = rng.normal(0.0, 0.6, structure.n_random)
        phi = structure.values(x).mu.copy()
        phi[list(structure.random)] += eta
        with jax.enable_x64(True):
            natural = model.to_natural(jnp.asarray(phi))
            inputs = () if given is None else (jnp.asarray(given[int(patient) - 1]),)
            expected = np.asarray(model.log_curve(natural, jnp.asarray([row["TIME"] for row in own]), *inputs))
        values = {f"t{label}": value for label, value in zip(theta_labels(structure), theta, strict=True)}
        values |= {f"eta.{structure.parameters[k]}": e for k, e in zip(structure.random, eta, strict=True)}
        for row, value in zip(own, expected.tolist(), strict=True):
            found = run_pred(stream["run1.ctl"], theta, eta.tolist(), {**row, "DV": row["LNDV"]})
            assert found["LNC"] == pytest.approx(value, rel=1e-10, abs=1e-10)
            in_r = run_model(script["run1.R"], values, {**row, "t": row["TIME"]})
            assert in_r["lnc"] == pytest.approx(value, rel=1e-10, abs=1e-10)
        assert in_r["cmax"] == pytest.approx(float(natural[0]), rel=1e-12)


RESIDUALS = [
    Residual("constant", "log"),
    Residual("proportional", "natural"),
    Residual("combined", "natural"),
    Residual("combined-root", "natural"),
]


@pytest.mark.parametrize("residual", RESIDUALS, ids=lambda residual: residual.name)
def test_exported_likelihood_of_each_kind_of_sample_is_that_of_the_residual(residual: Residual) -> None:
    problem, cohort = problem_of(get_model("ecp"), residual)
    x = start_of(problem)
    files = export_problem(problem, cohort, x, "nonmem").files
    structure = problem.structure
    values = structure.values(x)
    theta = list(theta_values(structure, values).values())
    kinds = set()
    for row in rows_of(files["data.csv"]):
        log = residual.scale == "log"
        seen = {**row, "DV": row["LNDV"] if log else row["DV"]}
        found = run_pred(files["run1.ctl"], theta, [0.0] * structure.n_random, seen)
        lower = np.inf if row["LIMIT"] == 0 else np.log(row["LIMIT"]) if log else row["LIMIT"]
        with jax.enable_x64(True):
            nll = float(
                residual.nll(
                    jnp.asarray(seen["DV"]),
                    jnp.asarray(found["IPRED"]),
                    jnp.asarray(int(row["CENS"])),
                    jnp.asarray(values.sigma),
                    jnp.asarray(-lower if np.isinf(lower) else lower),
                )
            )
        if row["CENS"] == 0:
            assert found["F_FLAG"] == 0
            ours = (
                np.log(found["W"]) + 0.5 * np.log(2 * np.pi) + 0.5 * ((seen["DV"] - found["IPRED"]) / found["W"]) ** 2
            )
        else:
            assert found["F_FLAG"] == 1
            ours = -np.log(found["Y"])
        # The floor keeps a likelihood that is none from being zero.
        assert ours == pytest.approx(min(nll, 30 * np.log(10.0)), rel=1e-6)
        kinds.add((row["CENS"], row["LIMIT"] > 0))
    assert kinds == {(0.0, False), (1.0, False), (1.0, True), (-1.0, False)}


def test_mu_referencing_has_one_mu_an_eta_and_a_data_item_stands_once() -> None:
    problem, cohort = problem_of(get_model("ecp"), fix={"omega_beta": 0, "foldx": 900.0}, omega="cmax,alpha")
    stream = export_problem(problem, cohort, start_of(problem), "nonmem").files["run1.ctl"]
    pred = record(stream, "$PRED")
    assert [line for line in pred if line.startswith("MU_")] == [
        "MU_1 = THETA(1)",
        "MU_2 = THETA(4)",
        "MU_3 = THETA(2)",
        "MU_4 = THETA(3)",
        "MU_5 = THETA(5)",
    ]
    assert "ALPHA = EXP(MU_2 + ETA(2))" in pred
    assert "BETA = EXP(THETA(6))" in pred
    assert any(line.startswith("(6.8023948 FIX)") for line in record(stream, "$THETA"))
    # NONMEM would keep a covariance of 0.
    assert "$OMEGA BLOCK(2)\n  0.25 ; IIV_cmax\n  0.0025 0.25 ; IIV_alpha\n" in stream
    items = " ".join(record(stream, "$INPUT")).split()
    assert items == ["ID", "TIME", "VALUE=DROP", "DV", "CENS", "LIMIT", "LLOQ=DROP", "ULOQ=DROP", "EVID=DROP", "MDV"]


def test_lines_are_short_enough_for_nm_tran_and_names_too() -> None:
    problem, cohort = problem_of(get_model("ecp+distribution+lag+comedication+smooth=0.1"))
    stream = export_problem(problem, cohort, start_of(problem), "nonmem").files["run1.ctl"]
    assert max(len(line) for line in stream.splitlines()) <= 160
    names = {line.split(" = ")[0].strip() for line in record(stream, "$PRED") if " = " in line}
    assert max(len(name) for name in names) <= 20


def test_covariates_occasions_and_a_mixture_reach_both_programs() -> None:
    times = [[3.0, 7.0, 9.0, 14.0, 28.0]] * 4
    cohort = Cohort.from_arrays(
        times,
        [[100.0, 4e3, 9e3, 3e3, 400.0]] * 4,
        subject=["A", "A", "B", "C"],
        group=["R", "R", "NR", "R"],
        dose=[50.0, 50.0, 100.0, 150.0],
    )
    cohort = replace(cohort, occasion=("1", "2", "1", "1"))
    problem = PooledProblem.from_cohort(
        cohort,
        get_model("ecp"),
        covariates=["cmax ~ group + power(dose, 100)", "tmax ~ group"],
        iov=["cmax"],
        mixture=["cmax", "alpha"],
    )
    structure = problem.structure
    x = start_of(problem)
    part = structure.parts
    x[part["beta"]] = [0.3, 0.2, -0.1]
    x[part["gamma"]] = np.log(0.4)
    x[part["shift"]] = [-2.0, 0.5]
    x[part["share"]] = np.log(0.25 / 0.75)
    files = export_problem(problem, cohort, x, "nonmem", seed=3).files
    theta = theta_values(structure, structure.values(x))
    assert theta["share_2"] == pytest.approx(0.25)
    eta = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    rows = rows_of(files["data.csv"])
    assert [row["TIME"] for row in rows if row["ID"] == 1] == [3, 7, 9, 14, 28, 32, 36, 38, 43, 57]
    second = rows[7]
    found = run_pred(files["run1.ctl"], list(theta.values()), eta, {**second, "DAYS": second["DAY"], "MIXNUM": 2})
    # ln cmax of A (dose 50, R is the reference of group) on its second occasion, class 2
    expected = np.log(2e4) + 0.2 * np.log(0.5) + 0.1 - 2.0 + 0.8
    assert np.log(found["CMAX"]) == pytest.approx(expected, rel=1e-12)
    assert np.log(found["ALPHA"]) == pytest.approx(np.log(0.16) + 0.4 + 0.5, rel=1e-12)
    other = run_pred(files["run1.ctl"], list(theta.values()), eta, {**rows[10], "DAYS": 3.0, "MIXNUM": 1})
    assert np.log(other["CMAX"]) == pytest.approx(np.log(2e4) + 0.3 + 0.1 + 0.7, rel=1e-12)
    assert record(files["run1.ctl"], "$MIX") == ["NSPOP = 2", "P(1) = 1 - THETA(12)", "P(2) = THETA(12)"]
    assert files["run1.ctl"].count("$OMEGA BLOCK(1) SAME") == 1
    assert "$OMEGA BLOCK(1)\n  0.16 ; IOV_cmax\n" in files["run1.ctl"]
    assert files["subjects.csv"].splitlines() == ["ID,subject", '1,"A"', '2,"B"', '3,"C"']

    script = export_problem(problem, cohort, x, "nlmixr2").files["run1.R"]
    assert "    iov.cmax ~ 0.16 | occ" in script
    mixed = "exp(tcmax + beta_cmax_group_NR*GROUP_NR + beta_cmax_dose*LN_DOSE + eta.cmax + iov.cmax"
    assert f"    cmax <- mix({mixed}), share_1, {mixed} + shift_cmax_2))" in script
    assert "    alpha <- mix(exp(talpha + eta.alpha), exp(talpha + eta.alpha + shift_alpha_2))" in script


def test_a_theta_does_not_begin_at_zero() -> None:
    model = get_model("ecp+comedication=toci")
    problem, cohort = problem_of(model)
    x = problem.pack({**{name: TYPICAL[name] for name in model.names}, "f_toci": 1.0}, {}, [0.5])
    stream = export_problem(problem, cohort, x, "nonmem").files["run1.ctl"]
    assert [line.split()[0] for line in record(stream, "$THETA")][6] == "0.001"


def test_what_cannot_be_expressed_is_refused_with_a_sentence() -> None:
    cohort = Cohort.from_arrays([DAYS] * 3, [[90.0] * len(DAYS)] * 3)
    own = Model(
        name="decline",
        title="decline",
        parameters=(Parameter("k", "log", "rate", 1e-3, 1.0, "rate"),),
        log_curve=lambda theta, t: -theta[0] * t,
    )
    with pytest.raises(ModelError, match="decline cannot be written for another program"):
        export(cohort, "nonmem", model=own, start={"k": 0.1})
    start = {name: TYPICAL[name] for name in get_model("ecp").names}
    with pytest.raises(SettingsError, match="log-student cannot be written for NONMEM"):
        export(cohort, "nonmem", residual="log-student", start=start)
    with pytest.raises(SettingsError, match="log-student cannot be written for nlmixr2"):
        export(cohort, "nlmixr2", residual="log-student", start=start)
    with pytest.raises(SettingsError, match="no program 'monolix'"):
        export(cohort, "monolix")  # type: ignore[arg-type]
    flag = Cohort.from_arrays([DAYS] * 3, [[90.0] * len(DAYS)] * 3, subject=["1", "2", "3"])
    with pytest.raises(ModelError, match=r"f_flag .* cannot be a name in NONMEM"):
        export(
            flag,
            "nonmem",
            model="ecp+comedication=flag",
            start={**start, "f_flag": 1.2},
            comedication=pd.DataFrame({"subject": ["1"], "drug": ["flag"], "start": [1.0], "end": [3.0]}),
        )
