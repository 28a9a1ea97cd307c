"""Figures of individual fits: change points, phases, estimates, likelihood profiles, rankings, ratios to the NCA."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import sample_table
from cellkinetics.report.figures.beside_nca import beside_nca_figure
from cellkinetics.report.figures.fits import estimates_figure
from cellkinetics.report.figures.likelihood import (
    LikelihoodProfiles,
    few_ticks,
    likelihood_figure,
    likelihood_grid,
    likelihood_pages,
)
from cellkinetics.report.figures.profiles import PHASES, Profiles, change_points, legend_handles, profile_figure
from cellkinetics.report.figures.ranking import ranked_models, ranking_figure, ranking_pages
from cellkinetics.report.figures.style import LIMIT, save_png

PLACE = {"analyte": "", "occasion": "", "specimen": ""}
P01, P02 = ("P01", "", "", ""), ("P02", "", "", "")
SIX = {(f"P{k:02d}", "", "", ""): "low" if k < 4 else "high" for k in range(1, 7)}
TWO = {P01: "low", P02: "high"}
COHORT = Cohort.from_arrays([[0, 7, 14, 28]] * 2, [[0, 900, 400, 60]] * 2, lloq=50, subject=["P01", "P02"])


def row(subject: str, parameter: str, estimate: float | None, status: str = "ok", **other: object) -> dict[str, object]:
    return {"subject": subject, **PLACE, "model": "ecp", "parameter": parameter, "estimate": estimate, "unit": "day",
            "status": status, "reason_code": "", "ci_low": None, "ci_high": None, **other}  # fmt: skip


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def marks(figure: Figure, marker: str = "o") -> list[np.ndarray]:
    return [line.get_ydata() for ax in figure.axes for line in ax.get_lines() if line.get_marker() == marker]


class TestProfiles:
    table = pd.DataFrame(
        [row("P01", "tmax", 9.0), row("P01", "tlag", 2.0), row("P01", "alpha", 0.2), row("P02", "tmax", None, "failed")]
    )
    curves = pd.DataFrame(
        {"subject": "P01", **PLACE, "time": [0.0, 9.0, 28.0], "predicted": [1.0, 1000.0, 110.0],
         "contraction": [np.nan, 900.0, 20.0], "persistence": [np.nan, 100.0, 90.0]}
    )  # fmt: skip

    def test_change_points_are_the_days_with_an_estimate_in_order_of_time(self) -> None:
        found = change_points(self.table)
        assert found == {P01: {"tlag": 2.0, "tmax": 9.0}}
        assert list(found[P01]) == ["tlag", "tmax"]
        assert change_points(None) == {}

    def test_each_change_point_is_a_line_with_its_name(self) -> None:
        figure = profile_figure(Profiles(sample_table(COHORT), breaks=change_points(self.table)), P01)
        days = [line.get_xdata()[0] for line in figure.axes[0].get_lines() if len(set(line.get_xdata())) == 1]
        assert {2.0, 9.0} <= set(days)
        assert texts(figure) == ["tlag", "tmax"]

    def test_a_change_point_outside_the_samples_is_not_drawn(self) -> None:
        assert texts(profile_figure(Profiles(sample_table(COHORT), breaks={P01: {"tmax": 40.0}}), P01)) == []

    def test_both_phases_of_the_decline_are_lines_of_their_own_colours(self) -> None:
        profiles = Profiles(sample_table(COHORT), curves=self.curves)
        drawn = {line.get_color(): line.get_ydata() for line in profile_figure(profiles, P01).axes[0].get_lines()}
        assert drawn[PHASES["contraction"]].tolist()[1:] == [900.0, 20.0]
        assert drawn[PHASES["persistence"]].tolist()[1:] == [100.0, 90.0]
        assert {"contraction", "persistence"} <= {str(handle.get_label()) for handle in legend_handles(profiles)}

    def test_a_phase_that_no_patient_has_is_not_in_the_legend(self) -> None:
        profiles = Profiles(sample_table(COHORT), curves=self.curves.assign(persistence=np.nan))
        labels = [handle.get_label() for handle in legend_handles(profiles)]
        assert "contraction" in labels
        assert "persistence" not in labels

    def test_an_outlier_has_a_ring_around_it(self) -> None:
        outliers = pd.DataFrame([{"subject": "P01", **PLACE, "time": 14.0}])
        profiles = Profiles(sample_table(COHORT), outliers=outliers)

        def rings(key: tuple[str, str, str, str]) -> list[tuple[list[float], list[float]]]:
            found = [line for line in profile_figure(profiles, key).axes[0].get_lines() if line.get_marker() == "o"]
            return [(list(one.get_xdata()), list(one.get_ydata())) for one in found if one.get_mec() == LIMIT]

        assert rings(P01) == [([14.0], [400.0])]
        assert rings(P02) == []

    def test_the_axis_holds_the_fitted_peak_unless_it_is_far_beyond_all_samples(self) -> None:
        samples = sample_table(COHORT)
        near = self.curves.assign(predicted=[1.0, 4000.0, 110.0])
        far = self.curves.assign(predicted=[1.0, 1e9, 110.0])
        assert Profiles(samples, curves=near).value_limits[1] == 6000.0
        assert Profiles(samples, curves=far).value_limits[1] == 10 * Profiles(samples).value_limits[1]


class TestEstimates:
    table = pd.DataFrame(
        [
            *(row(f"P{k:02d}", "tmax", 8.0 + k) for k in range(1, 5)),
            row("P05", "tmax", None, "not_identifiable"),
            row("P06", "tmax", 10.0, "prior"),
        ]
    )

    def test_below_a_group_stands_for_how_many_the_parameter_is_identified(self) -> None:
        ax = estimates_figure({"": self.table}, ["tmax"], SIX).axes[0]
        assert [label.get_text() for label in ax.get_xticklabels()] == ["low\n3/3", "high\n1/3"]
        assert ax.get_title(loc="left") == "tmax (day)"

    def test_what_says_the_prior_is_faint_and_not_counted(self) -> None:
        ax = estimates_figure({"": self.table}, ["tmax"], SIX).axes[0]
        faint = [line for line in ax.get_lines() if line.get_marker() == "o" and line.get_alpha() == 0.35]
        assert np.concatenate([line.get_ydata() for line in faint]).tolist() == [10.0]

    def test_two_ways_stand_beside_each_other_with_a_legend(self) -> None:
        other = self.table.assign(estimate=10.0, status="ok")
        figure = estimates_figure({"maximum likelihood": self.table, "with a prior": other}, ["tmax"], SIX)
        assert figure.axes[0].get_xticklabels()[1].get_text() == "high\n1/3\n3/3"
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["maximum likelihood", "with a prior"]

    def test_the_axis_is_logarithmic_unless_the_parameter_is_not_transformed(self) -> None:
        both = pd.concat([self.table, self.table.assign(parameter="slope", estimate=-1.0)])
        figure = estimates_figure({"": both}, ["tmax", "slope"], SIX, linear=["slope"])
        assert [ax.get_yscale() for ax in figure.axes if ax.get_visible()] == ["log", "linear"]
        assert any(-1.0 in values for values in marks(figure))

    def test_a_parameter_that_nobody_has_says_so(self) -> None:
        nobody = self.table.assign(estimate=np.nan, status="not_identifiable")
        figure = estimates_figure({"": nobody}, ["tmax"], SIX)
        assert texts(figure) == ["identified in nobody"]
        assert save_png(figure, dpi=40).startswith(b"\x89PNG")


class TestLikelihood:
    points = pd.DataFrame(
        [
            {"subject": subject, **PLACE, "parameter": name, "value": value, "delta": (np.log(value) - 2.0) ** 2 * 4,
             "rise": rise}
            for subject, name, rise in (("P01", "cmax", 3.84), ("P01", "beta", 3.84), ("P02", "cmax", np.inf))
            for value in np.exp([0.5, 1.0, 2.0, 3.0, 3.5])
        ]
    )  # fmt: skip
    estimates = pd.DataFrame(
        [
            row("P01", "cmax", 7.39, ci_low=3.0, ci_high=18.0, profile_low=2.77, profile_high=19.7),
            row("P01", "beta", None, "not_identifiable", reason_code="flat_likelihood;flat_profile"),
            row("P02", "cmax", None, "not_identifiable", reason_code="no_degrees_of_freedom"),
        ]
    )
    profiles = LikelihoodProfiles(points, estimates)

    def test_the_threshold_and_the_ends_of_both_intervals_are_drawn(self) -> None:
        ax = likelihood_figure(self.profiles, P01).axes[0]
        levels = [line.get_ydata()[0] for line in ax.get_lines() if line.get_linestyle() == "--"]
        assert levels == [3.84]
        ends = [segment[0, 0] for held in ax.collections for segment in held.get_segments()]
        assert ends == [2.77, 19.7]
        bar = next(line for line in ax.get_lines() if line.get_linewidth() == 2.2)
        assert bar.get_xdata()[0] == 3.0
        assert bar.get_xdata()[1] == 18.0

    def test_between_the_points_the_curve_is_that_of_a_parabola(self) -> None:
        curve = likelihood_figure(self.profiles, P01).axes[0].get_lines()[0]
        x, y = np.log(curve.get_xdata()), curve.get_ydata()
        np.testing.assert_allclose(y, 4 * (x - 2.0) ** 2, atol=1e-9)

    def test_a_parameter_without_an_estimate_says_why(self) -> None:
        assert texts(likelihood_figure(self.profiles, P01)) == ["flat likelihood\nflat profile"]

    def test_without_degrees_of_freedom_there_is_no_threshold(self) -> None:
        ax = likelihood_figure(self.profiles, P02).axes[0]
        assert not any(line.get_linestyle() == "--" for line in ax.get_lines())

    def test_a_page_has_a_row_a_patient_and_says_what_was_not_searched(self) -> None:
        figure = likelihood_grid(self.profiles, self.profiles.keys)
        assert [ax.get_ylabel() for ax in figure.axes[::2]] == ["P01", "P02"]
        assert "not searched" in texts(figure)
        assert save_png(figure, dpi=40).startswith(b"\x89PNG")
        seven = pd.concat([self.points.assign(subject=f"S{k}") for k in range(7)])
        names = pd.concat([self.estimates.assign(subject=f"S{k}") for k in range(7)])
        pages = list(likelihood_pages(LikelihoodProfiles(seven, names)))
        assert [len(page.axes) for page in pages] == [12, 2]

    def test_a_parameter_on_its_own_scale_has_a_linear_axis(self) -> None:
        moved = self.points.assign(value=self.points["value"] - 5.0)
        profiles = replace(self.profiles, points=moved, linear=["cmax"])
        ax = likelihood_figure(profiles, P01).axes[0]
        assert ax.get_xscale() == "linear"
        assert ax.get_xlim()[0] < np.exp(0.5) - 5.0

    @pytest.mark.parametrize(("low", "high"), [(1e-6, 2.0), (1500.0, 2e4), (7.1, 8.6), (0.4051, 0.4052), (1e-300, 1.0)])
    def test_a_short_axis_has_few_ticks_inside_its_limits(self, low: float, high: float) -> None:
        ticks = few_ticks(low, high)
        assert 1 <= len(ticks) <= 4
        assert all(low <= tick <= high for tick in ticks)


class TestRanking:
    table = pd.DataFrame(
        [
            {"subject": subject, **PLACE, "model": model, "weight": weight, "chosen": chosen}
            for subject, model, weight, chosen in (
                ("P01", "ecp", 0.25, False),
                ("P01", "ecp-persistence", 0.75, True),
                ("P02", "ecp", None, False),
                ("P02", "ecp-persistence", None, True),
            )
        ]
    )

    def test_a_row_a_patient_and_a_column_a_model_the_most_chosen_first(self) -> None:
        ax = ranking_figure(self.table).axes[0]
        assert [label.get_text() for label in ax.get_yticklabels()] == ["P01", "P02"]
        assert [label.get_text() for label in ax.get_xticklabels()] == ["ecp-persistence", "ecp"]
        assert [text.get_text() for text in ax.texts] == ["0.75", "0.25", "–", "–"]

    def test_what_was_chosen_has_a_frame(self) -> None:
        framed = [patch.get_xy() for patch in ranking_figure(self.table).axes[0].patches if not patch.get_fill()]
        assert framed == [(-0.48, -0.46), (-0.48, 0.54)]

    def test_pages_hold_forty_patients(self) -> None:
        many = pd.concat([self.table.iloc[:2].assign(subject=f"S{k}") for k in range(41)])
        assert [len(page.axes[0].get_yticklabels()) for page in ranking_pages(many)] == [40, 1]
        assert ranked_models(many) == ["ecp-persistence", "ecp"]


class TestBesideNCA:
    table = pd.DataFrame(
        [
            {"subject": subject, **PLACE, "quantity": quantity, "ratio": ratio}
            for subject, quantity, ratio in (
                ("P01", "CMAX", 1.0),
                ("P02", "CMAX", 4.0),
                ("P01", "AUCINT_0_28", 1e9),
                ("P02", "AUCINT_0_28", None),
            )
        ]
    )

    def test_the_axis_has_powers_of_two_and_counts_what_has_a_ratio(self) -> None:
        ax = beside_nca_figure(self.table, TWO).axes[0]
        assert [label.get_text() for label in ax.get_xticklabels()] == ["Cmax\nn = 2", "AUC0-28\nn = 1"]
        assert {"1/4", "1", "4"} <= {label.get_text() for label in ax.get_yticklabels()}

    def test_patients_far_apart_are_named_and_the_furthest_stand_at_the_edge(self) -> None:
        figure = beside_nca_figure(self.table, TWO)
        assert texts(figure) == ["P02", "P01"]
        assert np.concatenate(marks(figure, "^")).tolist() == [6.0]

    def test_without_any_ratio_there_is_an_empty_figure(self) -> None:
        figure = beside_nca_figure(self.table.assign(ratio=np.nan), TWO)
        assert save_png(figure, dpi=40).startswith(b"\x89PNG")
