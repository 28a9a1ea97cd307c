"""Notes on tables whose numbers can be read and may not mean what they seem to, and on what all profiles share."""

from collections.abc import Sequence

import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.errors import Fault

HOURS = [(0, 0), (24, 100), (72, 900), (240, 5000), (336, 3000), (672, 100)]


def frame(*profiles: Sequence[tuple[float, object]], time: str = "time") -> pd.DataFrame:
    rows = [(f"P{i}", day, value) for i, samples in enumerate(profiles) for day, value in samples]
    return pd.DataFrame(rows, columns=["subject", time, "value"])


def of_code(cohort: Cohort, code: str) -> list[Fault]:
    return [fault for fault in cohort.faults if fault.code == code]


def test_times_that_look_like_hours_are_noted_with_what_to_do() -> None:
    (note,) = of_code(read(frame(HOURS, HOURS)), "times_look_like_hours")
    assert note.effect == "note"
    assert note.column == "time"
    assert "median Tmax is 240" in note.message
    assert "--time-unit hour" in note.action


@pytest.mark.parametrize("time", ["DAY", "study day", "time [d]", "time (h)"])
def test_times_whose_column_says_its_unit_in_days_or_hours_are_believed(time: str) -> None:
    mapping = {"time": time} if time == "study day" else None
    unit = "day" if time == "time [d]" else None  # a unit that is given is believed as well
    assert not of_code(read(frame(HOURS, time=time), mapping=mapping, time_unit=unit), "times_look_like_hours")


@pytest.mark.parametrize(
    "profiles",
    [
        # One late peak among three, and a peak on day 60 itself.
        [[(0, 0), (10, 9), (90, 5)], [(0, 0), (14, 9), (90, 5)], [(0, 0), (14, 5), (90, 9)]],
        [[(0, 0), (60, 9), (90, 5)]],
        # Late follow-up alone says nothing of the peak, a censored sample is none.
        [[(90, 9), (180, 12), (365, 5)]],
        [[(0, "<5"), (90, "<5"), (180, "<5")]],
        # A profile that cannot be used does not count.
        [[(0, 0), (24, -5), (240, 9)], [(0, 0), (10, 9)]],
        # Of equal values the first is the peak.
        [[(0, 0), (10, 9), (90, 9)]],
    ],
)
def test_times_in_days_are_not_taken_for_hours(profiles: list[list[tuple[float, object]]]) -> None:
    assert not of_code(read(frame(*profiles)), "times_look_like_hours")


def test_a_sample_below_an_unknown_limit_before_every_infusion_is_one_note() -> None:
    cohort = read(frame([(-1, "BLQ"), (0, "BLQ"), (7, 9), (14, 5)], [(7, 8), (0, 0), (14, 5)], [(0, 0), (7, 9)]))
    (note,) = of_code(cohort, "blq_without_lloq")
    assert (note.row, note.subject, note.effect) == (2, None, "note")
    assert "4 in all, the first on line 2" in note.message


def test_beside_that_note_each_profile_has_its_own_for_what_was_taken_later() -> None:
    cohort = read(frame([(0, 0), (7, 9), (14, "BLQ")], [(0, 0), (7, 8), (14, 5)]))
    first, second = of_code(cohort, "blq_without_lloq")
    assert "2 in all, the first on line 2" in first.message
    assert second.subject == "P0"
    assert "samples below quantification without an LLOQ: 1;" in second.message


@pytest.mark.parametrize("other", [[(0, "<5"), (7, 9)], [(3, 8), (7, 9)]])
def test_where_not_every_profile_has_one_the_notes_stay_with_their_profiles(other: list[tuple[float, object]]) -> None:
    (note,) = of_code(read(frame([(0, 0), (7, 9), (14, 5)], other)), "blq_without_lloq")
    assert note.subject == "P0"
