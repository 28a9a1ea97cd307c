"""One fit for all patients. Run: python examples/fit_population.py [trial.csv]."""

import sys
from importlib.resources import files

import cellkinetics as ck

BUNDLED = files("cellkinetics.data") / "bundled" / "dose_exploration.csv"  # simulated


def main(path: str = str(BUNDLED)) -> None:
    cohort = ck.read(path)
    # FOCEI is a first look; without method= the likelihood itself is maximised, which takes longer.
    population = ck.pool(cohort, model="ecp", method="focei", seed=1)

    print(population.status)
    print(population.table.to_string(index=False))

    objective = population.to_dict()["objective"]
    print(f"-2 log likelihood {objective['minus2ll']:.1f}, Monte-Carlo error {objective['mc_se']:.2f}")

    # Empirical Bayes estimates: each patient's parameters, drawn towards the typical ones.
    effects = population.individual
    print(effects[effects["parameter"] == "cmax"].head().to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:2])
