"""`npde`: normalised prediction distribution errors of a population fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cellkinetics.diagnostics.observed import PLACE, observed
from cellkinetics.diagnostics.prediction_errors import LEAST_SIMULATIONS, NormalitySummary, normality, patient_errors
from cellkinetics.diagnostics.simulation import check_simulations, patients, typical_predictions
from cellkinetics.drawing import Drawable
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.fitting.pooled.result import PopulationFit

SIMULATIONS = 500
_STREAM = 821
COLUMNS = (*PLACE, "typical", "pd", "npd", "npde", "weighted_residual", "drawn", "reason")
SINGULAR = "the simulated samples of the patient do not vary independently of each other"


@dataclass(frozen=True, eq=False, repr=False)
class PredictionErrors(Drawable):
    """Prediction distribution errors of a population fit, sample by sample.

    Attributes:
        table: one row a sample, the file ``npde.csv``.
        simulations: number of simulated data sets.
        time_unit: of the times.
        value_unit: of the levels.
    """

    table: pd.DataFrame
    simulations: int
    time_unit: str
    value_unit: str

    @cached_property
    def summary(self) -> NormalitySummary:
        """Moments of npde, and tests of N(0, 1)."""
        return normality(self.table["npde"].to_numpy(float))

    def __repr__(self) -> str:
        found = self.summary
        return "\n".join(
            [
                f"PredictionErrors: npde of {found.n} samples, {self.simulations} simulations",
                f"  mean {found.mean:.3f} (p {found.p_mean:.2g}), variance {found.variance:.3f} "
                f"(p {found.p_variance:.2g}), skewness {found.skewness:.2f}, kurtosis {found.kurtosis:.2f}",
                f"  normal: p {found.p_normal:.2g} (Shapiro-Wilk), {found.p_ks:.2g} (Kolmogorov-Smirnov); "
                f"all three tests: p {found.p_global:.2g}",
            ]
        )


def npde(fit: PopulationFit, *, simulations: int = SIMULATIONS, seed: int | None = None) -> PredictionErrors:
    """Compare each patient's samples with the distribution that the fit predicts for them.

        npde_ij = Phi^-1(P(z_sim < z_ij)),   z_i = L_i^-1 (y_i - E_i)

    E_i and L_i L_i' are mean and covariance of the patient's simulated samples. If the model is right npde is
    standard normal, whatever is censored (see `cellkinetics.diagnostics.prediction_errors`).

    Args:
        fit: what `pool` returned.
        simulations: number of simulated data sets, at least 100 and more than a patient has samples.
        seed: of the simulations; by default that of the fit.

    Raises:
        SettingsError: for too few simulations, or a negative seed.

    Source: Nguyen THT, Comets E, Mentre F. J Pharmacokinet Pharmacodyn 2012;39:499-518,
    doi:10.1007/s10928-012-9264-2.
    """
    chosen = fit.seed if seed is None else seed
    check_simulations(simulations, chosen)
    samples = observed(fit)
    least = max(LEAST_SIMULATIONS, int(samples.mask.sum(axis=1).max()) + 1)
    if simulations < least:
        raise SettingsError(f"simulations is {simulations}; prediction errors of these samples take at least {least}")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("pd", "npd", "npde", "weighted")}
    for i, simulated in patients(samples, simulations, chosen):
        here = samples.mask[i]
        found = patient_errors(
            samples.y[i, here],
            samples.censored[i, here],
            simulated[:, here],
            np.random.default_rng((chosen, _STREAM, i)),
            lloq=samples.lloq[i, here],
            uloq=samples.uloq[i, here],
            lower=samples.lower[i, here],
        )
        for name, parts in columns.items():
            parts.append(getattr(found, name))
    numbers = {name: np.concatenate(parts) for name, parts in columns.items()}
    table = samples.places.assign(
        typical=samples.natural(typical_predictions(samples)[samples.mask]),
        **{"weighted_residual" if name == "weighted" else name: values for name, values in numbers.items()},
        drawn=samples.censored[samples.mask] != 0,
        reason=np.where(np.isnan(numbers["npde"]), SINGULAR, ""),
    )
    unit = samples.cohort.value_unit[samples.problem.index[0]]
    return PredictionErrors(table[list(COLUMNS)], simulations, samples.cohort.time_unit, unit)
