"""Expansion, contraction, persistence: one family of closed forms, composed from phases.

Model (A) of Stein et al. 2019 is the member with neither more nor fewer phases:

    t <  T:  C = (Cmax / foldx) * exp(rho * t),   rho = ln(foldx) / T
    t >= T:  C = Cmax * [(1 - F) * exp(-alpha * (t - T)) + F * exp(-beta * (t - T))]

with T = tmax, F = fb. Equal to the two-state system dE/dt = rho*E, then -alpha*E; dM/dt = 0, then
F*(alpha - beta)*E - beta*M, with C = E + M. What precedes the peak stands in `cellkinetics.models.growth`,
what follows it in `cellkinetics.models.decline`.

Source: Stein AM, Grupp SA, Levine JE, et al. CPT Pharmacometrics Syst Pharmacol 2019;8:285-295,
doi:10.1002/psp4.12388, Methods (model equations).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.models.base import Derived, Model, Parameter
from cellkinetics.models.decline import Fall, fall_area, log_fall, time_to_fall
from cellkinetics.models.growth import LATEST, Rise, corners, log_peak, log_rise, rise_area
from cellkinetics.models.phases import Phases

SEARCH_WIDTH = 0.05
"""Width (days) of the smooth corners that mode searches use."""
_REACH = 40.0  # widths of a smooth switch beyond which one side's weight is below 1e-17
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_GRID = np.linspace(-20.0, _REACH, 601)  # widths from Tmax, among which a smooth switch has its peak
_HALVINGS = 60
_STEPS = np.array([-40.0, -30.0, -20.0, -15.0, *range(-10, 11), 15.0, 20.0, 30.0, 40.0])

_PARAMETERS = {
    "cmax": Parameter("cmax", "log", "value", 1e-3, 1e9, "value at the peak"),
    "tmax": Parameter("tmax", "log", "time", 0.5, 60.0, "time of the peak, where growth ends"),
    "foldx": Parameter("foldx", "log", "none", 1.0001, 1e8, "fold expansion from infusion to the peak"),
    "t0": Parameter("t0", "log", "time", 0.02, 20.0, "time of the nadir, where the distribution phase ends"),
    "delta": Parameter("delta", "log", "rate", 1e-3, 20.0, "rate of decline in the distribution phase"),
    "tlag": Parameter("tlag", "log", "time", 0.02, 40.0, "time at which growth begins"),
    "alpha": Parameter("alpha", "log", "rate", 1e-3, 5.0, "contraction rate after the peak"),
    "fb": Parameter("fb", "logit", "none", 1e-7, 0.9999, "fraction of the peak on the persistent phase"),
    "beta": Parameter("beta", "log", "rate", 1e-6, 0.5, "persistence rate"),
}
_SOURCES = {
    "lag": "lag: Ogasawara K et al. 2021, doi:10.1007/s40262-021-01039-5",
    "distribution": "distribution phase: own form of the phase named by Liu C et al. 2021",
    "smooth": "smooth switch: own",
}


def parameter_names(phases: Phases) -> tuple[str, ...]:
    """Return the parameters of a member of the family, in the order of ``theta``.

    Example:
        >>> parameter_names(Phases(lag=True, persistence=False))
        ('cmax', 'tmax', 'foldx', 'tlag', 'alpha')
    """
    names = ["cmax", "tmax", "foldx"]
    names += ["t0", "delta"] if phases.distribution else []
    names += ["tlag"] if phases.lag else []
    if phases.contraction:
        names += ["alpha", "fb", "beta"] if phases.persistence else ["alpha"]
    elif phases.persistence:
        names.append("beta")
    return (*names, *(f"f_{drug}" for drug in phases.comedication))


@cache
def expansion_model(phases: Phases) -> Model:
    """Return the model with these phases; the same phases give the same object.

    Its parameters are those of `parameter_names`, its area is exact (for a smooth switch by Gauss-Legendre
    quadrature around the peak, relative error below 1e-10).

    Args:
        phases: which phases there are; `cellkinetics.models.phases.parse_phases` reads them from a name.

    Example:
        >>> late = expansion_model(Phases(lag=True))
        >>> values = {"cmax": 24e3, "tmax": 9.3, "foldx": 251, "tlag": 3.27, "alpha": 0.14, "fb": 0.01, "beta": 0.002}
        >>> late.predict(values, [0.0, 3.0, 9.3]).round(3).tolist()
        [95.618, 95.618, 24000.0]
    """
    build = _Builder(phases)
    smooth = phases.smooth
    curve = build.curve if smooth is None else build.blended(smooth)
    pieces = [text for phase, text in _SOURCES.items() if getattr(phases, phase)]
    return Model(
        name=phases.name,
        title=_title(phases),
        parameters=tuple(_parameter(name) for name in build.names),
        log_curve=curve,
        inputs=phases.comedication,
        area=build.area,
        time_below=build.time_below,
        peak=build.peak,
        derived=build.derived(),
        search_curve=None if smooth is not None else build.blended(SEARCH_WIDTH, corners=SEARCH_WIDTH),
        source="; ".join(["Stein AM et al. 2019, doi:10.1002/psp4.12388", *pieces]),
        phases=phases,
    )


class _Builder:
    """The functions of one member of the family; each takes ``theta`` in the order of ``names``."""

    def __init__(self, phases: Phases) -> None:
        self.phases, self.names = phases, parameter_names(phases)

    def split(self, theta: jax.Array, windows: jax.Array | None) -> tuple[Rise, Fall]:
        """Return the parameters of both sides of the peak."""
        value = {name: theta[k] for k, name in enumerate(self.names)}
        latest = LATEST * value["tmax"]
        nadir = value.get("t0")
        begin = value.get("tlag", nadir)
        if begin is not None:
            begin = jnp.minimum(begin, latest)
        if nadir is not None and begin is not None:
            nadir = jnp.minimum(nadir, begin)
        factors = None
        if self.phases.comedication and windows is not None:
            factors = jnp.stack([value[f"f_{drug}"] for drug in self.phases.comedication])
        rise = Rise(value["cmax"], value["tmax"], value["foldx"], begin, nadir, value.get("delta"), factors, windows)
        return rise, Fall(value.get("alpha"), value.get("fb"), value.get("beta"))

    def curve(self, theta: jax.Array, time: jax.Array, windows: jax.Array | None = None) -> jax.Array:
        rise, fall = self.split(theta, windows)
        # Continued as a constant before the peak: exp(-alpha * (t - T)) would overflow far before it.
        decline = log_peak(rise) + log_fall(fall, jnp.maximum(time - rise.tmax, 0.0))
        return jnp.where(time < rise.tmax, log_rise(rise, time), decline)

    def blended(self, width: float, corners: float | None = None) -> Callable[..., jax.Array]:
        """Blend growth and decline by w = 1/(1 + exp((t - T)/width)) on the log scale.

            ln C = w * ln C_growth + (1 - w) * ln C_decline

        where C_decline takes width * ln(1 + exp((t - T)/width)) for t - T. As ``width`` goes to 0 it becomes
        the sharp curve. It is continuously differentiable in ``tmax``, so that a conditional mode beside a
        sampling day has a gradient of zero and a curvature. This form is our own.
        """

        def curve(theta: jax.Array, time: jax.Array, windows: jax.Array | None = None) -> jax.Array:
            rise, fall = self.split(theta, windows)
            after = (time - rise.tmax) / width
            growth = log_rise(rise, time, corners)
            decline = log_peak(rise) + log_fall(fall, width * jax.nn.softplus(after))
            return decline + jax.nn.sigmoid(-after) * (growth - decline)

        return curve

    def area(self, theta: jax.Array, start: jax.Array, end: jax.Array, windows: jax.Array | None = None) -> jax.Array:
        """Return the exact area under C between two days, ``start`` >= 0; ``end`` may be infinite."""
        rise, fall = self.split(theta, windows)
        tmax, peak = rise.tmax, jnp.exp(log_peak(rise))
        width = self.phases.smooth
        if width is None:
            begin = jnp.maximum(start - tmax, 0.0)
            return rise_area(rise, start, end) + peak * fall_area(fall, begin, jnp.maximum(end - tmax, begin))
        low, high = jnp.maximum(tmax - _REACH * width, 0.0), tmax + _REACH * width
        begin = jnp.maximum(start, high)
        outside = rise_area(rise, start, jnp.minimum(end, low)) + peak * fall_area(
            fall, begin - tmax, jnp.maximum(end, begin) - tmax
        )
        edges = jnp.concatenate([tmax + width * jnp.asarray(_STEPS), corners(rise), jnp.stack([low, high])])
        edges = jnp.sort(jnp.clip(edges, jnp.clip(start, low, high), jnp.clip(end, low, high)))
        half, middle = jnp.diff(edges)[:, None] / 2.0, (edges[1:] + edges[:-1])[:, None] / 2.0
        time = middle + half * jnp.asarray(_NODES)
        inside = (jnp.exp(self.blended(width)(theta, time.ravel(), windows)).reshape(time.shape) * half) @ jnp.asarray(
            _WEIGHTS
        )
        return outside + inside.sum()

    def peak(self, theta: jax.Array, windows: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Return the peak of the expansion, as it is realised, and its day.

            sharp switch:   C(T) at T; Cmax but for comedication
            smooth switch:  the maximum of the blend, which is beside T and is not Cmax

        A distribution phase is no part of it, however high it begins. The maximum of the blend is looked for on a
        grid and then where the slope changes its sign; dC/dtheta is that at a fixed day (envelope theorem).
        """
        rise, _ = self.split(theta, windows)
        width = self.phases.smooth
        if width is None:
            return jnp.exp(log_peak(rise)), rise.tmax
        curve = self.blended(width)
        earliest = jnp.zeros_like(rise.tmax) if rise.nadir is None else rise.nadir
        fixed = jax.lax.stop_gradient(theta)
        time = jax.lax.stop_gradient(jnp.sort(jnp.maximum(rise.tmax + width * jnp.asarray(_GRID), earliest)))
        best = jnp.argmax(curve(fixed, time, windows))

        def slope(theta: jax.Array, day: jax.Array) -> jax.Array:
            return jax.jvp(lambda t: curve(theta, t, windows), (day,), (jnp.ones_like(day),))[1]

        low, high = time[jnp.maximum(best - 1, 0)], time[jnp.minimum(best + 1, len(_GRID) - 1)]
        day = jax.lax.stop_gradient(_last(lambda t: slope(fixed, t) > 0.0, low, high))
        value, change = jax.jvp(lambda t: slope(theta, t), (day,), (jnp.ones_like(day),))
        newton = value / jnp.where(change < 0.0, change, -jnp.inf)
        # At a corner, where a drug ends, or on the earliest day the slope is not 0: the day stays.
        turning = day - jnp.where(jnp.abs(newton) < 1e-6 * width, newton, 0.0)
        at_first = day <= jax.lax.stop_gradient(earliest) + 1e-12
        value = jnp.exp(curve(theta, jnp.where(at_first, earliest, day), windows))
        return value, jnp.where(at_first, earliest, turning)

    def time_below(self, theta: jax.Array, level: jax.Array, windows: jax.Array | None = None) -> jax.Array:
        """Return the day after the peak from which C stays below ``level`` (the peak's if it is no higher)."""
        rise, fall = self.split(theta, windows)
        target = jnp.log(level)
        sharp = rise.tmax + time_to_fall(fall, target - log_peak(rise))
        width = self.phases.smooth
        if width is None:
            return sharp
        curve = self.blended(width)
        _, peak = self.peak(theta, windows)
        fixed, wanted = jax.lax.stop_gradient(theta), jax.lax.stop_gradient(target)
        time = jnp.sort(jnp.maximum(rise.tmax + width * jnp.asarray(_GRID), peak))
        time = jax.lax.stop_gradient(time)
        above = curve(fixed, time, windows) > wanted
        last = len(_GRID) - 1 - jnp.argmax(above[::-1])
        begin, end = time[last], time[jnp.minimum(last + 1, len(_GRID) - 1)]
        day = jax.lax.stop_gradient(_last(lambda t: curve(fixed, t, windows) > wanted, begin, end))
        value, slope = jax.jvp(lambda t: curve(theta, t, windows), (day,), (jnp.ones_like(day),))
        day = day - (value - target) / jnp.where(slope < 0.0, slope, -jnp.inf)
        # Beyond the last day of the grid the blend is the decline itself.
        return jnp.where(above.any(), jnp.where(above[-1], jnp.maximum(sharp, time[-1]), day), peak)

    def derived(self) -> tuple[Derived, ...]:
        """Return the quantities that this member has."""
        has = set(self.names)

        def get(theta: jax.Array, name: str) -> jax.Array:
            return theta[self.names.index(name)]

        def rho(theta: jax.Array) -> jax.Array:
            rise, _ = self.split(theta, None)
            begin = 0.0 if rise.begin is None else rise.begin
            return jnp.log(rise.foldx) / (rise.tmax - begin)

        def at_infusion(theta: jax.Array) -> jax.Array:
            rise, _ = self.split(theta, None)
            return jnp.exp(log_rise(rise, jnp.zeros_like(rise.tmax)))

        rows = [
            Derived("doubling_time", lambda th: jnp.log(2.0) / rho(th), "time", "doubling time of the expansion"),
            Derived("rho", rho, "rate", "growth rate of the expansion"),
            Derived("r0", at_infusion, "value", "value at infusion, extrapolated"),
        ]
        if self.phases.smooth is not None:
            rows.append(Derived("cmax_realised", lambda th: self.peak(th)[0], "value", "maximum of the smooth curve"))
        if "alpha" in has:
            rows.append(
                Derived("half_life_alpha", lambda th: jnp.log(2.0) / get(th, "alpha"), "time", "contraction half-life")
            )
        if "beta" in has:
            rows.append(
                Derived("half_life_beta", lambda th: jnp.log(2.0) / get(th, "beta"), "time", "persistence half-life")
            )
        rows.append(
            Derived(
                "auc_0_28",
                lambda th: self.area(th, jnp.asarray(0.0), jnp.asarray(28.0)),
                "area",
                "area from day 0 to day 28",
            )
        )
        if has & {"alpha", "beta"}:
            rows.append(
                Derived(
                    "auc_0_inf", lambda th: self.area(th, *_days(0.0, jnp.inf)), "area", "area from day 0 to infinity"
                )
            )
        return tuple(rows)


