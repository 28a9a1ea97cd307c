"""Virtual patients, and their year forecast from four weeks. Run: python examples/simulate_and_forecast.py."""

import cellkinetics as ck


def main() -> None:
    # A published population; the folder of a fit, or what ck.pool returned, will do as well.
    trial = ck.simulate_trial("stein2019", 8, "standard", lloq=50, jitter=0.2, dropout="exponential:0.001", seed=3)
    print(trial)

    # What the samples of the first four weeks say of the days to come.
    forecast = ck.forecast("stein2019", trial.cohort, [84, 180, 365], until=28, levels=[50])
    print(forecast)
    print(forecast.table[["subject", "time", "median", "low", "high"]].head(6).to_string(index=False))
    print("probability of being below the LLOQ:")
    print(forecast.below.pivot(index="subject", columns="time", values="probability").round(2).to_string())


if __name__ == "__main__":
    main()
