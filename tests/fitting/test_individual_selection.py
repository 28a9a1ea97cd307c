"""Several models, ranked by AICc for each patient."""

import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.individual import fit
from cellkinetics.fitting.result import Estimate, IndividualFit, IndividualFits
from cellkinetics.fitting.selection import select
from cellkinetics.models.ecp import ECP
from cellkinetics.models.published import STEIN_2019

DAYS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 17, 21, 28, 42, 56, 84, 112, 180, 365]


def made(model: str, minus2ll: float | None, k: int, *, n: int = 10, held: tuple[str, ...] = ()) -> IndividualFits:
    names = ("a", "b") if model == "small" else ("a", "b", "c")
    rows = [Estimate("n_samples", "", float(n)), Estimate("minus2ll", "", minus2ll)]
    rows += [Estimate(name, "", None, reason="too few samples for it") for name in held]
    one = IndividualFit(
        subject="P01",
        analyte="",
        occasion="",
        model=model,
        status="ok" if minus2ll is not None else "failed",
        reason="" if minus2ll is not None else "no quantified sample",
        rows=tuple(rows),
        n_searched=k,
        held=held,
    )
    return IndividualFits((one,), model, names, 0, Cohort.from_arrays([[1.0]], [[1.0]]))


def test_ranking_by_hand() -> None:
    # n 10: AICc = -2LL + 2k + 2k(k+1)/(9-k): k 3: 20 + 6 + 4 = 30; k 5: 13 + 10 + 15 = 38.
    result = select([made("large", 13.0, 5), made("small", 20.0, 3)])
    assert result.fits[0].model == "small"
    ranking = result.ranking
    assert ranking["model"].tolist() == ["small", "large"]
    assert ranking["aicc"].tolist() == [30.0, 38.0]
    assert ranking["delta"].tolist() == [0.0, 8.0]
    assert ranking["weight"].tolist() == pytest.approx([1 / (1 + np.exp(-4)), np.exp(-4) / (1 + np.exp(-4))])
    assert ranking["chosen"].tolist() == [True, False]


def test_a_model_whose_phase_was_held_is_in_the_ranking_with_the_reason() -> None:
    result = select([made("large", 10.0, 3, held=("c",)), made("small", 20.0, 3)])
    ranking = result.ranking.set_index("model")
    assert result.fits[0].model == "small"
    assert ranking.loc["large", "reason_code"] == "phase_not_supported"
    assert "c could not be searched (too few samples for it)" in ranking.loc["large", "reason"]
    assert np.isnan(ranking.loc["large", "delta"])
    assert ranking.loc["large", "aicc"] == 20.0
    assert ranking.loc["small", "weight"] == 1.0
    # What every model holds tells nothing apart.
    both = select([made("large", 10.0, 3, held=("a",)), made("small", 20.0, 2, held=("a",))])
    assert both.fits[0].model == "large"


def test_without_samples_enough_the_smallest_model_stands_and_says_so() -> None:
    result = select([made("large", 3.0, 4, n=5), made("small", 4.0, 4, n=5)])
    assert result.fits[0].model == "large"
    result = select([made("large", 3.0, 5, n=5), made("small", 4.0, 4, n=5)])
    ranking = result.ranking
    assert result.fits[0].model == "small"
    assert ranking["aicc"].isna().all()
    assert ranking.loc[ranking["chosen"], "reason"].str.contains("5 samples for 4 parameters").all()
    assert ranking.loc[ranking["chosen"], "reason"].str.contains("fewest parameters").all()


def test_a_patient_that_no_model_fits_is_in_the_ranking() -> None:
    result = select([made("large", None, 5), made("small", None, 3)])
    assert result.fits[0].status == "failed"
    assert result.ranking["chosen"].sum() == 1
    assert (result.ranking["reason"] == "no quantified sample").all()


def test_each_patient_gets_the_phases_that_the_samples_show() -> None:
    two = {**STEIN_2019.typical, "fb": 0.05, "beta": 0.003}
    one = {**STEIN_2019.typical, "fb": 1e-9}
    noise = np.exp(np.random.default_rng(1).normal(0, 0.2, (2, len(DAYS))))
    values = [(ECP.predict(theta, DAYS) * scatter).tolist() for theta, scatter in zip((two, one), noise, strict=True)]
    cohort = Cohort.from_arrays([DAYS, DAYS], values, subject=["two", "one"], lloq=1.0)
    fits = fit(cohort, model=["ecp", "ecp-persistence"])
    assert [fits[name].model for name in ("two", "one")] == ["ecp", "ecp-persistence"]
    assert len(fits.ranking) == 4
    assert fits.parameters == ECP.names
    assert fits.table.loc[fits.table["subject"] == "one", "model"].eq("ecp-persistence").all()
    assert "ecp-persistence" in repr(fits)
    alone = fit(cohort, model="ecp")
    assert alone.ranking.empty
    assert fits["two"]["cmax"].estimate == alone["two"]["cmax"].estimate


def test_what_cannot_be_compared_is_refused() -> None:
    cohort = Cohort.from_arrays([[1.0, 2.0]], [[1.0, 2.0]])
    with pytest.raises(SettingsError, match="prior cannot be given with several models"):
        fit(cohort, model=["ecp", "ecp-persistence"], prior="stein2019")
    with pytest.raises(SettingsError, match="at least one model"):
        fit(cohort, model=[])
    with pytest.raises(ck.CellKineticsError, match="ecp-persistence"):
        fit(cohort, model=["ecp", "ecp-persistance"])
