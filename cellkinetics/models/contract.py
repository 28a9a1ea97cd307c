"""What every model must keep, as one check that runs on the models here and on a user's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.errors import ModelError
from cellkinetics.models.base import Model

DAYS = (-30.0, -1.0, 0.0, 0.5, 1.0, 3.0, 7.0, 9.3, 14.0, 28.0, 90.0, 365.0, 5000.0)
"""Times at which a curve must be finite."""
_CORNERS = 256
_QUANTITIES = 20  # points at which areas and derived quantities are looked at
_LARGEST = 700.0  # of ln C: beyond it C is no number in double precision
_END, _HALVINGS = 40.0, 8  # of the areas that are compared
_FRACTIONS, _CLOSE = (1.5, 0.95, 0.5, 0.01), 1e-6  # levels of the peak; of ln C
_LATER = (0.01, 0.1, 1.0, 10.0, 1000.0)


def check_model(
    model: Model, *, days: Sequence[float] = DAYS, points: int = 20, seed: int = 0, tolerance: float = 1e-5
) -> None:
    """Check that a model keeps what every fitter relies on; say nothing if it does.

    1. Names are different, and words; bounds lie inside the scale of the transform, the lower below the upper.
    2. ln C has the shape of the times and is finite, with finite derivatives in every parameter, at every
       corner of the bounds, at all ``days``.
    3. At random points inside the bounds the derivatives agree with central differences (parameters within
       a step of a corner of the curve apart), in double precision.
    4. The area, where there is one, agrees with quadrature of the curve; derived quantities are finite.
       The curve is at a level on the day from which it stays below it, and below it later; the realised peak is
       the curve on its day, which is not higher later, nor (without a distribution phase) just before.
    5. It can be compiled, and mapped over patients.

    Args:
        model: the model.
        days: times at which the curve is looked at.
        points: number of random points.
        seed: of the random points.
        tolerance: largest difference of derivatives, relative to the largest one of the point.

    Raises:
        ModelError: naming the first promise that is not kept, where, and what came out.

    Example:
        >>> from cellkinetics.models.registry import get_model
        >>> check_model(get_model("ecp+lag"), points=3)
    """
    _check_parameters(model)
    with jax.enable_x64(True):
        time = jnp.asarray(np.asarray(days, dtype=float))
        given = () if not model.inputs else (jnp.asarray([[[2.0, 6.0]]] * len(model.inputs)),)
        _Checks(model, time, given, tolerance).run(points, seed)


def _check_parameters(model: Model) -> None:
    def fail(what: str) -> None:
        raise ModelError(f"model {model.name}: {what}")

    names = [*model.names, *(quantity.name for quantity in model.derived)]
    for name in names:
        if not name.isidentifier():
            fail(f"{name!r} is no word of letters, digits and underscores")
        if names.count(name) > 1:
            fail(f"the name {name!r} is given twice")
    if not model.parameters:
        fail("it has no parameter")
    for parameter in model.parameters:
        low, high = parameter.lower, parameter.upper
        if not low < high:
            fail(f"the bounds of {parameter.name} are {low} and {high}; the lower must be below the upper")
        try:
            model.check_values({parameter.name: low})
            model.check_values({parameter.name: high})
        except ModelError as error:
            raise ModelError(f"model {model.name}: a bound does not suit the transform: {error}") from None


class _Checks:
    """The checks of one model, with its functions compiled once."""

    def __init__(self, model: Model, time: jax.Array, given: tuple[jax.Array, ...], tolerance: float) -> None:
        self.model, self.time, self.given, self.tolerance = model, time, given, tolerance

        def curve(phi: jax.Array) -> jax.Array:
            return model.log_curve(model.to_natural(phi), time, *given)

        self.curve, self.jacobian = jax.jit(curve), jax.jit(jax.jacfwd(curve))
        self.reverse = jax.jit(jax.jacrev(curve))
        self.one_curve = jax.jit(lambda theta, days: model.log_curve(theta, days, *given))
        peak, below = model.peak, model.time_below
        self.peak = None if peak is None else jax.jit(lambda theta: peak(theta, *given))
        self.below = None if below is None else jax.jit(lambda theta, level: below(theta, level, *given))
        self.low = np.asarray(model.to_transformed(jnp.asarray([p.lower for p in model.parameters])))
        self.high = np.asarray(model.to_transformed(jnp.asarray([p.upper for p in model.parameters])))

    def fail(self, what: str, phi: np.ndarray) -> None:
        theta = np.asarray(self.model.to_natural(jnp.asarray(phi)))
        where = ", ".join(f"{name}={value:.6g}" for name, value in zip(self.model.names, theta, strict=True))
        raise ModelError(f"model {self.model.name}: {what}, at {where}")

    def corners(self) -> Iterator[np.ndarray]:
        p = len(self.low)
        every = itertools.product((False, True), repeat=p)
        picked = list(every) if 2**p <= _CORNERS else np.random.default_rng(0).random((_CORNERS, p)) < 0.5
        for corner in picked:
            yield np.where(np.asarray(corner), self.high, self.low)

    def run(self, points: int, seed: int) -> None:
        for phi in self.corners():
            self.finite(phi)
        rng = np.random.default_rng(seed)
        inside = self.low + (0.05 + 0.9 * rng.random((points, len(self.low)))) * (self.high - self.low)
        for k, phi in enumerate(inside):
            self.finite(phi)
            self.slopes(phi)
            if k < _QUANTITIES:
                self.quantities(phi)
        many = jax.jit(jax.vmap(lambda phi: self.model.log_curve(self.model.to_natural(phi), self.time, *self.given)))(
            jnp.asarray(inside)
        )
        one = np.stack([np.asarray(self.curve(phi)) for phi in inside])
        if not np.allclose(np.asarray(many), one, rtol=1e-9, atol=1e-9):
            self.fail("mapped over patients it gives another curve than for one", inside[0])

    def finite(self, phi: np.ndarray) -> None:
        value = np.asarray(self.curve(phi))
        if value.shape != self.time.shape:
            self.fail(f"ln C has the shape {value.shape} for times of the shape {self.time.shape}", phi)
        if value.dtype != np.float64:
            self.fail(f"ln C is {value.dtype}, not float64", phi)
        for what, array in (("ln C", value), ("a derivative of ln C", np.asarray(self.jacobian(phi)))):
            bad = ~np.isfinite(array.reshape(len(self.time), -1)).all(axis=1)
            if bad.any():
                self.fail(f"{what} is no finite number at day {float(self.time[np.argmax(bad)]):g}", phi)

    def slopes(self, phi: np.ndarray) -> None:
        exact, reverse = np.asarray(self.jacobian(phi)), np.asarray(self.reverse(phi))
        scale = max(float(np.abs(exact).max()), 1.0)
        if not np.abs(exact - reverse).max() <= self.tolerance * scale:
            self.fail("forward and reverse derivatives differ", phi)
        for k in range(len(phi)):
            step = np.zeros_like(phi)
            step[k] = 1e-5
            ahead, behind, here = (np.asarray(self.curve(phi + d)) for d in (step, -step, 0 * step))
            central = (ahead - behind) / 2e-5
            # Where the slopes to either side differ a corner of the curve lies between: there is no derivative.
            smooth = np.abs((ahead - here) - (here - behind)) / 1e-5 <= 0.01 * scale
            wrong = smooth & (np.abs(exact[:, k] - central) > self.tolerance * scale)
            if wrong.any():
                day, name = float(self.time[np.argmax(wrong)]), self.model.names[k]
                self.fail(f"the derivative of ln C in {name} at day {day:g} is not that of differences", phi)

    def quantities(self, phi: np.ndarray) -> None:
        theta = self.model.to_natural(jnp.asarray(phi))
        for quantity in self.model.derived:
            value = float(quantity.function(theta))
            if not np.isfinite(value):
                self.fail(f"{quantity.name} is {value}", phi)
        if float(self.curve(phi).max()) > _LARGEST:
            return
        self.levels(phi, theta)
        if self.model.area is None:
            return
        got = float(self.model.area(theta, jnp.asarray(0.0), jnp.asarray(_END), *self.given))
        expected, error = self.quadrature(theta)
        if not abs(got - expected) <= max(1e-6 * abs(expected), 10.0 * error):
            self.fail(f"the area from day 0 to {_END:g} is {got / expected:.8g} times that of quadrature", phi)

    def levels(self, phi: np.ndarray, theta: jax.Array) -> None:
        def log_value(days: np.ndarray) -> np.ndarray:
            return np.asarray(self.one_curve(theta, jnp.asarray(days)))

        highest = float(self.curve(phi)[self.time >= 0.0].max())
        if self.peak is not None:
            value, day = map(float, self.peak(theta))
            highest = float(np.log(value))
            early = self.model.phases is None or not self.model.phases.distribution
            beside = [day, 0.999 * day if early else day, *(day + np.array(_LATER))]
            around = log_value(np.array(beside))
            if not (abs(around[0] - highest) <= _CLOSE and (around <= highest + _CLOSE).all()):
                self.fail(f"the peak {value:.8g} on day {day:g} is not the maximum of the curve", phi)
        if self.below is None:
            return
        for fraction in _FRACTIONS:
            target = highest + float(np.log(fraction))
            day = float(self.below(theta, jnp.exp(target)))
            if np.isnan(day) or (np.isposinf(day) and log_value(np.full(6, 1e9))[0] < target - _CLOSE):
                self.fail(f"the day below {np.exp(target):.6g} is {day}, but the curve does come below it", phi)
            if np.isposinf(day):
                continue
            there = log_value(day + np.array([0.0, *_LATER]))
            if not (abs(there[0] - target) <= _CLOSE or (fraction > 1.0 and there[0] < target)):
                self.fail(f"on day {day:.8g} the curve is {np.exp(there[0] - target):.8g} times the level", phi)
            if (there[1:] > target + _CLOSE).any():
                self.fail(f"after day {day:.8g} the curve is above the level again", phi)

    def quadrature(self, theta: jax.Array) -> tuple[float, float]:
        """Return the area by Gauss-Legendre panels, halved until it stays, and its last change."""
        days = [float(t) for p, t in zip(self.model.parameters, theta, strict=True) if p.unit == "time"]
        edges = np.unique(np.clip([0.0, *days, 2.0, 6.0, *np.linspace(0.0, _END, 41)], 0.0, _END))
        nodes, weights = np.polynomial.legendre.leggauss(16)
        area, change = np.inf, np.inf
        for _ in range(_HALVINGS):
            half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
            log_value = self.model.log_curve(theta, jnp.asarray((middle + half * nodes).ravel()), *self.given)
            if log_value.max() > _LARGEST:
                return np.inf, np.inf
            finer = float(((np.exp(np.asarray(log_value)).reshape(len(half), -1) * half) @ weights).sum())
            area, change = finer, abs(finer - area)
            if change <= 1e-9 * abs(area):
                break
            edges = np.sort(np.append(edges, middle[:, 0]))
        return area, change
