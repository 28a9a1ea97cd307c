"""Estimates of NONMEM and nlmixr2 come back as the values that they are."""

from pathlib import Path

import numpy as np
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import DataError, SettingsError
from cellkinetics.fitting.interchange.estimates import StartingValues, read_estimates, read_ext
from cellkinetics.fitting.interchange.export import export_problem
from cellkinetics.fitting.interchange.layout import Layout, theta_values
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.models.published import library
from cellkinetics.models.registry import get_model

START = dict(library["stein2019"].typical)
COHORT = Cohort.from_arrays(
    [[2.0, 9.0, 14.0, 28.0, 90.0]] * 4,
    [[90.0, 9e3, 4e3, 300.0, 80.0]] * 4,
    lloq=50.0,
    group=["R", "NR", "R", "NR"],
)


def populations() -> tuple[PooledProblem, np.ndarray, np.ndarray]:
    """A problem, a start, and another population with correlations."""
    problem = PooledProblem.from_cohort(
        COHORT, get_model("ecp"), omega="cmax,foldx;alpha,beta", covariates=["cmax ~ group"], fix={"omega_tmax": 0}
    )
    start = problem.pack(START, {}, [0.6])
    other = start + np.random.default_rng(2).normal(0.0, 0.3, start.size)
    return problem, start, other


def ext_of(problem: PooledProblem, x: np.ndarray, layout: Layout, *, table: int = 1, title: str = "SAEM") -> str:
    """A table of a file .ext as NONMEM writes it, with its columns in NONMEM's order."""
    values = problem.structure.values(x)
    thetas = theta_values(problem.structure, values)
    full = values.factor @ values.factor.T
    order = [problem.structure.random_names.index(name) for name in layout.eta]
    q = len(order)
    names = [f"THETA{k + 1}" for k in range(len(thetas))] + ["SIGMA(1,1)"]
    numbers = [*thetas.values(), 1.0]
    for i in range(q):
        for j in range(i + 1):
            names.append(f"OMEGA({i + 1},{j + 1})")
            numbers.append(full[order[i], order[j]])
    head = f"TABLE NO.{table:6d}: {title}: Goal Function=FINAL VALUE OF OBJECTIVE FUNCTION: Problem=1 Subproblem=0\n"
    lines = [" ITERATION    " + "    ".join([*names, "SAEMOBJ"])]
    for iteration, shift in ((-20, 0.5), (0, 0.1), (-1000000000, 0.0), (-1000000001, 9.0), (-1000000006, 0.0)):
        cells = [f"{value + shift:.15E}" for value in [*numbers, 2950.0]]
        lines.append(f" {iteration:12d}  " + "  ".join(cells))
    return head + "\n".join(lines) + "\n"


def test_estimates_of_nonmem_make_the_round_trip(tmp_path: Path) -> None:
    problem, start, wanted = populations()
    exported = export_problem(problem, COHORT, start, "nonmem")
    folder = exported.write(tmp_path / "run")
    layout = Layout.from_json(exported.files["layout.json"])
    assert layout.eta == ("cmax", "foldx", "alpha", "beta", "fb")
    first = ext_of(problem, start, layout)
    last = ext_of(problem, wanted, layout, table=2, title="Objective Function Evaluation by Importance Sampling")
    (folder / "run1.ext").write_text(first + last)
    for path in (folder, folder / "run1.ext"):
        found = read_estimates(path)
        np.testing.assert_allclose(found.apply(problem, start), wanted, rtol=1e-9)
    assert found.values["cmax"] == pytest.approx(np.exp(wanted[0]))
    errors = read_ext(last)[0].errors
    assert errors is not None
    assert errors["THETA1"] == pytest.approx(wanted[0] + 9.0)  # as the table was made
    assert [table.title.split(":")[0] for table in read_ext(first + last)] == ["TABLE NO.     1", "TABLE NO.     2"]


