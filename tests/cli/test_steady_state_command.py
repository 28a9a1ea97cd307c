"""`nca` for a drug that is given again: dosing intervals and infusions of each patient, from the data or for all."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

HEADER = "subject,occasion,time,value,dose,tau,infusion_duration\n"
FIRST, LATER = (8, 4, 2, 1, 0.5), (16, 8, 4, 2, 1)


def rows(subject: str, occasion: str, values: tuple[float, ...], tau: str, duration: str) -> str:
    return "".join(
        f"{subject},{occasion},{hour},{value},100,{tau},{duration}\n"
        for hour, value in zip((0, 2, 4, 6, 8), values, strict=True)
    )


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    path = tmp_path / "trial.csv"
    path.write_text(
        HEADER + rows("A", "1", FIRST, "8", "1") + rows("A", "7", LATER, "8", "1") + rows("B", "1", FIRST, "8", "")
    )
    return path


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "nca.csv", keep_default_na=False, dtype={"occasion": str}).set_index(
        ["subject", "occasion", "parameter"]
    )


def test_interval_and_infusion_are_read_from_the_table(cli: Callable, trial: Path) -> None:
    done = cli("nca", trial, "--route", "infusion", "--parameters", "core,drug", "--time-unit", "h", "--quiet")
    assert done.code == 0, done.err
    found = table(done.folder)
    assert float(found.loc[("A", "7", "TAU"), "value"]) == 8.0
    assert float(found.loc[("A", "7", "ARAUC"), "value"]) == pytest.approx(2.0, rel=1e-12)
    assert found.loc[("A", "7", "CLO"), "reason_code"] == "at_steady_state"
    assert found.loc[("A", "1", "CLO"), "value"] != ""
    assert found.loc[("A", "7", "CLTAU"), "unit"] == "dose/(h*copies/ug)"
    assert found.loc[("A", "1", "ARAUC"), "reason_code"] == "first_occasion"
    assert found.loc[("B", "1", "VSSO"), "reason_code"] == "no_infusion_duration"
    assert "column of durations" in found.loc[("B", "1", "VSSO"), "reason"]
    recorded = json.loads((done.folder / "manifest.json").read_text())["options"]["nca_options"]
    assert (recorded["tau"], recorded["infusion_duration"], recorded["steady_state"]) == (None, None, "auto")


def test_options_and_settings_stand_for_the_table(cli: Callable, trial: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('tau = 6\nsteady-state = "none"\nroute = "infusion"\n')
    done = cli(
        *("nca", trial, "--settings", "a.toml", "--infusion-duration", "2", "--parameters", "TAU,CLO,MRTICLST,AUCTAU")
    )
    assert done.code == 0, done.err
    found = table(done.folder)
    assert float(found.loc[("A", "7", "TAU"), "value"]) == 6.0
    assert set(found["status"]) <= {"ok", "flagged"}
    recorded = json.loads((done.folder / "manifest.json").read_text())["options"]["nca_options"]
    assert (recorded["tau"], recorded["infusion_duration"], recorded["steady_state"]) == (6.0, 2.0, "none")


@pytest.mark.parametrize(("option", "value"), [("--tau", "0"), ("--tau", "-1"), ("--steady-state", "perhaps")])
def test_a_value_that_an_option_does_not_take_is_refused(cli: Callable, trial: Path, option: str, value: str) -> None:
    done = cli("nca", trial, option, value)
    assert done.code == 2
    assert option in done.err
