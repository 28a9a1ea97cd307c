"""Method bayes against a long reference run that moves in other coordinates, on one cohort.

    python validation/bayes_reference.py [DATA.csv] [--long] [--seeds 1] [--seed 1]

The model is ecp with a smooth switch, all six random effects, M3. Without DATA the cohort is simulated from Stein 2019
(doi:10.1002/psp4.12388): 91 patients, LLOQ 50. Under test is `pool(method="bayes")` as it stands: 4 chains, 300
iterations of warm-up, 500 draws each. The reference draws the whitened random effects themselves (not centred at
all), 4 chains of 1,500 draws after 500 (long: 10,000 after 1,000): another way through the same density, so that a
wrong Jacobian of the coordinates under test would show.

By parameter, on the working scale: both means, their difference in Monte-Carlo standard errors (of both runs), the
ratio of SDs, R-hat and effective draws of the run under test. Ends with 1 if a difference is beyond 4 standard errors,
an R-hat is not below 1.01, or a trajectory of the run under test diverged.
"""

from __future__ import annotations

import argparse
import sys
import time

import jax
import numpy as np
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

import cellkinetics as ck
from cellkinetics.data.cohort import Cohort
from cellkinetics.fitting.pooled.bayes import coordinates
from cellkinetics.fitting.pooled.nuts import Sampled, sample
from cellkinetics.fitting.pooled.priors import prior_scales
from cellkinetics.fitting.pooled.result import PopulationFit
from cellkinetics.fitting.pooled.start import population_start
from cellkinetics.models.compilation import use_compilation_cache
from cellkinetics.models.published import library

DAYS = (1, 3, 5, 7, 9, 11, 14, 17, 21, 28, 56, 84, 180, 365)
PATIENTS, LLOQ = 91, 50.0
LARGEST_Z, LARGEST_RHAT = 4.0, 1.01


def cohort_of(path: str | None) -> Cohort:
    """Return the cohort of a file, or a simulated one."""
    if path is not None:
        return ck.read(path)
    return ck.read(library["stein2019"].simulate(PATIENTS, DAYS, lloq=LLOQ, seed=1).samples)


def reference(fit: PopulationFit, cohort: Cohort, *, warmup: int, draws: int, seed: int) -> Sampled:
    """Return draws of the same posterior in whitened coordinates."""
    problem = fit.problem
    at = coordinates(problem, fit.importance)
    real = jax.tree.map(lambda a: a[: problem.n_real], problem.samples)
    scales = prior_scales(problem, population_start(problem, cohort))
    plain = at._replace(kappa=np.zeros_like(at.kappa))
    return sample(problem.form, real, plain, scales, chains=4, warmup=warmup, draws=draws, seed=seed)


def compare(fit: PopulationFit, other: Sampled) -> bool:
    """Print both posteriors side by side; tell whether they agree and the run under test is sound."""
    posterior = fit.posterior
    assert posterior is not None
    print(f"{'element':<14}{'mean':>9}{'reference':>11}{'z':>7}{'SD ratio':>10}{'R-hat':>9}{'ESS':>7}{'ref. ESS':>10}")
    sound = posterior.divergences == 0
    for k, label in enumerate(posterior.labels):
        ours, theirs = posterior.x[:, :, k], other.x[:, :, k]
        r_hat, ess = float(split_gelman_rubin(ours)), float(effective_sample_size(ours))
        known = float(effective_sample_size(theirs))
        z = (ours.mean() - theirs.mean()) / np.sqrt(ours.var() / ess + theirs.var() / known)
        ratio = ours.std() / theirs.std()
        print(
            f"{label:<14}{ours.mean():>9.4f}{theirs.mean():>11.4f}{z:>7.2f}{ratio:>10.3f}{r_hat:>9.4f}{ess:>7.0f}{known:>10.0f}"
        )
        sound = sound and abs(z) < LARGEST_Z and r_hat < LARGEST_RHAT
    print(f"divergences: {posterior.divergences} under test, {int(other.diverging.sum())} of the reference")
    print(f"leapfrog steps an iteration: {posterior.steps:.0f} under test, {other.steps.mean():.0f} of the reference")
    return sound


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", help="table of samples; by default a simulated trial")
    parser.add_argument("--long", action="store_true", help="10,000 draws a chain of the reference")
    parser.add_argument("--seeds", type=int, default=1, help="runs under test")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    given = parser.parse_args()
    use_compilation_cache()
    cohort = cohort_of(given.data)
    fits = []
    for seed in range(given.seed, given.seed + given.seeds):
        begin = time.process_time()
        fits.append(ck.pool(cohort, method="bayes", seed=seed))
        print(f"seed {seed}: {fits[-1].status}; {time.process_time() - begin:.0f} CPU s", flush=True)
    warmup, draws = (1000, 10_000) if given.long else (500, 1500)
    begin = time.process_time()
    other = reference(fits[0], cohort, warmup=warmup, draws=draws, seed=given.seed + 1000)
    print(f"reference: 4 chains of {draws} draws, {time.process_time() - begin:.0f} CPU s")
    agreed = [compare(fit, other) for fit in fits]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
