"""The library of published models."""

import json

import numpy as np
import pytest

import cellkinetics as ck
from cellkinetics.errors import ModelError


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
    with pytest.raises(ModelError, match="no published model 'stein2020'; there is stein2019; did you mean"):
        ck.models.library["stein2020"]
    assert "stein2020" not in ck.models.library
    assert list(ck.models.library) == ["stein2019"]


def test_simulated_parameters_have_the_published_distribution() -> None:
    stein = ck.models.library["stein2019"]
    truth = stein.simulate(4000, [10.0], seed=3).truth
    for name in ("cmax", "tmax", "foldx", "alpha", "beta"):
        log = np.log(truth[name])
        assert log.mean() == pytest.approx(np.log(stein.typical[name]), abs=4 * stein.omega_sd[name] / 4000**0.5)
        assert log.std() == pytest.approx(stein.omega_sd[name], rel=0.05)
    logit = np.log(truth["fb"] / (1 - truth["fb"]))
    assert logit.std() == pytest.approx(stein.omega_sd["fb"], rel=0.05)
