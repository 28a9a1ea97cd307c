"""`compare` and `covariates` refuse what makes no sense before they fit, and write what they found."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cellkinetics.cli.structure_options import comedication_table
from cellkinetics.data.comedication import Comedication
from cellkinetics.errors import DataError, SettingsError
from cellkinetics.fitting import covariate_search, model_comparison
from cellkinetics.fitting.pooled.refit import Refit
from cellkinetics.fitting.pooled.stepwise import RatioTest


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    rows = [
        {"subject": f"P{k}", "time": day, "value": 100.0 * (k + 1) * day, "group": "AB"[k % 2], "weight": 60 + k}
        for k in range(6)
        for day in (1, 7, 14)
    ]
    path = tmp_path / "trial.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "ecp"], "at least two models"),
        (["--criterion", "laplace"], "never ranked by an approximate objective"),
        (["--method", "focei"], "never compared by focei"),
        (["--model", "ecp,ecq"], "no model 'ecq'"),
        (["--comedication", "toci="], "DRUG=COLUMN"),
    ],
)
def test_compare_refuses_before_it_reads(cli: Callable[..., Any], trial: Path, options: list[str], words: str) -> None:
    outcome = cli("compare", trial, *options)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (outcome.folder / "population_models.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "at least one --candidate"),
        (["--candidate", "cmax ~ wieght"], "did you mean 'weight'"),
        (["--candidate", "cmax ~ group", "--covariate", "vmax ~ group"], "no parameter 'vmax'"),
        (["--candidate", "cmax ~ group", "--method", "laplace"], "never compared by laplace"),
        (["--candidate", "cmax ~ group", "--forward", "5"], "forward is 5"),
        (["--candidate", "cmax ~ group", "--missing-covariates", "mean"], "'mean' is no rule"),
        (["--candidate", "cmax ~ group", "--jobs", "2", "--engine", "dask"], "--scheduler"),
    ],
)
def test_covariates_refuses_before_it_fits(
    cli: Callable[..., Any], trial: Path, options: list[str], words: str
) -> None:
    outcome = cli("covariates", trial, *options)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (outcome.folder / "covariate_search.csv").exists()


def test_covariates_writes_the_trace_and_says_how_to_fit_the_model(
    cli: Callable[..., Any], trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    term = "cmax ~ categorical(group, A)"
    base, better = Refit((), 90.0, 0.1, 6, 13), Refit((term,), 80.0, 0.1, 6, 14, 1)
    tests = (
        RatioTest(0, "base", "", (), 0, base),
        RatioTest(1, "forward", term, (term,), 1, better, 10.0, 0.14, 3.84, 0.002, outcome="added"),
    )

    def searched(cohort: object, **options: Any) -> covariate_search.CovariateSearch:
        asked.update(options)
        return covariate_search.CovariateSearch(
            "ecp", "saem", 3, 0.05, 0.01, 6, tests, (term,), (base, better), better, ("a warning",)
        )

    monkeypatch.setattr(covariate_search, "covariate_search", searched)
    settings = trial.parent / "search.toml"
    settings.write_text('candidate = ["cmax ~ group", "tmax ~ weight"]\nmissing-covariates = "drop"\nseed = 3\n')
    outcome = cli("covariates", trial, "--settings", settings, "--out", "found")
    assert outcome.code == 0
    assert asked["candidates"] == ("cmax ~ group", "tmax ~ weight")
    assert (asked["missing"], asked["seed"], asked["forward"]) == ("drop", 3, 0.05)
    assert asked["folder"] == outcome.folder.relative_to(trial.parent) / "covariate_records"
    table = pd.read_csv(outcome.folder / "covariate_search.csv")
    assert table["outcome"].tolist() == ["base", "added"]
    assert (outcome.folder / "covariate_models.csv").exists()
    assert f'--covariate "{term}"' in outcome.out + outcome.err
    assert "a warning" in outcome.out + outcome.err


def test_compare_writes_the_ranking_and_the_fit_of_the_best_model(
    cli: Callable[..., Any], trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellkinetics.cli import pool as of_pool

    written: list[object] = []

    class Best:
        model = "ecp"

    rows = [
        model_comparison.Compared("ecp", 13, 90.0, 0.1, 116, 118, 119, converged=True),
        model_comparison.Compared("ecp+lag", reason="too few samples", status="failed"),
    ]
    ranked = model_comparison.rank(rows, "bicc")
    fits: Any = MappingProxyType({"ecp": Best()})
    found = model_comparison.ModelComparison("bicc", ranked, fits, ("ecp+lag could not be fitted",))
    monkeypatch.setattr(model_comparison, "compare_models", lambda *_, **__: found)
    monkeypatch.setattr(of_pool, "write_fit", lambda _, fit: written.append(fit))
    outcome = cli("compare", trial, "--model", "ecp,ecp+lag", "--out", "found")
    assert outcome.code == 0
    table = pd.read_csv(outcome.folder / "population_models.csv")
    assert table["model"].tolist() == ["ecp", "ecp+lag"]
    assert np.isnan(table["delta"].iloc[1])
    assert written == [fits["ecp"]]
    assert "ecp has the least BICc" in outcome.out + outcome.err


def test_comedication_is_a_table_or_columns_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "drugs.csv"
    path.write_text("subject,drug,start\nP1,toci,4\n")
    assert isinstance(comedication_table(str(path)), Comedication)
    assert comedication_table("toci = toci_day, ster=ster_day") == {"toci": "toci_day", "ster": "ster_day"}
    assert comedication_table(None) is None
    with pytest.raises(DataError, match="cannot be read"):
        comedication_table(str(tmp_path / "none.csv"))
    with pytest.raises(SettingsError, match="DRUG=COLUMN"):
        comedication_table("toci=a,toci=b")
