"""Figures of the diagnostics of a population fit, and their section in the report, from tables made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade_results import NAMES, write_results
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cellkinetics.diagnostics.prediction_errors import normality
from cellkinetics.report.figures.contributions import contribution_figure
from cellkinetics.report.figures.effects import effect_covariate_figure, effect_figure, effect_pairs_figure
from cellkinetics.report.figures.population_residuals import population_residual_figure
from cellkinetics.report.figures.prediction_errors import prediction_error_figure
from cellkinetics.report.figures.style import LIMIT, POPULATION, save_png
from cellkinetics.report.figures.trace import trace_figure
from cellkinetics.report.figures.vpc import vpc_figure
from cellkinetics.report.page import write_report
from cellkinetics.report.sections.diagnostics import errors_in_words

NAN = float("nan")
SUBJECTS = [f"P{k + 1:02d}" for k in range(5)]


def checks(strata: tuple[str, ...] = ("",)) -> pd.DataFrame:
    rows = []
    for check, shares in (("vpc", (5, 50, 95)), ("pcvpc", (5, 50, 95)), ("blq", (NAN,))):
        for stratum in strata:
            for number, day in enumerate((1.0, 9.0, 100.0), start=1):
                for share in shares:
                    lost = check != "blq" and share == 5 and day == 100.0
                    level = 0.4 if check == "blq" else 100.0 * (share or 1) * day
                    rows.append(
                        {
                            "check": check, "stratum": stratum, "bin": number, "time_start": day, "time_end": day,
                            "time": day, "n": 20, "n_below": 8, "percentile": share,
                            "observed": NAN if lost else level, "low": NAN if lost else 0.5 * level,
                            "median": level, "high": 2.0 * level, "outside": day == 9.0 and share == 50,
                            "reason": "observed, low below the LLOQ" if lost else "",
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def samples(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "subject": np.resize(SUBJECTS, n), "time": rng.uniform(0, 100, n), "value": 10 ** rng.uniform(1, 5, n),
            "censored": np.arange(n) % 5 == 0, "lloq": 50.0, "typical": 10 ** rng.uniform(1, 5, n),
            "predicted": 10 ** rng.uniform(1, 5, n), "npde": rng.standard_normal(n),
            "iwres_conditional": rng.standard_normal(n), "drawn": np.arange(n) % 5 == 0,
        }
    ).astype({"censored": int})  # fmt: skip


def contributions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject": SUBJECTS, "n": 10, "minus2ll": [20.0, 25, 30, 22, 21],
            "effective_draws": [500.0, 40, 500, 500, 500],
            "distance": [1.0, 3, 2, 1, 1.5], "influence": [0.1, 0.9, 0.3, 0.2, 0.1],
            "most_moved": ["cmax", "omega_beta", "fb", "tmax", "cmax"], "moved_by": [0.1, -0.8, 0.3, 0.2, 0.1],
        }
    )  # fmt: skip


def effects() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    eta = rng.standard_normal((len(SUBJECTS), len(NAMES)))
    rows = [(s, p, eta[i, j], 0.8 * eta[i, j]) for i, s in enumerate(SUBJECTS) for j, p in enumerate(NAMES)]
    return pd.DataFrame(rows, columns=["subject", "parameter", "eta", "eta_mean"])


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for ax in figure.axes for text in ax.texts)


def test_a_check_has_a_panel_a_stratum_with_one_of_the_share_below_it() -> None:
    figure = vpc_figure(checks(("a", "b", "c")), by="group", value_unit="copies/ug")
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == 6
    assert sorted(ax.get_title(loc="left") for ax in shown if ax.get_title(loc="left")) == [
        "group a",
        "group b",
        "group c",
    ]
    assert save_png(figure)[:4] == b"\x89PNG"


def test_what_lies_outside_is_marked_and_what_is_censored_has_no_point() -> None:
    top = vpc_figure(checks()).axes[0]
    marked = [line for line in top.get_lines() if line.get_marker() == "o" and line.get_color() == LIMIT]
    assert [line.get_xdata().tolist() for line in marked if len(line.get_xdata())] == [[9.0]]
    drawn = [line.get_ydata() for line in top.get_lines() if len(line.get_xdata()) == 3]
    assert sum(np.isnan(height).sum() for height in drawn) >= 1


def test_the_legend_of_a_check_has_the_colours_of_its_bands() -> None:
    figure = vpc_figure(checks())
    drawn = [band.get_facecolor()[0][:3].tolist() for ax in figure.axes for band in ax.collections]
    (legend,) = figure.legends
    shown = [list(patch.get_facecolor()[:3]) for patch in legend.findobj(Patch) if patch.get_alpha() == 0.18]
    assert len(shown) == 3
    assert {tuple(colour) for colour in shown} == {tuple(colour) for colour in drawn}
    assert "simulated, interval" in [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize(
    ("last", "label"), [(365.0, "Time since infusion (day, square-root scale)"), (100.0, "Time since infusion (day)")]
)
def test_the_axis_says_that_its_scale_is_a_square_root(last: float, label: str) -> None:
    rows, table = samples(), checks()
    rows.loc[0, "time"] = last
    figures = (
        vpc_figure(table.assign(time_end=table["time_end"].clip(lower=last))),
        prediction_error_figure(rows),
        population_residual_figure(rows),
    )
    for figure in figures:
        assert label in [ax.get_xlabel() for ax in figure.axes]


def test_a_covariate_of_few_numbers_is_drawn_as_groups() -> None:
    many = [f"P{k:02d}" for k in range(20)]
    eta = np.linspace(-1.0, 1.0, 20)
    table = pd.DataFrame({"subject": many, "parameter": "cmax", "eta": eta, "eta_mean": eta})
    covariates = {"sex": np.resize([1.0, 0.0], 20), "weight": np.linspace(50.0, 90.0, 20)}
    sex, weight = effect_covariate_figure(table, ["cmax"], covariates, many).axes
    assert [text.get_text() for text in sex.get_xticklabels()] == ["0", "1"]
    lines = [[line.get_color() == POPULATION for line in ax.get_lines()].count(True) for ax in (sex, weight)]
    assert lines == [0, 1]


def test_samples_and_the_lloq_stand_behind_a_check() -> None:
    top = vpc_figure(checks(), samples()).axes[0]
    quantified = int((samples()["censored"] == 0).sum())
    assert any(len(line.get_xdata()) == quantified for line in top.get_lines())
    assert any(line.get_ydata()[0] == 50.0 for line in top.get_lines())


@pytest.mark.parametrize("figure", [prediction_error_figure, population_residual_figure])
def test_samples_have_four_panels_and_drawn_ones_are_open(figure) -> None:
    made = figure(samples(), value_unit="copies/ug")
    assert len(made.axes) == 4
    open_ones = [
        line
        for ax in made.axes
        for line in ax.get_lines()
        if line.get_color() == LIMIT and line.get_markerfacecolor() == "none" and line.get_marker() == "o"
    ]
    assert {len(line.get_xdata()) for line in open_ones} == {12}
    assert save_png(made)[:4] == b"\x89PNG"


def test_effects_show_shrinkage_and_pairs_their_correlation() -> None:
    omega = dict.fromkeys(NAMES, 1.0)
    figure = effect_figure(effects(), omega, {"cmax": 10.0, "beta": 55.0})
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0] == "η cmax, shrinkage 10 %"
    assert titles[5] == "η beta, shrinkage 55 % !"
    columns = ["kind", "parameter", "beside", "statistic", "value"]
    pairs = pd.DataFrame([("pair", "cmax", "tmax", "modes", -0.5)], columns=columns)
    figure = effect_pairs_figure(effects(), NAMES, pairs)
    assert texts(figure) == "−0.50"
    assert sum(ax.get_visible() for ax in figure.axes) == 15


def test_covariates_of_numbers_have_a_line_and_of_text_boxes() -> None:
    values = {"weight": np.array([50.0, 60, 70, NAN, 90]), "group": np.array(["a", "b", "a", "b", ""], dtype=object)}
    figure = effect_covariate_figure(effects(), ["cmax"], values, SUBJECTS)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["a", "b"]
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 4
    assert save_png(effect_covariate_figure(effects(), ["cmax"], {}, SUBJECTS))[:4] == b"\x89PNG"


def test_the_patients_of_most_influence_come_first() -> None:
    figure = contribution_figure(contributions())
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["P02", "P03", "P04", "P01", "P05"]
    assert "omega_beta −0.80 SE" in texts(figure)
    without = contribution_figure(contributions().assign(influence=NAN))
    assert "no standard errors" in texts(without)


def test_a_trace_has_a_line_where_a_phase_begins() -> None:
    table = pd.DataFrame(
        {
            "iteration": np.tile([1, 2, 3], 2),
            "phase": np.tile(["explore", "explore", "average"], 2),
            "parameter": np.repeat(["cmax", "sigma"], 3),
            "value": [100.0, 5000, 2e4, 0.5, 0.6, 0.6],
        }
    )
    figure = trace_figure(table, {"cmax": 2e4})
    first = figure.axes[0]
    assert first.get_yscale() == "log"
    assert [line.get_xdata()[0] for line in first.get_lines() if line.get_linestyle() == ":"] == [3]


def test_errors_are_told_in_words() -> None:
    good = errors_in_words(normality(np.random.default_rng(0).standard_normal(500)))
    assert "They do not differ" in good
    bad = errors_in_words(normality(1.0 + np.random.default_rng(0).standard_normal(500)))
    assert "They differ" in bad
    assert "below 0.001" in bad
    assert errors_in_words(normality(np.zeros(2))) == "2 samples are too few to judge prediction errors by."


def test_the_report_shows_whatever_diagnostics_a_folder_holds(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results")
    checks().to_csv(path / "vpc.csv", index=False)
    samples().to_csv(path / "npde.csv", index=False)
    write_report(path)
    page = (path / "report.html").read_text(encoding="utf-8")
    section = page[page.index('id="diagnostics"') :]
    assert "1 of 9 lie outside" in section
    assert "share of samples below the LLOQ: 0 of 3 lie outside" in section
    assert "Residuals" not in section[: section.index("</section>")]
    contributions().to_csv(path / "population_contributions.csv", index=False)
    samples().to_csv(path / "population_residuals.csv", index=False)
    write_report(path)
    assert "Patients that the fit rests on" in (path / "report.html").read_text(encoding="utf-8")
    assert {"vpc.png", "pcvpc.png", "npde.png", "contributions.png", "population_residuals.png"} <= {
        file.name for file in (path / "figures").iterdir()
    }


def test_a_folder_without_diagnostics_has_no_such_section(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results")
    write_report(path)
    assert 'id="diagnostics"' not in (path / "report.html").read_text(encoding="utf-8")
