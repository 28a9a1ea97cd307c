"""Write docs/models.md from the registry of models and the library: ``python docs/models.py``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cellkinetics.models.base import Parameter
from cellkinetics.models.published import library
from cellkinetics.models.registry import DYNAMIC_NAMES, list_models
from cellkinetics.units import unit_label

PAGE = Path(__file__).with_suffix(".md")

OPENING = """\
# Models

Every model gives ln C(t) for named parameters, C the measured level (copies/µg or cells/µL), t days since infusion.
This page is written by `docs/models.py` from the registry; `cellkinetics models` prints the same. Bounds are bounds of
sense on the natural scale, between which a patient's fit searches. Parameters are normal between patients on the scale
of the column (log or logit).

## The expansion family

Closed forms, put together from phases; a name is `ecp` and what is added or taken away, in any combination:

| part | what it does |
|---|---|
| `+lag` | constant level until `tlag` |
| `+distribution` | decline at `delta` until `t0`, before growth |
| `-contraction`, `-persistence` | without the fast, or the slow, decline |
| `+comedication`, `+comedication=toci/dexa` | drugs that multiply the growth rate while they are given |
| `+smooth`, `+smooth=0.1` | a smooth switch at the peak, of this width in days |

```
before Tmax   C = Cmax/foldx * exp(delta * (T0 - t))                             t < T0     distribution
              C = Cmax/foldx                                                    t < Tlag   lag
              C = Cmax/foldx * exp(rho * G(t)),  rho = ln(foldx)/(Tmax - Tlag)              growth
              G = integral of the product of f_k over the drugs k that are given; without comedication the time
after Tmax    C = C(Tmax) * [(1 - fb) * exp(-alpha * (t - Tmax)) + fb * exp(-beta * (t - Tmax))]
smooth        ln C = w * ln C_growth + (1 - w) * ln C_decline,  w = 1/(1 + exp((t - Tmax)/width))
```

