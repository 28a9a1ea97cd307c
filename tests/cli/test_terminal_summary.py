"""What `nca` shows of its summary, on wide and narrow terminals."""

import io

import pytest
from rich.console import Console

import cellkinetics as ck
from cellkinetics.cli.labels import show_labels, shown_parameters
from cellkinetics.cli.screen import Screen


def shown(result: ck.NCAResult, width: int, by: str | None = "group", *, terminal: bool = True) -> list[str]:
    screen, text = Screen(), io.StringIO()
    screen._out = Console(
        file=text,
        width=width if terminal else screen.width,
        force_terminal=terminal,
        color_system=None,
        highlight=False,
    )
    show_labels(screen, result.summary(by))
    return text.getvalue().splitlines()


@pytest.fixture
def result() -> ck.NCAResult:
    days = [0.0, 3.0, 7.0, 14.0, 21.0, 28.0, 56.0]
    patients = [[0.0, 60.0 * k, 90000.0 * k, 40000.0, 9000.0, 4100.0 * k, 300.0] for k in range(1, 9)]
    cohort = ck.Cohort.from_arrays([days] * 8, patients, lloq=50, group=["dose level 1", "dose level 2"] * 4)
    return ck.noncompartmental(cohort, windows="0-28,0-84")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(result: ck.NCAResult, width: int) -> None:
    lines = shown(result, width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    peak = next(line for line in lines if "dose level 1" in line)
    assert "[90,000; 630,000]" in peak


def test_a_wide_terminal_and_a_file_show_every_style(result: ck.NCAResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for width, terminal in ((120, True), (80, False)):
        lines = shown(result, width, terminal=terminal)
        assert "geometric mean" in lines[2]
        assert "(SD)" in lines[3]
        assert not any(line.startswith("not shown here") for line in lines)


def test_what_a_narrow_terminal_leaves_out_is_named(result: ck.NCAResult) -> None:
    assert "mean (SD)" in shown(result, 80)[-1]


def test_without_groups_a_parameter_is_one_line(result: ck.NCAResult) -> None:
    lines = shown(result, 120, by=None)
    assert sum("Cmax (copies/µg)" in line and "[90,000; 720,000]" in line for line in lines) == 1


def test_the_most_important_parameters_are_shown_or_what_was_asked_for(result: ck.NCAResult) -> None:
    windows = ["AUCINT_0_28", "AUCINT_0_84"]
    core = ["CMAX", "TMAX", *windows, "AUCIFO", "LAMZHL"]
    assert shown_parameters(result.summary()) == core
    cellular = ck.noncompartmental(result.cohort, windows="0-28,0-84", parameters="core,cellular")
    found = shown_parameters(cellular.summary())
    assert found[:6] == core
    assert {"EXPDT", "CDAY_28", "PERSLO"} <= set(found)
    drug = ck.noncompartmental(result.cohort, route="extravascular", dose=5, tau=28, parameters="core,drug")
    found = shown_parameters(drug.summary())
    assert {"AUCTAU", "CLFTAU", "VZFTAU"} <= set(found)
    assert not {"CLTAU", "CLO", "VZTAU"} & set(found)  # not for this route
    few = ck.noncompartmental(result.cohort, parameters="R2,EXPDT")
    assert shown_parameters(few.summary()) == ["R2", "EXPDT"]


def test_output_to_a_file_is_as_wide_as_columns_says(result: ck.NCAResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(result, 0, terminal=False)
    assert max(map(len, lines)) <= 80
    monkeypatch.delenv("COLUMNS")
    assert Screen().width > 500


def test_the_names_of_the_groups_stand_above_them(result: ck.NCAResult) -> None:
    lines = shown(result, 120)
    assert lines[2].strip().startswith("parameter")
    assert lines[3].strip().startswith("group")
    assert not any(line.strip().startswith("group") for line in shown(result, 120, by=None))
