"""Where a population fit starts: medians and spread of what each profile suggests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cellkinetics.data.cohort import Cohort
from cellkinetics.errors import FitError, SettingsError
from cellkinetics.fitting.observations import observations
from cellkinetics.fitting.pooled.problem import PooledProblem, working
from cellkinetics.fitting.start import plan_fit

FloatArray = NDArray[np.float64]

OMEGA_RANGE = (0.3, 1.5)
"""Starting SDs are kept inside: too small a start freezes a random effect, too large a one flattens the modes."""
SIGMA_START = 0.6
SHIFT_START = -1.5
"""In units of omega: where the second class of a mixture starts."""
MOST_PATIENTS = 200
"""A start is a median, which so many patients say well enough; they are taken evenly from the whole cohort."""
_MAD_TO_SD = 1.4826


def population_start(problem: PooledProblem, cohort: Cohort, given: Mapping[str, float] | None = None) -> FloatArray:
    """Return a flat start vector: given values, else the median over patients of their own starts.

    A parameter that a patient's samples cannot determine takes no part in the median. The spread is
    1.4826 times the median absolute deviation on the transformed scale, kept inside `OMEGA_RANGE`.

    Args:
        problem: the problem to start.
        cohort: the cohort it was made from.
        given: values on the natural scale by label (cmax, omega_cmax, sigma ...); for a model without a rule for
            its starts all typical values.

    Raises:
        ModelError: for a given value that is unknown or off its scale, or if a model without a rule for its
            starts is not given all typical values.
        FitError: if no patient says anything about a parameter and none was given.
        SettingsError: for a given value of a label that the problem does not have.
    """
    model, labels = problem.model, problem.labels
    given = dict(given or {})
    typical = {name: value for name, value in given.items() if name in model.names}
    for label in given:
        if label not in labels and label not in model.names:
            if label.startswith(("omega_", "corr_", "gamma_", "beta_", "shift_", "share_")) or label == "sigma":
                raise SettingsError(f"start {label!r}: this fit has no such element; it has {', '.join(labels)}")
            model[label]
    # Before anything is known of it a drug does nothing to growth.
    idle = {f"f_{name}": 1.0 for name in model.inputs if f"f_{name}" in model.names}
    known = {**idle, **typical, **{name: value for name, value in problem.fixed.items() if name in model.names}}
    model.check_values(known)
    sigma = _residual_start(problem)
    omega = dict.fromkeys(model.names, 0.5)
    if set(known) == set(model.names):
        return _with_given(problem, problem.pack(known, omega, sigma), given)

    chosen = observations(cohort)
    suggested: dict[str, list[float]] = {name: [] for name in model.names}
    few = np.linspace(0, problem.n_real - 1, min(problem.n_real, MOST_PATIENTS)).round().astype(int)
    for i in np.array(problem.index)[few]:
        row = chosen.used[i]
        plan = plan_fit(model, cohort.time[i, row], chosen.y[i, row], cohort.censored[i, row])
        near = plan.segments[slice(*plan.central)]
        theta = np.array([model.theta(start.values) for segment in near for start in segment.starts if start.usual])
        centre = np.median(model.working_values(theta), axis=0)
        for k, name in enumerate(model.names):
            if name not in plan.unidentified:
                suggested[name].append(float(centre[k]))
    empty = [name for name in model.names if not suggested[name] and name not in known]
    if empty:
        raise FitError(
            f"no patient has the samples that {', '.join(empty)} need; give a starting value "
            f"(start={{{empty[0]!r}: ...}}) or fix it (fix={{{empty[0]!r}: ...}}, --fix {empty[0]}=...)"
        )
    middle = np.array([np.median(suggested[name]) if suggested[name] else 0.0 for name in model.names])
    natural = model.natural_values(middle)
    for k, name in enumerate(model.names):
        if suggested[name]:
            spread = _MAD_TO_SD * np.median(np.abs(np.array(suggested[name]) - middle[k]))
            omega[name] = float(np.clip(spread, *OMEGA_RANGE))
    start = {**dict(zip(model.names, natural.tolist(), strict=True)), **known}
    return _with_given(problem, problem.pack(start, omega, sigma), given)


def _residual_start(problem: PooledProblem) -> tuple[float, ...]:
    residual = problem.residual
    if residual.scale == "log":
        return (SIGMA_START,)
    quantified = np.asarray(problem.samples.mask) & (np.asarray(problem.samples.censored) == 0)
    size = float(np.median(np.abs(np.asarray(problem.samples.y)[quantified])))
    return {
        "proportional": (0.3,),
        "combined": (0.1 * size, 0.2),
        "combined-root": (0.1 * size, 0.2),
    }.get(residual.kind, (0.3 * size,))


def _with_given(problem: PooledProblem, x: FloatArray, given: Mapping[str, float]) -> FloatArray:
    structure = problem.structure
    for k, (label, kind) in enumerate(zip(structure.labels, structure.kinds, strict=True)):
        if kind == "shift":
            place = structure.random_names.index(label.removeprefix("shift_").rsplit("_", 1)[0])
            x[k] = SHIFT_START * np.exp(x[structure.parts["omega"]][place])
        if label in given and kind != "typical":
            value = given[label]
            if kind in ("omega", "gamma", "residual") and not 0 < value < np.inf:
                raise SettingsError(f"start {label}: give a positive number, not {value!r}")
            x[k] = working(value, kind, problem.model, label)
    return problem.hold(x)
