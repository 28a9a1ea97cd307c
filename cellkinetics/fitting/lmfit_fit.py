"""lmfit at work on one patient: as a minimiser of its own, and as a result that its reports understand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.fitting.batch import Ends, Minimise, Rows
from cellkinetics.fitting.objective import Data, Objective, Prior
from cellkinetics.models.base import Model

_PREFIX = {"log": "ln_", "logit": "logit_", "identity": ""}
_NO_NUMBER = 1e100  # stands for -2LL where it is none
_NATURAL = {"log": "exp({})", "logit": "1/(1+exp(-{}))", "identity": "1*{}"}


def one_by_one(objective: Objective, data: Data, prior: Prior) -> Minimise:
    """Return a function that minimises -2LL from every row in turn with lmfit (method BFGS, our gradient)."""

    def minimise(rows: Rows) -> Ends:
        ends = Ends.at(rows.start)
        for k, patient in enumerate(rows.patient):
            mine = Data(*(array[patient] for array in data)), Prior(*(array[patient] for array in prior))
            ends.x[k], ends.value[k] = _minimise(objective, *mine, rows.pick(np.array([k])))
        return ends

    return minimise


def _minimise(objective: Objective, data: Data, prior: Prior, row: Rows) -> tuple[FloatArray, float]:
    import lmfit

    labels = _labels(objective)
    start, low, high, free = row.start[0], row.lower[0], row.upper[0], np.flatnonzero(row.free[0])
    # Inside by a margin: at a bound lmfit's own transformation has no slope to leave it by.
    margin = 0.01 * (high - low)
    x = np.where(row.free[0], np.clip(start, low + margin, high - margin), start)
    params = lmfit.Parameters()
    for k, label in enumerate(labels):
        if k in free:
            params.add(label, value=float(x[k]), min=low[k], max=high[k])
        else:
            params.add(label, value=float(x[k]), vary=False)
    last: dict[bytes, tuple[float, FloatArray]] = {}

    def evaluate(point: FloatArray) -> tuple[float, FloatArray]:
        key = point.tobytes()
        if key not in last:
            last.clear()  # lmfit asks for value and gradient of one point in turn
            value, gradient = objective.value_and_gradient(jnp.asarray(point), data, prior)
            last[key] = float(value), np.asarray(gradient)
            if not (np.isfinite(last[key][0]) and np.isfinite(last[key][1]).all()):
                # One step too far, from which the line search turns back.
                last[key] = _NO_NUMBER, np.zeros(len(point))
        return last[key]

    def vector(params: Any) -> FloatArray:
        return np.array([params[label].value for label in labels])

    # A step that leads nowhere is the line search's own affair; `evaluate` looks at what comes of it.
    with np.errstate(all="ignore"):
        result = lmfit.minimize(
            lambda params: evaluate(vector(params))[0],
            params,
            # Not L-BFGS-B: its small LAPACK calls wake every BLAS thread, ten times the CPU seconds.
            method="bfgs",
            calc_covar=False,
            jac=lambda params: evaluate(vector(params))[1][free],
            options={"maxiter": 500, "gtol": 1e-5},
        )
    end = vector(result.params)
    value = evaluate(end)[0]
    return end, value if value < _NO_NUMBER else np.inf


def _labels(objective: Objective) -> tuple[str, ...]:
    model = objective.model
    residual = tuple(f"ln_{name}" for name in objective.residual.names)
    return (*(f"{_PREFIX[p.transform]}{p.name}" for p in model.parameters), *residual)


@dataclass(frozen=True, eq=False)
class LmfitView:
    """One patient's fit as lmfit sees it, made when it is asked for.

    lmfit minimises the weighted residuals at the sigma that was found, which ends where the likelihood does:

        (y - f)/sd                             of a quantified sample, under a normal residual
        sqrt((df + 1) ln(1 + ((y - f)/s)^2/df))  with the sign of y - f, under Student's t
        sqrt(-2 ln P)                          of a sample beyond its limit, or in an interval
        L^T (phi - m),  L L^T = P              of a prior

    with sd that of the optimum, where it changes with f.

    Attributes:
        objective: the likelihood.
        data: the patient's samples.
        x: the optimum, transformed scale.
        lower, upper, free: the box of the search.
        covariance: of ``x``, as our tables have it.
        stuck: elements at a bound or a kink, which have no standard error.
        prior: of ``phi``; zeros for none.
    """

    objective: Objective
    data: Data
    x: FloatArray
    lower: FloatArray
    upper: FloatArray
    free: BoolArray
    covariance: FloatArray
    stuck: BoolArray
    prior: Prior

    @property
    def model(self) -> Model:
        """The model of the fit."""
        return self.objective.model

    @cached_property
    def minimizer(self) -> Any:
        """An `lmfit.Minimizer` of this patient, at the optimum: ``lmfit.conf_interval(minimizer, result)`` runs."""
        import lmfit

        params = lmfit.Parameters()
        p = len(self.model.parameters)
        for k, label in enumerate(_labels(self.objective)):
            vary = bool(self.free[k]) and k < p and not self.stuck[k]
            params.add(label, value=float(self.x[k]), vary=vary, min=self.lower[k], max=self.upper[k])
        return lmfit.Minimizer(self._residuals, params, nan_policy="raise")

    @cached_property
    def result(self) -> Any:
        """An `lmfit.minimizer.MinimizerResult` with our estimates, standard errors and statistics."""
        result = self.minimizer.minimize(method="leastsq", max_nfev=2000)
        self._tell(result)
        return result

    def _residuals(self, params: Any) -> FloatArray:
        p = len(self.model.parameters)
        x = np.array([params[label].value for label in _labels(self.objective)])
        data, residual = self.data, self.objective.residual
        with jax.enable_x64(True):
            f, sd = self._prediction(x[:p]), residual.sd(self._prediction(self.x[:p]), jnp.exp(jnp.asarray(self.x[p:])))
            nll = residual.nll_of_spread(*(jnp.asarray(a) for a in (data.y, f, data.censored, sd, data.lower)))
        z = (np.asarray(data.y) - np.asarray(f)) / np.asarray(sd)
        if residual.kind == "student":
            z = np.sign(z) * np.sqrt((residual.df + 1.0) * np.log1p(z**2 / residual.df))
        beyond = np.sqrt(np.maximum(2.0 * np.asarray(nll), 0.0))
        ours = np.where(np.asarray(data.censored) == 0, z, beyond)[np.asarray(data.mask)]
        values, vectors = np.linalg.eigh(self.prior.precision)
        of_prior = np.sqrt(np.maximum(values, 0.0)) * ((x[:p] - self.prior.mean) @ vectors)
        return np.concatenate([ours, of_prior[values > 0]])

    def _prediction(self, phi: FloatArray) -> jax.Array:
        model = self.model
        return self.objective.residual.prediction(model.log_curve(model.to_natural(jnp.asarray(phi)), self.data.time))

    def _tell(self, result: Any) -> None:
        """Give lmfit's result our values, standard errors and statistics, so that its reports print them."""
        labels, p = _labels(self.objective), len(self.model.parameters)
        se = np.sqrt(np.diag(self.covariance))
        se = np.where(self.stuck, 0.0, se)
        known = np.flatnonzero(se > 0).tolist()
        for k in np.flatnonzero(self.free).tolist():
            parameter = result.params[labels[k]]
            parameter.value = float(self.x[k])
            if se[k] > 0:
                parameter.stderr = float(se[k])
                parameter.correl = {labels[j]: float(self.covariance[k, j] / (se[k] * se[j])) for j in known if j != k}
        varied = [labels.index(label) for label in result.var_names]
        result.covar = self.covariance[np.ix_(varied, varied)]
        result.errorbars = bool(known)
        with jax.enable_x64(True):
            value, _ = self.objective.value_and_gradient(jnp.asarray(self.x), self.data, self.prior)
            theta = np.asarray(self.model.to_natural(jnp.asarray(self.x[:p])))
        count = int(self.free.sum())
        result.aic = float(value) + 2.0 * count
        result.bic = float(value) + count * float(np.log(result.ndata))
        for k, parameter in enumerate(self.model.parameters):
            if parameter.transform == "identity":
                continue
            result.params.add(parameter.name, expr=_NATURAL[parameter.transform].format(labels[k]))
            slope = theta[k] if parameter.transform == "log" else theta[k] * (1 - theta[k])
            result.params[parameter.name].stderr = float(slope * se[k]) if se[k] > 0 else None
        for k, name in enumerate(self.objective.residual.names, start=p):
            result.params.add(name, expr=f"exp({labels[k]})")
            result.params[name].stderr = float(np.exp(self.x[k]) * se[k]) if se[k] > 0 else None
