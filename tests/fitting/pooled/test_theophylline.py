"""Fits of theophylline against published maxima of the exact likelihood."""

import pytest
from theophylline import TABLE, fit_theophylline, theophylline

from cellkinetics.fitting.pooled.estimation import METHODS

EXACT = [method for method in ("importance", "saem") if method in METHODS]


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize("method", EXACT)
def test_the_published_maximum_is_reached(shared, row, method):
    wanted = TABLE[row]
    cohort = theophylline(shared, at_zero=wanted.at_zero)
    fit = fit_theophylline(cohort, wanted.residual, method)
    assert fit.n_observations == (132 if wanted.at_zero else 120)
    assert fit.converged, fit.status
    assert fit.objective.minus2ll == pytest.approx(wanted.minus2ll, abs=0.3)
    for name, value in wanted.estimates.items():
        assert fit[name].estimate == pytest.approx(value, rel=0.02), name


def test_quadrature_ends_at_the_same_maximum_and_its_objective_is_minus2ll(shared):
    wanted = TABLE["additive"]
    fit = fit_theophylline(theophylline(shared), wanted.residual, "agq:7")
    assert fit.converged, fit.status
    assert fit.objective.own["agq"] == pytest.approx(wanted.minus2ll, abs=0.02)
    for name, value in wanted.estimates.items():
        assert fit[name].estimate == pytest.approx(value, rel=0.002), name


def test_laplace_ends_where_published_programs_do(shared):
    """-2LL 359.4 by the linearisation of two other programs, 361.1 by Laplace's at the exact maximum."""
    fits = {
        method: fit_theophylline(theophylline(shared), TABLE["additive"].residual, method)
        for method in ("focei", "laplace")
    }
    assert fits["focei"].objective.own["focei"] == pytest.approx(359.405, abs=0.02)
    assert fits["laplace"].objective.own["laplace"] == pytest.approx(361.1, abs=0.1)
    for fit in fits.values():
        assert fit.converged, fit.status
        assert fit.objective.minus2ll == pytest.approx(360.71, abs=0.3)
