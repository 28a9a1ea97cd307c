"""Models that are systems of differential equations, solved on the log scale.

A `System` says where its states start, how they change before and after one change point (the day ``tmax``,
or none), and what of them is measured. `dynamic_model` makes a `Model` of it that every fitter takes:

* States are logarithms, so cells stay positive and the error that the solver controls is a relative one.
  Dormand and Prince's method of order 8 (7) with a relative and absolute tolerance of 1e-12 a step; against
  closed forms ln C is right to 1e-9 and better.
* A change point is the end of one solution and the start of the next, never a jump inside a step.
* Derivatives are those of the solution as computed, carried forward through the steps; reverse mode uses the
  same matrix, so both agree to the last digits. Second and higher ones are had in the same way.
* Before infusion ln C is continued by its slope at infusion.

Needs the extra ``ode``: ``pip install "cellkinetics[ode]"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from numpy.typing import NDArray

from cellkinetics.errors import ModelError
from cellkinetics.models.base import Derived, Model, Parameter

try:
    import diffrax
except ImportError:
    raise ModelError('models of differential equations need diffrax: pip install "cellkinetics[ode]"') from None

TOLERANCE = 1e-12
"""Relative and absolute tolerance of a step, on the log scale."""
MOST_STEPS = 200_000
"""Steps after which a solution is given up; what was not reached is infinite."""
_SHORTEST = 1e-6  # days that a solution spans at least
_OVERFLOW = 1e30

Values = Mapping[str, jax.Array]
"""Parameters by name, scalars on the natural scale."""
Field = Callable[[Values, jax.Array], jax.Array]
"""Parameters and states ``(n,)`` to their rates of change ``(n,)``."""


@dataclass(frozen=True)
class System:
    """Differential equations, autonomous on either side of the change point.

    Attributes:
        name, title, parameters, source: as those of a `Model`.
        start: parameters -> states at infusion ``(n,)``.
        before: rates of change until ``tmax``, or for ever where there is no ``after``.
        after: rates of change from ``tmax`` on, a parameter of the system then; None without a change point.
        log_value: parameters and states -> ln of what is measured.
        outputs: name -> ln of a quantity of the system, from parameters and states.
        derived: quantities computed from ``theta`` besides the area.
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    start: Callable[[Values], jax.Array]
    before: Field
    after: Field | None
    log_value: Callable[[Values, jax.Array], jax.Array]
    outputs: Mapping[str, Callable[[Values, jax.Array], jax.Array]]
    source: str
    derived: tuple[Derived, ...] = ()

    def __hash__(self) -> int:
        return hash(self.name)

    def values(self, theta: jax.Array) -> Values:
        """Return ``theta`` (p,) by name."""
        return {parameter.name: theta[k] for k, parameter in enumerate(self.parameters)}

    @cached_property
    def model(self) -> Model:
        """The system as a model."""
        return dynamic_model(self)

    def trajectories(self, values: Mapping[str, float], time: Sequence[float]) -> dict[str, NDArray[np.float64]]:
        """Return every output of the system on the natural scale at ``time`` (m,), not before day 0.

        Raises:
            ModelError: if a parameter is missing or unknown, or a time lies before infusion.
        """
        if np.min(time) < 0:
            raise ModelError(f"{self.name}: trajectories begin at infusion, day 0, not on day {np.min(time):g}")
        with jax.enable_x64(True):
            theta = jnp.asarray(self.model.theta(values))
            states = jax.jit(_solve, static_argnums=0)(self, theta, jnp.asarray(np.asarray(time, dtype=float)))[0]
            named = self.values(theta)
            return {
                name: np.exp(np.asarray(jax.vmap(lambda y, f=f: f(named, y))(states)))
                for name, f in self.outputs.items()
            }


