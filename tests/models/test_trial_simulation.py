"""The bundled example trial is what its generator writes."""

from importlib.resources import files

import cellkinetics as ck
from cellkinetics.models.trial_simulation import RESPONSES, simulate_dose_exploration


def test_bundled_trial_regenerates_byte_for_byte() -> None:
    bundled = files("cellkinetics.data").joinpath("bundled/dose_exploration.csv").read_bytes()
    assert simulate_dose_exploration().to_csv(index=False, lineterminator="\n").encode() == bundled


def test_trial_has_24_patients_on_four_levels_with_rising_times_and_constant_covariates() -> None:
    trial = simulate_dose_exploration()
    assert trial.groupby("group")["subject"].nunique().to_dict() == {"DL1": 1, "DL2": 3, "DL3": 8, "DL4": 12}
    covariates = ["dose", "group", "response", "crs_grade", "age", "weight"]
    for _, patient in trial.groupby("subject"):
        assert (patient["time"].diff().dropna() > 0).all()
        assert patient["time"].iloc[0] == 0
        assert (patient[covariates].nunique() == 1).all()
    assert set(trial["response"]) <= set(RESPONSES)
    assert (trial.loc[trial["censored"] == 1, "value"] == 50.0).all()
    assert (trial.loc[trial["censored"] == 0, "value"] >= 50.0).all()


def test_another_seed_gives_another_trial() -> None:
    assert not simulate_dose_exploration(1)["value"].equals(simulate_dose_exploration(2)["value"])


def test_reader_takes_the_trial_without_a_fault() -> None:
    cohort = ck.read(simulate_dose_exploration())
    assert (len(cohort), cohort.n_samples) == (24, 353)
    assert cohort.unusable == (None,) * 24
    assert {"response", "crs_grade", "tocilizumab_day", "age", "weight"} <= set(cohort.covariates)
    assert set(cohort.value_unit) == {"copies/ug"}
    assert not [fault for fault in cohort.faults if fault.effect != "note"]
