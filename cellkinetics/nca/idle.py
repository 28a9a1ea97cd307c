"""Options that were given and do nothing with this route, these parameters or these data."""

from __future__ import annotations

from collections.abc import Iterable

from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import BY_CODE, select

_DEFAULTS = NCAOptions()


def idle_options(options: NCAOptions, parameters: str | Iterable[str] | None = None, *, tau: bool = True) -> list[str]:
    """Return a sentence for each option that was given and does nothing, its name in front.

    Args:
        options: the rules.
        parameters: what is calculated, as in `cellkinetics.nca.engine.noncompartmental`.
        tau: whether the data hold dosing intervals.

    Raises:
        SettingsError: for a parameter that does not exist.

    Example:
        >>> idle_options(NCAOptions(tau=12))
        ['tau: does nothing for the route cells, which has no dosing interval; give --route']
    """
    codes = {key.code for key in select(parameters, options)}
    of_drug = any(BY_CODE[code].group == "drug" for code in codes)
    cells, route = options.route == "cells", options.route
    found = []

    def say(name: str, idle: bool, why: str) -> None:
        if idle and getattr(options, name) != getattr(_DEFAULTS, name):
            found.append(f"{name}: {why}")

    say("tau", cells, "does nothing for the route cells, which has no dosing interval; give --route")
    if route != "infusion":
        say("infusion_duration", True, f"does nothing for the route {route}; give --route infusion")
    else:
        needed = any(code.startswith(("MRTIC", "VSS")) for code in codes)
        say("infusion_duration", not needed, "none of the parameters asked for needs it; ask for MRTIC... or VSS...")
    if cells:
        say("steady_state", True, "does nothing for the route cells; give --route")
    elif options.steady_state == "all":
        no_tau = options.tau is None and not tau
        say("steady_state", no_tau, "no profile has a dosing interval, so that none is at steady state; give --tau")
    if options.time_zero == "c0":
        why = f"extrapolates back from the first samples, which has a meaning for a bolus, not for the route {route}"
        say("time_zero", route != "bolus", why)
    if options.time_zero == "minimum":
        say("time_zero", cells, "is zero for the route cells, which has no dosing interval")
    for name in ("dose", "dose_unit"):
        say(name, not of_drug, "none of the parameters asked for needs it; ask for the group drug")
    say("days", not codes & {"CDAY", "CDAYCMAX"}, "none of the parameters asked for needs them; ask for CDAY")
    say("threshold", "TABOVE" not in codes, "none of the parameters asked for needs it; ask for TABOVE")
    return found
