"""Figures of an analysis by nominal times show samples, points, lines and areas at the same times."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import cellkinetics as ck
from cellkinetics.cli.app import app
from cellkinetics.data.samples import sample_table
from cellkinetics.nca.options import Slope
from cellkinetics.report.figures import Profiles, TerminalLines
from cellkinetics.report.results import read_results
from cellkinetics.report.sections.terminal import areas, terminal_lines

NOMINAL = np.array([0.0, 3, 7, 14, 21, 28, 56, 84, 112])
VALUES = np.array([0.0, 8000, 8000, 4000, 2000, 1000, 500, 250, 125])  # half every 7 days, from day 28 every 28
TABLE = pd.DataFrame(
    {"subject": "P01", "time": NOMINAL + np.arange(9) / 2, "nominal_time": NOMINAL, "value": VALUES, "lloq": 50.0}
)


def times_of(figure, marker):
    return {float(x) for line in figure.axes[0].lines if line.get_marker() == marker for x in line.get_xdata()}


def breaks_of(figure):
    return [float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_color() == "#d9730d"]


SLOPES = (Slope(subject="P01", first=14, last=112),)


def analysed():
    return ck.noncompartmental(ck.read(TABLE), options=ck.NCAOptions(time="nominal", slopes=SLOPES))


@pytest.mark.parametrize("kind", ["areas", "lambda_z"])
def test_samples_stand_at_the_times_that_the_analysis_used(kind):
    figure = ck.plot(analysed(), kind=kind, subject="P01")
    seen = times_of(figure, "o") | times_of(figure, "v")
    assert seen == set(NOMINAL)
    assert figure.axes[0].get_xlabel().startswith("nominal time (day")


def test_the_break_is_that_of_the_nominal_times():
    assert breaks_of(ck.plot(analysed(), kind="lambda_z", subject="P01")) == pytest.approx([28.0])


def test_the_break_follows_the_last_of_equal_maxima_where_the_analysis_does():
    rebound = TABLE.assign(value=[0, 8000, 500, 8000, 4000, 2000, 1000, 500, 250])
    result = ck.noncompartmental(
        ck.read(rebound), options=ck.NCAOptions(time="nominal", tmax_tie="last", slopes=SLOPES)
    )
    assert breaks_of(ck.plot(result, kind="lambda_z", subject="P01")) == pytest.approx([28.0])
    profiles = Profiles(sample_table(result.cohort)).at("nominal")
    lines = TerminalLines(profiles, result.points, result.table, "first")
    assert lines.break_of(lines.keys[0]) != pytest.approx(28.0, abs=1.0, nan_ok=True)


def test_actual_times_stay_where_the_analysis_used_them():
    figure = ck.plot(ck.noncompartmental(ck.read(TABLE)), kind="areas", subject="P01")
    assert times_of(figure, "o") == set(TABLE["time"][1:])
    assert figure.axes[0].get_xlabel().startswith("time (day")


@pytest.mark.parametrize("time", ["actual", "nominal"])
def test_a_report_draws_the_times_that_the_manifest_names(tmp_path, time):
    table, out = tmp_path / "trial.csv", tmp_path / "out"
    TABLE.to_csv(table, index=False)
    command = ["nca", str(table), "--out", str(out), "--quiet", "--intervals", "--time", time, "--tmax-tie", "last"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    results = read_results(out)
    (lines,), (shaded,) = terminal_lines(results).values(), areas(results).values()
    expected = TABLE["nominal_time" if time == "nominal" else "time"].tolist()
    assert lines.profiles.samples["time"].tolist() == shaded.profiles.samples["time"].tolist() == expected
    assert lines.tmax_tie == "last"
