"""A search for covariates finds the effect that was simulated, keeps its trace, and goes on where it stopped."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.errors import CellKineticsError, DataError, SettingsError
from cellkinetics.fitting.covariate_search import MODEL_COLUMNS, TRACE_COLUMNS, CovariateSearch, covariate_search
from cellkinetics.fitting.replicates import Replicates
from cellkinetics.models.base import Model, Parameter

DECLINE = Model(
    name="decline",
    title="mono-exponential decline",
    parameters=(
        Parameter("c0", "log", "value", 1e-2, 1e8, "value at infusion"),
        Parameter("k", "log", "rate", 1e-4, 10.0, "decline rate"),
    ),
    log_curve=lambda theta, t: jnp.log(theta[0]) - theta[1] * t,
)
DAYS = [0.0, 2.0, 5.0, 9.0, 14.0]
START = {"c0": 800.0, "k": 0.2}
EFFECT = -1.1


@pytest.fixture(scope="module")
def cohort() -> ck.Cohort:
    """30 patients; c0 is lower by exp(-1.1) in group NR; weight does nothing."""
    rng = np.random.default_rng(6)
    n = 30
    group = np.where(np.arange(n) % 2 == 0, "R", "NR")
    c0 = 1000 * np.exp(EFFECT * (group == "NR") + 0.5 * rng.standard_normal(n))
    k = 0.2 * np.exp(0.3 * rng.standard_normal(n))
    value = np.exp(np.log(c0)[:, None] - k[:, None] * DAYS + 0.2 * rng.standard_normal((n, len(DAYS))))
    return ck.Cohort.from_arrays(
        [DAYS] * n, value.tolist(), lloq=10.0, group=group.tolist(), dose=(50 + 100 * rng.random(n)).round(0).tolist()
    )


def search(cohort: ck.Cohort, **options: object) -> CovariateSearch:
    settings: dict[str, object] = {"candidates": ["c0 ~ group + dose", "k ~ group"], "model": DECLINE, "start": START}
    return covariate_search(cohort, **{**settings, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search") / "records"


@pytest.fixture(scope="module")
def found(cohort: ck.Cohort, records: Path) -> CovariateSearch:
    return search(cohort, folder=records)


def test_the_simulated_effect_is_found_and_nothing_else(found: CovariateSearch) -> None:
    assert found.terms == ("c0 ~ categorical(group, NR)",)
    assert found.chosen.x["beta_c0_group_R"] == pytest.approx(-EFFECT, abs=0.4)
    assert found.chosen.x["beta_c0_dose"] == 0.0
    assert found.tests[-1].outcome == "needed"


def test_the_ratio_of_a_normal_model_is_that_of_its_closed_form(found: CovariateSearch, cohort: ck.Cohort) -> None:
    # ln c0 is nearly observed: its spread is 0.5, the residual's part about 0.1. A two-sample comparison of the first
    # samples' logarithms has the likelihood ratio n ln(SS_0/SS_1).
    first = np.log(cohort.value[:, 0])
    group = np.array(cohort.group) == "R"
    within = sum(((first[one] - first[one].mean()) ** 2).sum() for one in (group, ~group))
    ratio = len(first) * np.log(((first - first.mean()) ** 2).sum() / within)
    test = next(test for test in found.tests if test.term.startswith("c0 ~ categorical(group"))
    assert test.delta == pytest.approx(ratio, rel=0.15)


def test_the_trace_has_every_step_and_the_models_every_fit(found: CovariateSearch) -> None:
    table = found.table
    assert list(table.columns) == list(TRACE_COLUMNS)
    assert table["direction"].tolist() == sorted(table["direction"], key=["base", "forward", "backward"].index)
    assert table["step"].is_monotonic_increasing
    assert table["step"].tolist()[:6] == [0, 1, 1, 1, 2, 2]
    assert (table["minus2ll"].iloc[0] - table["minus2ll"].iloc[1:4]).tolist() == pytest.approx(
        table["delta"].iloc[1:4].tolist()
    )
    models = found.models
    assert list(models.columns) == list(MODEL_COLUMNS)
    assert len(models) == len(set(table["model"]))
    assert models["delta_bicc"].is_monotonic_increasing
    assert models.loc[models["chosen"], "model"].tolist() == ["c0 ~ categorical(group, NR)"]
    base = models[models["model"] == "none"].iloc[0]
    assert base["n_parameters"] == 5
    assert base["bicc"] == pytest.approx(base["minus2ll"] + 4 * np.log(30) + np.log(150))
    assert f"{len(table) - 1} likelihood ratios" in found.status
    assert "c0 ~ categorical(group, NR)" in repr(found)


def test_a_search_goes_on_with_the_fits_that_are_there(
    found: CovariateSearch, cohort: ck.Cohort, records: Path
) -> None:
    kept = sorted((records / "records").glob("*.json"))
    assert len(kept) >= 6
    again = search(cohort, folder=records, resume=True)
    assert again.table.equals(found.table)
    with pytest.raises(CellKineticsError, match="backward was"):
        search(cohort, folder=records, resume=True, backward=0.02)
    with pytest.raises(CellKineticsError, match="--resume"), Replicates(records, {}):
        pass


def test_what_cannot_be_searched_is_refused_before_anything_is_fitted(cohort: ck.Cohort) -> None:
    for method in ("focei", "laplace", "two-stage"):
        with pytest.raises(SettingsError, match="models are never compared by"):
            search(cohort, method=method)
    with pytest.raises(SettingsError, match="method 'emm' does not exist"):
        search(cohort, method="emm")
    with pytest.raises(SettingsError, match="at least one candidate"):
        search(cohort, candidates=[])
    few = ck.Cohort.from_arrays([DAYS] * 4, [[9.0] * 5] * 4, group=["x", "y", "x", "y"], dose=[1.0, 2.0, 3.0, 4.0])
    with pytest.raises(SettingsError, match="cannot be told apart"):
        search(few, candidates=["c0 ~ categorical(dose)"], covariates=["c0 ~ group"])
    one_without = ck.Cohort.from_arrays(
        [DAYS] * 3, [[9.0] * 5] * 3, subject=["A", "B", "C"], dose=[1.0, np.nan, 2.0], group=["x", "y", "x"]
    )
    with pytest.raises(DataError, match="covariate dose is missing for B"):
        search(one_without)