def _last(holds: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array) -> jax.Array:
    """Return where between two days a condition ends that holds at the first."""

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        middle = (ends[0] + ends[1]) / 2.0
        on = holds(middle)
        return jnp.where(on, middle, ends[0]), jnp.where(on, ends[1], middle)

    return jax.lax.fori_loop(0, _HALVINGS, halve, (low, high))[0]


def _days(start: float, end: float) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(start), jnp.asarray(end)


def _parameter(name: str) -> Parameter:
    if name in _PARAMETERS:
        return _PARAMETERS[name]
    drug = name.removeprefix("f_")
    return Parameter(name, "log", "none", 0.05, 20.0, f"factor of the growth rate while {drug} is given")


def _title(phases: Phases) -> str:
    words = ["distribution"] if phases.distribution else []
    words += ["lag"] if phases.lag else []
    words += ["expansion"]
    words += ["contraction"] if phases.contraction else []
    words += ["persistence"] if phases.persistence else []
    text = ", ".join(words)
    if phases == Phases():
        text += " (Stein 2019)"
    if phases.comedication:
        text += f"; {' and '.join(phases.comedication)} change the growth rate"
    return text + ("" if phases.smooth is None else f"; switch at the peak {phases.smooth:g} days wide")


ECP = expansion_model(Phases())
