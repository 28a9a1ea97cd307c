"""What `nca` shows of its summary, on wide and narrow terminals."""

import io

import pytest
from rich.console import Console

import cellkinetics as ck
from cellkinetics.cli.labels import show_labels, shown_parameters
from cellkinetics.cli.screen import Screen


def shown(result: ck.NCAResult, width: int, by: str | None = "group", *, terminal: bool = True) -> list[str]:
    screen, text = Screen(), io.StringIO()
    screen._out = Console(file=text, width=width if terminal else screen.width, force_terminal=terminal, color_system=None, highlight=False)
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


def test_a_wide_terminal_and_a_file_show_every_style(result: ck.NCAResult) -> None:
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
    assert shown_parameters(result.summary()) == ["CMAX", "TMAX", "AUCINT_0_28", "AUCIFO", "LAMZHL"]
    few = ck.noncompartmental(result.cohort, parameters="R2,EXPDT")
    assert shown_parameters(few.summary()) == ["R2", "EXPDT"]