def dynamic_model(system: System) -> Model:
    """Return the model of a system of differential equations, with its area by an extra state.

    The area is W(end) - W(start), W the integral of C from infusion, carried on the log scale: its error is
    relative to the area from infusion on. An infinite end is refused.
    """

    def solved(theta: jax.Array, time: jax.Array) -> jax.Array:
        states, _ = _solve(system, theta, time)
        values = system.values(theta)
        first = system.start(values)
        # Before infusion: the slope at infusion goes on.
        slope = _slope(system, values, first, jnp.zeros((), bool))
        value = jax.vmap(lambda y: system.log_value(values, y))(states)
        return value + jnp.minimum(time, 0.0) * slope

    def in_time(theta: jax.Array, time: jax.Array) -> jax.Array:
        states, late = _solve(system, theta, time)
        return jax.vmap(lambda y, side: _slope(system, system.values(theta), y, side))(states, late)

    curve = jax.jit(_differentiable(solved, in_time))

    @jax.jit
    def area(theta: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
        extended = _with_area(system)
        both = jnp.maximum(jnp.stack([start, end]), 0.0)
        states, _ = _solve(extended, theta, both)
        grown = jnp.expm1(states[:, -1])
        scale = jnp.exp(system.log_value(system.values(theta), system.start(system.values(theta))))
        return jnp.maximum(scale * (grown[1] - grown[0]), 0.0)

    def checked_area(theta: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
        if not isinstance(end, jax.core.Tracer) and np.isinf(end).any():
            raise ModelError(f"model {system.name} has an area over a finite interval only; give its end in days")
        return area(theta, start, end)

    month = Derived(
        "auc_0_28",
        lambda theta: area(theta, jnp.zeros(()), jnp.full((), 28.0)),
        "area",
        "area from day 0 to day 28",
    )
    return Model(
        name=system.name,
        title=system.title,
        parameters=system.parameters,
        log_curve=curve,
        area=checked_area,
        derived=(*system.derived, month),
        source=system.source,
    )


def _differentiable(
    function: Callable[[jax.Array, jax.Array], Any], in_time: Callable[[jax.Array, jax.Array], jax.Array] | None
) -> Callable[[jax.Array, jax.Array], Any]:
    """Return a function of ``theta`` and time that can be differentiated forward, in reverse, and again.

    A loop of adaptive length has no transpose, but a product with its whole Jacobian has one. That Jacobian is
    carried forward through the loop, and is such a function itself.
    """

    @jax.custom_jvp
    def smooth(theta: jax.Array, time: jax.Array) -> Any:
        return function(theta, time)

    def rule(primals: tuple[jax.Array, jax.Array], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
        theta, time = primals
        by_theta, by_time = tangents
        value, jacobian = _differentiable(_with_jacobian(function), None)(theta, time)
        step = jnp.zeros_like(theta) if isinstance(by_theta, SymbolicZero) else by_theta
        change = jax.tree.map(lambda slopes: slopes @ step, jacobian)
        if not isinstance(by_time, SymbolicZero):
            if in_time is None:
                raise ModelError("differential equations: derivatives in parameters and time at once are not available")
            change = change + in_time(theta, time) * by_time
        return value, change

    smooth.defjvp(rule, symbolic_zeros=True)
    return smooth


def _with_jacobian(
    function: Callable[[jax.Array, jax.Array], Any],
) -> Callable[[jax.Array, jax.Array], tuple[Any, Any]]:
    def both(theta: jax.Array, time: jax.Array) -> tuple[Any, Any]:
        def twice(point: jax.Array) -> tuple[Any, Any]:
            value = function(point, time)
            return value, value

        jacobian, value = jax.jacfwd(twice, has_aux=True)(theta)
        return value, jacobian

    return both


def _slope(system: System, values: Values, states: jax.Array, late: jax.Array) -> jax.Array:
    """Return d ln C / dt at states before, or after, the change point."""
    rates = _rates(system, values, states, late)
    return jax.jvp(lambda y: system.log_value(values, y), (states,), (rates,))[1]


def _rates(system: System, values: Values, states: jax.Array, late: jax.Array) -> jax.Array:
    if system.after is None:
        return system.before(values, states)
    return jnp.where(late, system.after(values, states), system.before(values, states))


def _with_area(system: System) -> System:
    """Add the state w = ln(1 + A / (C0 * 1 day)), A the area since infusion: w' = (C / C0) exp(-w)."""

    def start(values: Values) -> jax.Array:
        return jnp.append(system.start(values), 0.0)

    def extend(field: Field) -> Field:
        def extended(values: Values, states: jax.Array) -> jax.Array:
            first = system.log_value(values, system.start(values))
            level = system.log_value(values, states[:-1])
            return jnp.append(field(values, states[:-1]), jnp.exp(level - first - states[-1]))

        return extended

    after = None if system.after is None else extend(system.after)
    return replace(system, start=start, before=extend(system.before), after=after)


def _solve(system: System, theta: jax.Array, time: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return states ``(m, n)`` at ``time`` (m,), those of infusion before it, and where the change is past."""
    values = system.values(theta)
    order = jnp.argsort(time)
    days = jnp.maximum(time[order], 0.0)
    last = jnp.maximum(days[-1], _SHORTEST)
    first = system.start(values)
    if system.after is None:
        states, late = _segment(system, theta, first, last, days, jnp.zeros((), bool)), jnp.zeros(len(days), bool)
    else:
        change = values["tmax"]
        edges = jnp.stack([jnp.zeros_like(change), change, jnp.maximum(last, change + _SHORTEST)])

        # One loop for both sides, so that the solver is compiled once.
        def side(state: jax.Array, k: jax.Array) -> tuple[jax.Array, jax.Array]:
            begin, end = edges[k], edges[k + 1]
            within = jnp.append(jnp.clip(days, begin, end) - begin, end - begin)
            solved = _segment(system, theta, state, end - begin, within, k == 1)
            return solved[-1], solved[:-1]

        _, both = jax.lax.scan(side, first, jnp.arange(2))
        late = days >= change
        states = jnp.where(late[:, None], both[1], both[0])
    back = jnp.argsort(order)
    return states[back], late[back]


def _segment(
    system: System, theta: jax.Array, first: jax.Array, span: jax.Array, days: jax.Array, late: jax.Array
) -> jax.Array:
    """Return states ``(m, n)`` at ``days`` (m,) after the start, which rise and lie within ``span``."""

    def field(_: object, states: jax.Array, args: tuple[jax.Array, ...]) -> jax.Array:
        rates = args[2] * _rates(system, system.values(args[0]), states, args[1])
        # A trial step that is far too long may overflow: a large error shortens it, one that is no number does not.
        return jnp.where(jnp.isfinite(rates), rates, _OVERFLOW)

    # In units of the span, so that the ends of the solution do not depend on the parameters.
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Dopri8(),
        t0=0.0,
        t1=1.0,
        dt0=None,
        y0=first,
        args=(theta, late, span),
        saveat=diffrax.SaveAt(ts=days / span),
        stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        adjoint=diffrax.ForwardMode(),
        max_steps=MOST_STEPS,
        throw=False,
    )
    assert solution.ys is not None
    return solution.ys
