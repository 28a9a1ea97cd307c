"""`plot`: every result has its kinds of figures, and says which."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

import cellkinetics as ck
from cellkinetics.errors import SettingsError
from cellkinetics.fitting.result import IndividualFits
from cellkinetics.fitting.selection import Ranked
from cellkinetics.report.figures import save_png

NCA_KINDS = [
    *("overview", "profiles", "times", "boxes", "lambda_z", "areas", "persistence_km", "persistence_swimmer"),
]


@pytest.fixture(scope="module")
def cohort() -> ck.Cohort:
    days = [0.0, 7.0, 14.0, 21.0, 28.0, 42.0]
    values = [[0.0, 900.0 * k, 400.0, 200.0, 90.0, 0.0 if k % 2 else 70.0] for k in range(1, 5)]
    plain = ck.Cohort.from_arrays([days] * 4, values, lloq=50, subject=list("ABCD"), group=["low", "high"] * 2)
    nominal = plain.time - np.array([[0.0], [0.5], [0.0], [-1.0]])
    return replace(plain, nominal_time=nominal, covariates={"response": np.array(["CR", "CR", "PD", "PD"])})


@pytest.fixture(scope="module")
def result(cohort: ck.Cohort) -> ck.NCAResult:
    return ck.noncompartmental(cohort, parameters="core,cellular", windows="0-28")


FIT_KINDS = ["overview", "profiles", "times", "estimates", "likelihood", "ranking", "beside_nca"]


@pytest.fixture(scope="module")
def fits(cohort: ck.Cohort) -> IndividualFits:
    found = ck.fit(cohort, intervals="profile")
    ranked = [
        Ranked(f.subject, f.analyte, f.occasion, f.specimen, model, 40.0, 5, 6, 50.0, delta, weight, weight > 0.5)
        for f in found
        for model, delta, weight in (("ecp", 0.0, 0.8), ("ecp-persistence", 2.77, 0.2))
    ]
    return replace(found, ranked=tuple(ranked))


def visible(figure: Figure) -> int:
    return sum(ax.get_visible() for ax in figure.axes)


@pytest.mark.parametrize("kind", NCA_KINDS)
def test_an_analysis_has_every_kind(result: ck.NCAResult, kind: str) -> None:
    assert save_png(result.plot(kind), dpi=40).startswith(b"\x89PNG")


def test_kinds_that_there_are_not_are_listed(result: ck.NCAResult, cohort: ck.Cohort) -> None:
    with pytest.raises(SettingsError, match=f"no figure 'box' of a NCAResult; there are {', '.join(NCA_KINDS)}"):
        ck.plot(result, kind="box")
    with pytest.raises(SettingsError, match=r"there are overview, profiles, times$"):
        ck.plot(cohort, kind="boxes")


def test_every_kind_is_named_in_the_documentation() -> None:
    assert ck.plot.__doc__ is not None
    assert all(f"``{kind}``" in ck.plot.__doc__ for kind in [*NCA_KINDS, *FIT_KINDS])


@pytest.mark.parametrize("kind", ["profiles", "lambda_z", "areas"])
def test_one_subject_can_be_drawn_alone(result: ck.NCAResult, kind: str) -> None:
    assert visible(ck.plot(result, kind=kind)) == 4
    figure = ck.plot(result, kind=kind, subject="C")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["C · low"]


def test_a_figure_of_all_patients_together_refuses_one(result: ck.NCAResult) -> None:
    with pytest.raises(SettingsError, match="'boxes' shows all patients together"):
        ck.plot(result, kind="boxes", subject="A")


def test_boxes_take_any_parameters_and_any_grouping(result: ck.NCAResult) -> None:
    figure = ck.plot(result, kind="boxes", parameters=["ALPHAHL", "CMAX", "AUCINT"], by=["response", "group"])
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()]
    assert titles == ["t½ contraction (day)", "Cmax (copies/µg)", "AUC0-28 (day·copies/µg)"]
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["CR · low", "CR · high", "PD · low", "PD · high"]
    with pytest.raises(SettingsError, match="no parameter 'XYZ'; it has CMAX"):
        ck.plot(result, parameters=["XYZ"])
    with pytest.raises(SettingsError, match="no column 'age' to group by"):
        ck.plot(result, by="age")


def test_boxes_of_all_patients_together_have_one_group(result: ck.NCAResult) -> None:
    assert [label.get_text() for label in ck.plot(result, by=None).axes[0].get_xticklabels()] == ["all"]


def test_deviations_of_times_are_drawn_over_the_nominal_ones(result: ck.NCAResult) -> None:
    ax = ck.plot(result, kind="times").axes[0]
    drawn = {line.get_label(): line for line in ax.get_lines() if line.get_marker() == "o"}
    assert sorted(set(drawn["high"].get_ydata())) == [-1.0, 0.5]
    assert set(drawn["low"].get_ydata()) == {0.0}
    assert {text.get_text() for text in ax.texts} <= {"B", "D"}


def test_without_nominal_times_the_message_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"no nominal time.*nominal_time=NTIME"):
        ck.plot(ck.Cohort.from_arrays([[0, 7]], [[5, 9]]), kind="times")


def test_persistence_that_was_not_asked_for_is_told(cohort: ck.Cohort) -> None:
    with pytest.raises(SettingsError, match="core,cellular"):
        ck.plot(ck.noncompartmental(cohort), kind="persistence_km")


@pytest.mark.parametrize("kind", FIT_KINDS)
def test_fits_have_every_kind(fits: IndividualFits, kind: str) -> None:
    assert save_png(fits.plot(kind), dpi=40).startswith(b"\x89PNG")


def test_kinds_that_fits_do_not_have_are_listed(fits: IndividualFits) -> None:
    with pytest.raises(SettingsError, match=f"no figure 'boxes' of a IndividualFits; there are {', '.join(FIT_KINDS)}"):
        ck.plot(fits, kind="boxes")


def test_estimates_take_any_row_and_any_grouping_and_a_second_way(fits: IndividualFits) -> None:
    figure = ck.plot(fits, kind="estimates", parameters=["cmax", "half_life_beta"], by="response", beside=fits)
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()] == [
        "cmax (copies/µg)",
        "half_life_beta (day)",
    ]
    assert [label.get_text().split("\n")[0] for label in figure.axes[0].get_xticklabels()] == ["CR", "PD"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "beside"]
    with pytest.raises(SettingsError, match=r"no parameter 'xyz'; they have cmax, tmax"):
        ck.plot(fits, kind="estimates", parameters=["xyz"])
    with pytest.raises(SettingsError, match="no column 'age' to group by"):
        ck.plot(fits, kind="estimates", by="age")


def test_the_likelihood_of_one_subject_has_a_panel_for_each_parameter(fits: IndividualFits) -> None:
    figure = ck.plot(fits, kind="likelihood", subject="A")
    named = {ax.get_title(loc="left").split(" ")[0] for ax in figure.axes if ax.get_visible()}
    assert named == set(fits["A"].profiles)


def test_figures_of_what_was_not_asked_for_say_how_to_ask(fits: IndividualFits) -> None:
    plain = replace(fits, fits=tuple(replace(f, profiles={}) for f in fits), ranked=())
    with pytest.raises(SettingsError, match="intervals='profile'"):
        ck.plot(plain, kind="likelihood")
    with pytest.raises(SettingsError, match=r"model=\['ecp', 'ecp-persistence'\]"):
        ck.plot(plain, kind="ranking")
