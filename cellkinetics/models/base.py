"""What a model is: named parameters with transforms, and ln C(t) as a differentiable function."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.errors import ModelError
from cellkinetics.models.phases import Phases

Transform = Literal["log", "logit", "identity"]
LogCurve = Callable[..., jax.Array]
"""``(theta, time)``, and the inputs for a model that has some, to ln C."""
Intervals = Mapping[str, Sequence[tuple[float, float]]]
"""From and to which day each input of a model is given."""


@dataclass(frozen=True)
class Parameter:
    """A model parameter: its name, scale of random effects, unit, sensible bounds and meaning.

    Attributes:
        transform: scale ``h`` on which the parameter is normally distributed in a population.
        unit: unit kind of `cellkinetics.units.unit_label` (``value``, ``time``, ``rate``, ``none``).
        lower, upper: bounds of sense on the natural scale, used by per-patient fits.
    """

    name: str
    transform: Transform
    unit: str
    lower: float
    upper: float
    meaning: str

    def transformed(self, value: float) -> float:
        """Return ``h(value)``; infinite or NaN where it is none.

        Example:
            >>> Parameter("fb", "logit", "none", 1e-7, 0.9999, "a fraction").transformed(0.5)
            0.0
        """
        if self.transform == "identity":
            return float(value)
        if 0.0 < value < 1.0 or (self.transform == "log" and value >= 1.0):
            return math.log(value) - (math.log1p(-value) if self.transform == "logit" else 0.0)
        with np.errstate(all="ignore"):
            return float(np.log(value) if self.transform == "log" else np.log(value) - np.log1p(-value))

    def natural(self, value: float) -> float:
        """Return the value whose ``h`` is given, the inverse of `transformed`.

        Example:
            >>> Parameter("fb", "logit", "none", 1e-7, 0.9999, "a fraction").natural(0.0)
            0.5
        """
        if self.transform == "identity":
            return float(value)
        sign = 1.0 if self.transform == "log" else -1.0
        try:
            power = math.exp(sign * value)
        except OverflowError:
            power = math.inf
        return power if self.transform == "log" else 1.0 / (1.0 + power)


class Peak(NamedTuple):
    """The highest point of a curve.

    Attributes:
        value: level, natural scale.
        day: days since infusion.
    """

    value: float
    day: float


@dataclass(frozen=True)
class Model:
    """A kinetic model: ``log_curve(theta, time)`` returns ln C at each time.

    Attributes:
        name: short name, as given to ``--model``.
        title: one line for people.
        parameters: in the order of ``theta``.
        log_curve: JAX function of ``theta`` (p,) on the natural scale and ``time`` (m,) -> (m,). A model with
            inputs takes their intervals (k, w, 2), see `intervals`, as a third argument; None for none given.
        inputs: names of what may be given over intervals of time and changes the curve, such as comedication.
        area: JAX function of ``theta`` (p,), start, end -> exact AUC over the interval, or None.
        time_below: JAX function of ``theta`` (p,), level -> day from which the curve stays below it, or None.
        peak: JAX function of ``theta`` (p,) -> value and day of the realised peak, or None.
        derived: quantities computed from ``theta``: name -> (function, unit kind, meaning).
        search_curve: a smooth twin of ``log_curve`` for optimisers that expand around a mode, or
            None where ``log_curve`` is smooth itself. Conditional modes are those of the twin; the
            likelihood that is reported is that of ``log_curve``.
        source: where the equations come from.
        phases: for a member of the expansion family, its phases.

    Example (a model of one's own, mono-exponential decline):
        >>> import jax.numpy as jnp
        >>> decline = Model(
        ...     name="decline", title="mono-exponential decline",
        ...     parameters=(Parameter("c0", "log", "value", 1e-2, 1e8, "value at infusion"),
        ...                 Parameter("k", "log", "rate", 1e-4, 10.0, "decline rate")),
        ...     log_curve=lambda theta, t: jnp.log(theta[0]) - theta[1] * t)
        >>> round(float(decline.predict({"c0": 100.0, "k": 0.1}, [0.0, 10.0])[1]), 4)
        36.7879
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    log_curve: LogCurve
    inputs: tuple[str, ...] = ()
    area: Callable[..., jax.Array] | None = None
    time_below: Callable[..., jax.Array] | None = None
    peak: Callable[..., tuple[jax.Array, jax.Array]] | None = None
    derived: tuple[Derived, ...] = ()
    search_curve: LogCurve | None = None
    source: str = ""
    phases: Phases | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names in the order of ``theta``."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def identity(self) -> str | None:
        """The name by which another run finds this very model; None for a model of one's own."""
        from cellkinetics.models.registry import get_model  # the registry is made of models

        try:
            return self.name if get_model(self.name) is self else None
        except ModelError:
            return None

    def __getitem__(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise ModelError(f"model {self.name} has no parameter {name!r}; it has {', '.join(self.names)}")

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        # To another process a model of ours goes by its name: its functions are made, and cannot be sent.
        from cellkinetics.models.registry import get_model

        known: Model | None = None
        with contextlib.suppress(ModelError):
            known = get_model(self.name)
        return (get_model, (self.name,)) if known is self else super().__reduce_ex__(protocol)

    def theta(self, values: Mapping[str, float]) -> NDArray[np.float64]:
        """Return named values as a vector in the model's order.

        Raises:
            ModelError: if a parameter is missing or unknown.
        """
        missing = [name for name in self.names if name not in values]
        unknown = [name for name in values if name not in self.names]
        if missing or unknown:
            raise ModelError(
                f"model {self.name} takes {', '.join(self.names)}"
                + (f"; missing: {', '.join(missing)}" if missing else "")
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            )
        return np.array([float(values[name]) for name in self.names])

    def check_values(self, values: Mapping[str, float]) -> None:
        """Check that named values, all parameters or some, lie on the scale of their transform.

            log:       0 < x < inf
            logit:     0 < x < 1
            identity:  -inf < x < inf

        Raises:
            ModelError: for a name that is no parameter, or a value out of its range, naming both.

        Example:
            >>> from cellkinetics.models.ecp import ECP
            >>> ECP.check_values({"fb": 1.5})
            Traceback (most recent call last):
            ...
            cellkinetics.errors.ModelError: fb of model ecp must be a number between 0 and 1, exclusive, not 1.5
        """
        for name, value in values.items():
            (low, high), words = _RANGE[self[name].transform]
            is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
            if not (is_number and low < value < high):
                raise ModelError(f"{name} of model {self.name} must be {words}, not {value!r}")

    def intervals(self, given: Intervals | None) -> NDArray[np.float64] | None:
        """Return when each input is given as an array ``(k, w, 2)``, padded with intervals of no length.

        Args:
            given: input to its intervals (from day, to day); one left out is not given at all.

        Returns:
            The array, or None for a model without inputs.

        Raises:
            ModelError: for an input that the model does not have, or an interval that ends before it begins.
        """
        given = given or {}
        for name, spans in given.items():
            if name not in self.inputs:
                has = f"it takes {', '.join(self.inputs)}" if self.inputs else "it takes none"
                raise ModelError(f"model {self.name} has no input {name!r}; {has}")
            if any(not from_day <= to_day for from_day, to_day in spans):
                raise ModelError(f"input {name!r}: each interval is (from day, to day), in this order, not {spans!r}")
        if not self.inputs:
            return None
        widest = max([1, *(len(spans) for spans in given.values())])
        array = np.zeros((len(self.inputs), widest, 2))
        for k, name in enumerate(self.inputs):
            for w, span in enumerate(given.get(name, ())):
                array[k, w] = span
        return array

    def predict(
        self, values: Mapping[str, float], time: object, *, given: Intervals | None = None
    ) -> NDArray[np.float64]:
        """Return C(t) on the natural scale for named parameter values, shape of ``time``, float64.

        Args:
            values: every parameter.
            time: days.
            given: inputs of the model, see `intervals`.
        """
        with jax.enable_x64(True):
            theta = jnp.asarray(self.theta(values))
            return np.exp(np.asarray(self.log_curve(theta, jnp.asarray(time, dtype=float), *self._input(given))))

    def auc(self, values: Mapping[str, float], start: float, end: float, *, given: Intervals | None = None) -> float:
        """Return the exact area under C between two times (``end`` may be infinite).

        Raises:
            ModelError: if the model has no closed form of its area.
        """
        if self.area is None:
            raise ModelError(f"model {self.name} has no closed-form area")
        with jax.enable_x64(True):
            theta = jnp.asarray(self.theta(values))
            return float(self.area(theta, jnp.asarray(float(start)), jnp.asarray(float(end)), *self._input(given)))

    def below(self, values: Mapping[str, float], level: float, *, given: Intervals | None = None) -> float:
        """Return the day from which the curve stays below a level; infinite if it never does.

        Raises:
            ModelError: if the model has no rule for it, or the level is not positive.
        """
        if self.time_below is None:
            raise ModelError(f"model {self.name} cannot tell when it falls below a level")
        if not 0 < level < np.inf:
            raise ModelError(f"a level is a positive number, not {level!r}")
        with jax.enable_x64(True):
            theta = jnp.asarray(self.theta(values))
            return float(self.time_below(theta, jnp.asarray(float(level)), *self._input(given)))

    def realised_peak(self, values: Mapping[str, float], *, given: Intervals | None = None) -> Peak:
        """Return the highest value that the curve reaches, and its day.

        It is another than the parameter ``cmax`` with comedication and with a smooth switch. A distribution phase
        that begins higher is no peak of the expansion and does not count.

        Raises:
            ModelError: if the model has no rule for it.

        Example:
            >>> from cellkinetics.models.registry import get_model
            >>> values = {"cmax": 24e3, "tmax": 9.3, "foldx": 3900, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}
            >>> peak = get_model("ecp+smooth=1").realised_peak(values)
            >>> round(peak.value), round(peak.day, 3)
            (26324, 10.122)
        """
        if self.peak is None:
            raise ModelError(f"model {self.name} cannot tell its peak")
        with jax.enable_x64(True):
            value, day = self.peak(jnp.asarray(self.theta(values)), *self._input(given))
            return Peak(float(value), float(day))

    def _input(self, given: Intervals | None) -> tuple[jax.Array, ...]:
        array = self.intervals(given)
        return () if array is None else (jnp.asarray(array),)

    def to_natural(self, phi: jax.Array) -> jax.Array:
        """Map transformed parameters ``phi`` (..., p) to the natural scale (JAX)."""
        columns = [_INVERSE[p.transform](phi[..., k]) for k, p in enumerate(self.parameters)]
        return jnp.stack(columns, axis=-1)

    def natural_values(self, phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map transformed parameters ``phi`` (..., p) to the natural scale (numpy: nothing to compile)."""
        return _columns(phi, [_PLAIN_INVERSE[p.transform] for p in self.parameters])

    def working_values(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map natural parameters ``theta`` (..., p) to the scale of the random effects (numpy).

        Example:
            >>> from cellkinetics.models.ecp import ECP
            >>> theta = np.array([24e3, 9.3, 3900.0, 0.16, 0.5, 0.0032])
            >>> phi = ECP.working_values(theta)
            >>> float(phi[4]), bool(np.allclose(ECP.natural_values(phi), theta))
            (0.0, True)
        """
        return _columns(theta, [_PLAIN[p.transform] for p in self.parameters])

    def to_transformed(self, theta: jax.Array) -> jax.Array:
        """Map natural parameters ``theta`` (..., p) to the scale of the random effects (JAX)."""
        columns = [_FORWARD[p.transform](theta[..., k]) for k, p in enumerate(self.parameters)]
        return jnp.stack(columns, axis=-1)


def _columns(values: NDArray[np.float64], functions: list[Callable[..., Any]]) -> NDArray[np.float64]:
    columns = np.moveaxis(np.asarray(values, dtype=float), -1, 0)
    return np.stack([function(column) for function, column in zip(functions, columns, strict=True)], axis=-1)


@dataclass(frozen=True)
class Derived:
    """A quantity derived from a model's parameters, such as a half-life."""

    name: str
    function: Callable[[jax.Array], jax.Array]
    unit: str
    meaning: str


def _logit(x: jax.Array) -> jax.Array:
    return jnp.log(x) - jnp.log1p(-x)


def _identity(x: jax.Array) -> jax.Array:
    return x


_RANGE: dict[str, tuple[tuple[float, float], str]] = {
    "log": ((0.0, np.inf), "a finite number above 0"),
    "logit": ((0.0, 1.0), "a number between 0 and 1, exclusive"),
    "identity": ((-np.inf, np.inf), "a finite number"),
}
_PLAIN: dict[str, Callable[..., Any]] = {
    "log": np.log,
    "logit": lambda x: np.log(x) - np.log1p(-x),
    "identity": lambda x: x,
}
_PLAIN_INVERSE: dict[str, Callable[..., Any]] = {
    "log": np.exp,
    "logit": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "identity": lambda x: x,
}
_FORWARD: dict[str, Callable[[jax.Array], jax.Array]] = {"log": jnp.log, "logit": _logit, "identity": _identity}
_INVERSE: dict[str, Callable[[jax.Array], jax.Array]] = {
    "log": jnp.exp,
    "logit": jax.nn.sigmoid,
    "identity": _identity,
}
