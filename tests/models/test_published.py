"""The library of published models."""

import json

import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.errors import ModelError, SettingsError


def test_stein_entry_holds_the_printed_values_and_says_what_is_missing() -> None:
    stein = ck.models.library["stein2019"]
    # Stein 2019, doi:10.1002/psp4.12388, table of population parameters.
    assert stein.typical == {"cmax": 24000, "tmax": 9.3, "foldx": 3900, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}
    assert stein.omega_sd == {"cmax": 0.65, "tmax": 0.38, "foldx": 2.4, "alpha": 0.91, "fb": 0.80, "beta": 0.86}
    assert (stein.residual_sd, stein.n_subjects, stein.doi) == (0.56, 90, "10.1002/psp4.12388")
    assert any("read as standard deviations" in note for note in stein.notes)
    assert any("correlations" in item for item in stein.not_published)
    assert json.loads(json.dumps(stein.to_dict()))["model"] == "ecp"
    assert "not published:" in str(stein)


def test_tmax_spans_what_the_note_says_when_the_brackets_are_read_as_sd_or_as_variance() -> None:
    low, high = 9.3 * np.exp(np.array([-1.96, 1.96]) * 0.38)
    assert (round(float(low), 1), round(float(high), 1)) == (4.4, 19.6)
    low, high = 9.3 * np.exp(np.array([-1.96, 1.96]) * np.sqrt(0.38))
    assert (round(float(low), 1), round(float(high), 1)) == (2.8, 31.1)


def test_unknown_entries_name_those_that_exist() -> None:
    with pytest.raises(
        ModelError, match=r"no published model 'stein2020'; there is stein2019, .*; did you mean 'stein2019'"
    ):
        ck.models.library["stein2020"]
    assert "stein2020" not in ck.models.library
    assert list(ck.models.library)[:3] == ["stein2019", "stein2019-comedication", "ogasawara2021"]


def test_simulated_parameters_have_the_published_distribution() -> None:
    stein = ck.models.library["stein2019"]
    truth = stein.simulate(4000, [10.0], seed=3).truth
    for name in ("cmax", "tmax", "foldx", "alpha", "beta"):
        log = np.log(truth[name])
        assert log.mean() == pytest.approx(np.log(stein.typical[name]), abs=4 * stein.omega_sd[name] / 4000**0.5)
        assert log.std() == pytest.approx(stein.omega_sd[name], rel=0.05)
    logit = np.log(truth["fb"] / (1 - truth["fb"]))
    assert logit.std() == pytest.approx(stein.omega_sd["fb"], rel=0.05)


def test_every_entry_says_whom_it_describes_what_was_printed_and_what_was_not() -> None:
    for entry in ck.models.library.values():
        assert entry.doi.startswith("10.")
        assert entry.population
        assert entry.structure
        assert entry.not_published
        assert set(entry.omega_sd) <= set(entry.typical)
        assert json.loads(json.dumps(entry.to_dict()))["name"] == entry.name
        if entry.model_name is not None:
            assert set(entry.typical) <= set(entry.model.names)
            entry.model.check_values(entry.typical)


def test_ogasawara_asks_for_what_the_paper_does_not_print() -> None:
    entry = ck.models.library["ogasawara2021"]
    with pytest.raises(SettingsError) as error:
        entry.simulate(2, [0, 7, 14])
    for word in ("'cmax': ...", "'fb': ...", "omega_sd", "residual_sd"):
        assert word in str(error.value)
    drawn = entry.simulate(2, [0, 3, 9.29, 14.29], typical={"cmax": 2e4, "fb": 1e-9}, omega_sd={}, residual_sd=0)
    # doi:10.1007/s40262-021-01039-5: fold 2^((9.29 - 3.27)/0.755), no growth until 3.27 d, half-life 5.00 d from 9.29 d
    first = 2e4 / 2 ** (6.02 / 0.755)
    assert drawn.samples["value"].tolist()[:4] == pytest.approx([first, first, 2e4, 1e4], rel=1e-6)


def test_comedication_of_stein_is_given_to_simulated_patients() -> None:
    # Tocilizumab (factor 1.2) from day 3 to beyond Tmax 9.3: 6.3 days of growth count 1.2 times
    entry = ck.models.library["stein2019-comedication"]
    none, given = (
        entry.simulate(1, [3, 9.3], omega_sd={}, residual_sd=0, given=windows).samples["value"].tolist()
        for windows in (None, {"toci": [(3.0, 100.0)]})
    )
    assert none == pytest.approx([24000 * 3900 ** (3 / 9.3 - 1), 24000], rel=1e-9)
    assert given == pytest.approx([none[0], 24000 * 3900 ** (0.2 * 6.3 / 9.3)], rel=1e-9)


def test_printed_values_can_be_replaced_one_by_one() -> None:
    stein = ck.models.library["stein2019"]
    truth = stein.simulate(3, [10.0], typical={"tmax": 12.0}, omega_sd={"cmax": 0.5}, residual_sd=0.1).truth
    assert truth["tmax"].unique() == [12.0]
    assert truth["cmax"].nunique() == 3


def test_an_entry_without_a_model_says_what_is_missing() -> None:
    with pytest.raises(ModelError, match=r"wuf2025 is described, and has no model here \(saturable growth after a lag"):
        ck.models.library["wuf2025"].simulate(2, [0, 7])
    with pytest.raises(ModelError, match="no model of differential equations 'ecp'"):
        ck.models.library["stein2019"].trajectories([0, 7])
    assert "number of patients not seen" in str(ck.models.library["singh2021"])
