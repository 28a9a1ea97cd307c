"""Do the likelihood ratios of covariates hold their level? Simulated patients with a covariate that does nothing.

    python validation/covariate_ratios.py [--replicates 10] [--patients 60] [--long]

In each replicate two covariates are drawn: a group, which acts on no parameter, and the dose, to whose power of 0.25
Cmax is proportional. Each is tested on Cmax by the ratio that a covariate search computes. Printed are the share of p
values below 0.05 and 0.5 for the group (5 and 50 of 100, with their sampling error), the share below 0.05 for the dose
(its power), and the mean of its coefficient (0.25).
"""

from __future__ import annotations

import argparse

import numpy as np

import cellkinetics as ck
from cellkinetics.fitting.covariates import parse_terms
from cellkinetics.fitting.pooled.refit import Refit, Request, Setting, refit
from cellkinetics.fitting.pooled.stepwise import likelihood_ratio
from cellkinetics.models.published import library
from cellkinetics.models.simulation import individual_parameters, log_curves, observe

DAYS = np.array([1, 3, 5, 7, 9, 11, 14, 21, 28, 56, 84, 180], float)
EXPONENT = 0.25


def trial(patients: int, seed: int) -> ck.Cohort:
    """Simulate patients of Stein 2019 with doses of 50 to 450 and a covariate that does nothing."""
    stein, rng = library["stein2019"], np.random.default_rng(seed)
    theta = individual_parameters(stein.model, patients, typical=stein.typical, omega_sd=stein.omega_sd, rng=rng)
    dose = rng.choice([50.0, 150.0, 300.0, 450.0], patients)
    theta[:, stein.model.names.index("cmax")] *= (dose / 300.0) ** EXPONENT
    time = np.tile(DAYS, (patients, 1))
    value, censored = observe(log_curves(stein.model, theta, time), time, residual_sd=0.56, lloq=50.0, rng=rng)
    return ck.Cohort.from_arrays(
        time.tolist(),
        value.tolist(),
        lloq=50.0,
        censored=censored.tolist(),
        dose=dose.tolist(),
        group=rng.permutation(np.where(np.arange(patients) % 2, "a", "b")).tolist(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=10)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--long", action="store_true", help="400 replicates")
    given = parser.parse_args()
    count = 400 if given.long else given.replicates
    model = library["stein2019"].model
    idle, useful, effects = [], [], []
    for seed in range(count):
        cohort = trial(given.patients, seed)
        terms = parse_terms(["cmax ~ categorical(group, a) + power(dose, 300)"], model, cohort)
        setting = Setting(cohort, terms, seed=seed)
        base = Refit(**refit(setting, Request((), None)))
        fits = [Refit(**refit(setting, Request((str(term),), base.x))) for term in terms]
        p = [likelihood_ratio(base.minus2ll - fit.minus2ll, 1) for fit in fits]
        idle.append(p[0])
        useful.append(p[1])
        effects.append(fits[1].x["beta_cmax_dose"])
        print(f"{seed}: p {p[0]:.3f} for nothing, {p[1]:.3g} for the dose, coefficient {effects[-1]:.2f}", flush=True)
    for level in (0.05, 0.5):
        share, error = np.mean(np.array(idle) < level), np.sqrt(level * (1 - level) / count)
        print(f"nothing: p < {level} in {100 * share:.1f} % (expected {100 * level:.0f} +- {100 * error:.1f})")
    print(f"dose: p < 0.05 in {100 * np.mean(np.array(useful) < 0.05):.1f} %")
    print(f"dose: coefficient {np.mean(effects):.3f} +- {np.std(effects) / np.sqrt(count):.3f} (true {EXPONENT})")


if __name__ == "__main__":
    main()