def test_estimates_of_nlmixr2_make_the_round_trip(tmp_path: Path) -> None:
    problem, start, wanted = populations()
    exported = export_problem(problem, COHORT, start, "nlmixr2")
    folder = exported.write(tmp_path)
    values = problem.structure.values(wanted)
    names = problem.structure.random_names
    full = values.factor @ values.factor.T
    rows = ["kind,name,other,value"]
    for label, value in theta_values(problem.structure, values).items():
        rows.append(f'"theta","{f"t{label}" if label in problem.model.names else label}","",{value!r}')
    rows += [
        f'"omega","eta.{names[i]}","eta.{names[j]}",{float(full[i, j])!r}'
        for i in range(len(names))
        for j in range(i + 1)
    ]
    (folder / "estimates.csv").write_text("\n".join(rows) + "\n")
    np.testing.assert_allclose(read_estimates(folder).apply(problem, start), wanted, rtol=1e-9)
    (folder / "estimates.csv").write_text("\n".join(rows).replace(rows[-1], rows[-1].rsplit(",", 1)[0] + ",NA") + "\n")
    with pytest.raises(DataError, match="is not a number"):
        read_estimates(folder)


def test_fixed_values_win_and_an_omega_of_zero_leaves_the_start() -> None:
    problem = PooledProblem.from_cohort(COHORT, get_model("ecp"), fix={"foldx": 3900.0})
    start = problem.pack(START, {}, [0.6])
    given = StartingValues({"foldx": 50.0, "tmax": 8.0}, ("cmax", "tmax"), np.diag([0.0, 0.49]))
    x = dict(zip(problem.labels, given.apply(problem, start), strict=True))
    assert x["foldx"] == pytest.approx(np.log(3900.0))
    assert x["tmax"] == pytest.approx(np.log(8.0))
    assert x["omega_tmax"] == pytest.approx(np.log(0.7))
    assert x["omega_cmax"] == pytest.approx(np.log(0.5))


def test_estimates_that_do_not_belong_are_refused_with_a_sentence(tmp_path: Path) -> None:
    problem, start, _ = populations()
    exported = export_problem(problem, COHORT, start, "nonmem")
    layout = Layout.from_json(exported.files["layout.json"])
    text = ext_of(problem, start, layout)
    lonely = tmp_path / "lonely.ext"
    lonely.write_text(text)
    with pytest.raises(DataError, match=r"no layout\.json beside it"):
        read_estimates(lonely)
    folder = exported.write(tmp_path / "run")
    with pytest.raises(DataError, match="holds none"):
        read_estimates(folder)
    (folder / "run1.ext").write_text(text.replace("-1000000000", "-5"))
    with pytest.raises(DataError, match="no final estimates"):
        read_estimates(folder)
    (folder / "run1.ext").write_text(text.replace("THETA8", "OTHER8"))
    with pytest.raises(DataError, match="7 THETAs and the exported model 8"):
        read_estimates(folder)
    (folder / "layout.json").write_text("{}")
    with pytest.raises(DataError, match="is not what cellkinetics export wrote"):
        read_estimates(folder)
    stranger = PooledProblem.from_cohort(COHORT, get_model("ecp"))
    with pytest.raises(SettingsError, match="has no beta_cmax_group_NR"):
        StartingValues({"beta_cmax_group_NR": 1.0}, (), np.zeros((0, 0))).apply(
            stranger, stranger.pack(START, {}, [0.6])
        )


@pytest.mark.parametrize(("text", "number"), [("1.5D-03", 1.5e-3), ("2.5-101", 2.5e-101), ("-1.0E+02", -100.0)])
def test_numbers_as_fortran_writes_them(text: str, number: float) -> None:
    table = f"TABLE NO. 1: x\n ITERATION, THETA1, OMEGA(1,1), OBJ\n -1000000000, {text}, 0.5, 3.0\n"
    assert read_ext(table)[0].final["THETA1"] == pytest.approx(number)
    assert read_ext(table)[0].final["OMEGA(1,1)"] == 0.5
