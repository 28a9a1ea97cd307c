"""Residual error models: the scale, the spread, and what the likelihood needs of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import jax
import jax.numpy as jnp

from cellkinetics.errors import SettingsError
from cellkinetics.models.censoring import normal_curvature, normal_nll, student_curvature, student_nll

Kind = Literal["constant", "proportional", "combined", "combined-root", "student"]


@dataclass(frozen=True)
class Residual:
    """A residual on the log or the natural scale; f is the prediction there, each s positive.

        kind            spread at f                       parameters
        constant        s                                 sigma
        student         s, of Student's t with df         sigma
        proportional    s |f|                             sigma
        combined        a + b |f|                         sigma_additive, sigma_proportional
        combined-root   sqrt(a^2 + b^2 f^2)               sigma_additive, sigma_proportional

    A proportional residual on the natural scale is not a constant one on the log scale: at 0.5 the former gives
    values below zero a share of 2.3 %, the latter none.

    Attributes:
        kind: ``constant``, ``student``, ``proportional``, ``combined`` or ``combined-root``.
        scale: ``log`` (the prediction is ln C) or ``natural`` (the prediction is C).
        df: degrees of freedom of ``student``.
    """

    kind: Kind = "constant"
    scale: Literal["log", "natural"] = "log"
    df: float = 4.0

    @property
    def name(self) -> str:
        """The name by which `get_residual` finds it."""
        label = f"{self.scale}-{self.kind}"
        return f"{label}:{self.df:g}" if self.kind == "student" and self.df != Residual.df else label

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the residual's parameters, each positive."""
        return ("sigma_additive", "sigma_proportional") if self.kind in _TWO else ("sigma",)

    @property
    def units(self) -> tuple[str, ...]:
        """Unit kinds of the parameters: that of the value where they are on its scale."""
        first = "value" if self.scale == "natural" and self.kind != "proportional" else "none"
        return (first, "none")[: len(self.names)]

    def prediction(self, log_value: jax.Array) -> jax.Array:
        """Map ln C to the scale of the residual."""
        return log_value if self.scale == "log" else jnp.exp(log_value)

    def observation(self, value: jax.Array) -> jax.Array:
        """Map measured values (or limits) to the scale of the residual."""
        return jnp.log(value) if self.scale == "log" else value

    def sd(self, prediction: jax.Array, values: jax.Array) -> jax.Array:
        """Return the spread at each prediction; ``values`` as in `names`.

        It is the standard deviation, but for ``student`` the scale of the t.
        """
        size = jnp.abs(prediction)
        if self.kind == "proportional":
            return values[0] * size
        if self.kind == "combined":
            return values[0] + values[1] * size
        if self.kind == "combined-root":
            return jnp.sqrt(values[0] ** 2 + (values[1] * size) ** 2)
        return values[0] * jnp.ones_like(prediction)

    def nll(
        self,
        y: jax.Array,
        prediction: jax.Array,
        censored: jax.Array,
        values: jax.Array,
        lower: jax.Array | None = None,
    ) -> jax.Array:
        """Return the negative log likelihood of each sample, elementwise (see `cellkinetics.models.censoring`)."""
        return self.nll_of_spread(y, prediction, censored, self.sd(prediction, values), lower)

    def nll_of_spread(
        self, y: jax.Array, prediction: jax.Array, censored: jax.Array, sd: jax.Array, lower: jax.Array | None = None
    ) -> jax.Array:
        """Return `nll` for a spread given sample by sample."""
        if self.kind == "student":
            return student_nll(y, prediction, sd, censored, self.df, lower)
        return normal_nll(y, prediction, sd, censored, lower)

    def curvature(
        self,
        y: jax.Array,
        prediction: jax.Array,
        censored: jax.Array,
        values: jax.Array,
        lower: jax.Array | None = None,
    ) -> jax.Array:
        """Return the Gauss-Newton curvature of the likelihood in the prediction, elementwise, >= 0.

            w = 1/sd^2 + (1/2) * (v'/v)^2,   v = sd^2

        The second term (the "interaction" of FOCEI) is zero for a constant residual. Censored samples have the
        curvature at constant sd.

        Source: Wang Y. J Pharmacokinet Pharmacodyn 2007;34:575-593, doi:10.1007/s10928-007-9060-6.
        """
        sd = self.sd(prediction, values)
        if self.kind == "student":
            return student_curvature(y, prediction, sd, censored, self.df, lower)
        weight = normal_curvature(y, prediction, sd, censored, lower)
        if self.kind == "proportional":
            relative = 1.0 / prediction
        elif self.kind == "combined":
            relative = values[1] / sd
        elif self.kind == "combined-root":
            relative = values[1] ** 2 * prediction / sd**2
        else:
            return weight
        return weight + jnp.where(censored == 0, 2.0 * relative**2, 0.0)


_TWO = ("combined", "combined-root")
LOG_CONSTANT = Residual("constant", "log")
residuals: Mapping[str, Residual] = MappingProxyType(
    {
        residual.name: residual
        for residual in (
            LOG_CONSTANT,
            Residual("student", "log"),
            Residual("proportional", "natural"),
            Residual("combined", "natural"),
            Residual("combined-root", "natural"),
        )
    }
)
"""The residuals by name, as ``--residual`` takes them."""
LEAST_DF, MOST_DF = 1.0, 100.0


def get_residual(residual: str | Residual) -> Residual:
    """Return a residual by name; ``log-student:6`` has 6 degrees of freedom instead of 4.

    Raises:
        SettingsError: for an unknown name, or degrees of freedom that are no number from 1 to 100.

    Example:
        >>> get_residual("natural-combined").names, get_residual("log-student:6").df
        (('sigma_additive', 'sigma_proportional'), 6.0)
    """
    if isinstance(residual, Residual):
        return residual
    name, _, df = str(residual).partition(":")
    if name not in residuals or (df and residuals[name].kind != "student"):
        raise SettingsError(
            f"there is no residual {residual!r}; there is {', '.join(residuals)} "
            "(log-student:6 for 6 degrees of freedom)"
        )
    if not df:
        return residuals[name]
    try:
        number = float(df)
    except ValueError:
        number = float("nan")
    if not LEAST_DF <= number <= MOST_DF:
        raise SettingsError(f"residual {residual!r}: degrees of freedom are a number from 1 to 100")
    return Residual("student", "log", number)
