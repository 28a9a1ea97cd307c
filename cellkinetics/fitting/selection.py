"""Which of several models a patient's samples prefer: the whole ranking by AICc, and the fit that stands.

    AICc = -2LL + 2 k + 2 k (k + 1)/(n - k - 1),   weight_m = exp(-delta_m/2) / sum exp(-delta/2)

with n samples, quantified and censored, k searched parameters (those of the residual among them), and delta the
distance from the least AICc.

Source: Hurvich CM, Tsai CL. Biometrika 1989;76:297-307, doi:10.1093/biomet/76.2.297; Akaike weights: Burnham KP,
Anderson DR. Model Selection and Multimodel Inference, 2nd ed. Springer 2002, section 2.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cellkinetics.fitting.precision import aicc
from cellkinetics.fitting.result import IndividualFit, IndividualFits

_SAME = 1e-6  # of AICc: the model with fewer parameters stands then


@dataclass(frozen=True)
class Ranked:
    """One model of one patient in the ranking; None where a number cannot be had.

    ``delta`` and ``weight`` are among the models that the samples support; ``reason`` says why one is not, or why
    one was chosen without them.
    """

    subject: str
    analyte: str
    occasion: str
    specimen: str
    model: str
    minus2ll: float | None
    k: int | None
    n: int
    aicc: float | None
    delta: float | None = None
    weight: float | None = None
    chosen: bool = False
    reason_code: str = ""
    reason: str = ""


def select(results: Sequence[IndividualFits]) -> IndividualFits:
    """Return each patient's fit by the model with the least AICc, with the ranking of all.

    A model is a candidate if its search converged, AICc exists (n > k + 1), and no parameter was held that
    another of the models does without: such a fit is the smaller model's under another name. Where no model is
    a candidate, the one with the fewest searched parameters stands, of those without such a held one if there
    are any, and the ranking says so.

    Args:
        results: fits of one cohort, one by each model.
    """
    shared = set(results[0].parameters).intersection(*(result.parameters for result in results))
    fits, ranking = [], []
    for alternatives in zip(*(result.fits for result in results), strict=True):
        ranked = [_ranked(fit, shared) for fit in alternatives]
        chosen, ranked = _choose(ranked)
        fits.append(alternatives[chosen])
        ranking += sorted(ranked, key=lambda one: (one.delta is None, one.delta or 0.0))
    names = dict.fromkeys(name for result in results for name in result.parameters)
    notes = tuple(dict.fromkeys(note for result in results for note in result.notes))
    model = ", ".join(result.model for result in results)
    return replace(
        results[0], fits=tuple(fits), model=model, parameters=tuple(names), notes=notes, ranked=tuple(ranking)
    )


def _ranked(fit: IndividualFit, shared: set[str]) -> Ranked:
    minus2ll = fit.estimates.get("minus2ll")
    n = int(fit.estimates.get("n_samples") or 0)
    place = (fit.subject, fit.analyte, fit.occasion, fit.specimen, fit.model)
    if fit.status == "failed" or minus2ll is None:
        code = next((row.reason_code for row in fit.rows if row.reason_code), "failed")
        return Ranked(*place, None, None, n, None, reason_code=code, reason=fit.reason)
    k = fit.n_searched
    value = aicc(minus2ll, n, k)
    one = Ranked(*place, minus2ll, k, n, value if np.isfinite(value) else None)
    held = [name for name in fit.held if name not in shared]
    if held:
        why = next((fit[name].reason for name in held if fit[name].reason), "the samples do not reach so far")
        sentence = f"{', '.join(held)} could not be searched ({why}): the curve is that of a smaller model"
        return replace(one, reason_code="phase_not_supported", reason=sentence)
    if one.aicc is None:
        sentence = f"{n} samples for {k} parameters: AICc needs at least {k + 2}"
        return replace(one, reason_code="too_few_samples", reason=sentence)
    return one


def _choose(ranked: Sequence[Ranked]) -> tuple[int, list[Ranked]]:
    """Return the place of the model that stands, and the ranking with distances and weights."""
    out = list(ranked)
    candidates = [m for m, one in enumerate(out) if one.aicc is not None and not one.reason_code]
    if not candidates:
        fitted = [m for m, one in enumerate(out) if one.k is not None] or [0]
        chosen = min(fitted, key=lambda m: (out[m].reason_code == "phase_not_supported", out[m].k or 0, m))
        nothing = "none of the models has samples enough to be compared; this one has the fewest parameters"
        reason = f"{out[chosen].reason}; {nothing}" if out[chosen].k is not None else out[chosen].reason
        out[chosen] = replace(out[chosen], chosen=True, reason=reason)
        return chosen, out
    values = np.array([out[m].aicc for m in candidates], float)
    delta = values - values.min()
    weight = np.exp(-0.5 * delta) / np.exp(-0.5 * delta).sum()
    chosen = min((m for m, d in zip(candidates, delta, strict=True) if d < _SAME), key=lambda m: (out[m].k or 0, m))
    for m, d, w in zip(candidates, delta, weight, strict=True):
        out[m] = replace(out[m], delta=float(d), weight=float(w), chosen=m == chosen)
    return chosen, out