Areas are exact; with a smooth switch they are so outside 40 widths of Tmax and by Gauss-Legendre quadrature within
(relative error below 1e-10). `model.below(values, level)` is the day after the peak from which the curve stays below a
level. `model.realised_peak(values, given=...)` is the value and day of the peak that the curve reaches: `cmax` at
`tmax` with a sharp switch, C(Tmax) under comedication, and with a smooth switch the maximum beside Tmax,
`cmax_realised` among the derived quantities (for `ecp+smooth=1` at the typical values of Stein 2019 it is 26324 on day
10.1, where `cmax` is 24000 and `tmax` 9.3). A distribution phase that begins higher does not count as a peak. Derived
quantities are those without comedication. Without a lag growth begins at infusion, or at T0. Sources: growth, decline
and comedication, Stein AM et al. 2019,
[doi:10.1002/psp4.12388](https://doi.org/10.1002/psp4.12388); lag, Ogasawara K et al. 2021,
[doi:10.1007/s40262-021-01039-5](https://doi.org/10.1007/s40262-021-01039-5); the forms of the distribution phase and of
the smooth switch are our own.
"""

DYNAMIC = """\
## Models of differential equations

They need the extra `ode` (`pip install "cellkinetics[ode]"`) and are models like the others, which fits and
simulations take, with starting values from you (`ck.fit(cohort, model="logistic", starts={...})`). States are
logarithms, so cells stay positive and the solver's tolerance (1e-12, relative and absolute, of a method of order 8) is
one of relative error; a change point ends one solution and begins the next. The two-state model equals the closed form
to 1e-8 within all bounds, and derivatives of first and second order are those of the solution. An area is an extra
state, over a finite interval only. `ck.models.trajectories(name, values, days)` returns all cells and the tumour.

```
effector-memory   t < T:  dE = rho*E                     t >= T:  dE = -alpha*E,  dM = fb*(alpha - beta)*E - beta*M
saturable         t < T:  dE = rho*E / (1 + E/km)        then as effector-memory (Vmax = rho*km)
logistic          t < T:  dE = rho*E * (1 - E*filled/cmax)   then as effector-memory (capacity cmax/filled)
                  C = E + M, M = 0 until T; rho such that C(T) = cmax and C(0) = cmax/foldx
antigen           dE = rho*E*b/(1 + b) - alpha*E,  dM = conversion*E - beta*M,  db = growth*b - kill*b*E/(e50 + E)
                  C = E + M, b(0) = antigen
chaudhury-first-order       t < T:  dE = rho*E           t >= T:  dE = -(ke + kep)*E,  dP = kep*E - beta*P;  C = E + P
chaudhury-ec50              t < T:  dE = rho*E*U/(ec50_rho + E + U)      then as chaudhury-first-order
                            dU = g*U*(1 - ln U/ln umax)/(1 + (ucrit/U)^h) - d*E*U/(ec50_d + E + U)
chaudhury-lotka-volterra    dC = rho*C*U - ke*C,  dU = g*U - d*C*U
kimmel            dN = -rn*N*ln(L/kn),  dC = -rC*C*ln(L/kc),  L = N + C
                  rC = rhoc + b*(L - kn)^2 / (a*L^2 + (L - kn)^2);   tumour  dB = rb*B - gammab*B*C/(kb + C)
```

Each keeps the contract of `check_model` at 200 random points (`python validation/dynamic_models.py`, 18 to 32 CPU s a
model); the two-state model differs from the closed form by 1.8e-12 of C at most, at 2,000 points within the bounds.

Checked against printed numbers: Kimmel 2021 and the three of Chaudhury 2020. A public run of the BioModels files
themselves (BIOMD0000001041, BIOMD0000001024, BIOMD0000001025; Tellurium with libroadrunner, ten daily records) prints
as its last values Kimmel C 25.922, N 159.5, B 0.0710; Lotka-Volterra C 8323.4, U 0.1603; EC50 U 73.681. All six are
ours on day 9, to the last digit; day 9 is the tenth record when the first is day 0, which is our reading. The
run is that of the folders `labs/kimmel2021-*` and `labs/chaudhury2020-*` of
[Biosimulant/models-oncology](https://github.com/Biosimulant/models-oncology); the files are
[BIOMD0000001041](https://www.ebi.ac.uk/biomodels/BIOMD0000001041),
[BIOMD0000001024](https://www.ebi.ac.uk/biomodels/BIOMD0000001024) and
[BIOMD0000001025](https://www.ebi.ac.uk/biomodels/BIOMD0000001025). EC50 cures
with d = 0.35 and relapses with d = 0.34, as figures 3A and 3B of the paper do. First order equals model (A). Whole
trajectories are held to SciPy's DOP853 on the equations as BioModels writes them.
"""

OWN = """\
## A model of your own

A name, parameters, and ln C as a JAX function of the parameters `(p,)` and the times `(m,)`; `check_model` tells
whether it keeps what the fitters rely on (finite at every bound, derivatives, shapes, areas), and where it does not.

```python
import jax.numpy as jnp

import cellkinetics as ck
from cellkinetics.models import Model, Parameter, check_model


def log_curve(theta, time):
    c0, k = theta
    return jnp.log(c0) - k * time


decline = Model(
    name="decline",
    title="mono-exponential decline",
    parameters=(
        Parameter("c0", "log", "value", 1e-2, 1e8, "value at infusion"),
        Parameter("k", "log", "rate", 1e-4, 2.0, "decline rate"),
    ),
    log_curve=log_curve,
)
check_model(decline)
print(decline.predict({"c0": 100.0, "k": 0.1}, [0.0, 10.0]))  # 100 and 36.79
# fits = ck.fit(cohort, model=decline, starts={"c0": 1000.0, "k": 0.1})
```

A system of differential equations is a `cellkinetics.models.dynamics.System`: where its states (logarithms) start, how
they change before and after `tmax`, and what of them is measured; `system.model` is its model. The files
`models/dynamics_*.py` are examples.
"""

LIBRARY = """\
## The library

Published models as their papers report them, `ck.models.library["stein2019"]`. An entry with all its numbers simulates
(`simulate(100, days, lloq=50)`); one that lacks some asks for them (`typical={"cmax": 2e4, "fb": 0.01}`, `omega_sd={}`,
`residual_sd=0.5`); one without a model here says what it would need. What an entry notes, such as that the
random-effect column of Stein 2019 is read as standard deviations, stands in `cellkinetics models`.
"""


def page() -> str:
    """Return the whole page; needs the extra ``ode``."""
    models = list_models()
    family = [model for model in models if model.name not in DYNAMIC_NAMES]
    dynamic = [model for model in models if model.name in DYNAMIC_NAMES]
    shared = {parameter.name: parameter for model in family for parameter in model.parameters}
    named = ["| name | parameters |", "|---|---|"]
    named += [f"| `{model.name}` | {_code(model.names)} |" for model in family]
    derived = {quantity.name: quantity for model in family for quantity in model.derived}
    lines = [
        OPENING,
        *named,
        "",
        *_parameters(shared.values()),
        "",
        "Derived: "
        + ", ".join(f"`{q.name}` ({q.meaning}, {unit_label(q.unit) or 'no unit'})" for q in derived.values())
        + ".",
        "",
        DYNAMIC,
    ]
    for model in dynamic:
        lines += [
            f"### {model.name}",
            "",
            f"{model.title}. Source: {model.source}.",
            "",
            *_parameters(model.parameters),
        ]
        lines += ["", f"Derived: {_code(quantity.name for quantity in model.derived)}.", ""]
    lines += [OWN, LIBRARY, *_entries(), ""]
    return "\n".join(lines)


def _parameters(parameters: Iterable[Parameter]) -> list[str]:
    rows = ["| parameter | unit | scale | bounds | meaning |", "|---|---|---|---|---|"]
    for p in parameters:
        unit = unit_label(p.unit).replace("copies/ug", "value") or "-"
        rows.append(f"| `{p.name}` | {unit} | {p.transform} | {p.lower:g} to {p.upper:g} | {p.meaning} |")
    return rows


def _entries() -> list[str]:
    rows = ["| name | product and patients | n | model | printed | not published |", "|---|---|---|---|---|---|"]
    for entry in library.values():
        printed = ["typical values"] if entry.typical else []
        printed += ["random effects"] if entry.omega_sd else []
        printed += ["residual"] if entry.residual_sd is not None else []
        model = f"`{entry.model_name}`" if entry.model_name else f"none; {entry.structure}"
        n = "-" if entry.n_subjects is None else entry.n_subjects
        rows.append(
            f"| `{entry.name}` [doi](https://doi.org/{entry.doi}) | {entry.population} | {n} | {model} "
            f"| {', '.join(printed) or '-'} | {'; '.join(entry.not_published)} |"
        )
    return rows


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
