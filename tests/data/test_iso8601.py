"""Dates and durations of ISO 8601, and what is none."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellkinetics.data.iso8601 import parse_duration, parse_moment

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "clock", "timed"),
    [
        ("1970-01-01", 0, False),
        ("1970-01-02T00:00", DAY, True),
        ("1970-01-02 06", DAY + DAY // 4, True),
        ("1970-01-01T00:00:01.5", 1_500_000, True),
        ("1970-01-01T00:00:00,123456789", 123_456, True),
        ("1969-12-31T23:59", -60_000_000, True),
    ],
)
def test_dates_are_counted_to_the_microsecond(text, clock, timed):
    moment = parse_moment(text)
    assert moment is not None
    assert (moment.clock, moment.timed, moment.offset) == (clock, timed, None)
    assert moment.day == clock // DAY


@pytest.mark.parametrize(("zone", "minutes"), [("Z", 0), ("+01:00", 60), ("-0530", -330), ("+14:00", 840)])
def test_time_zones_are_minutes_ahead_of_utc(zone, minutes):
    moment = parse_moment(f"2026-03-01T10:00{zone}")
    assert moment is not None
    assert moment.offset == minutes


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "2026",
            "2026-03",
            "2026---01",
            "2026-13-01",
            "2026-02-30",
            "20260301",
            "1 March 2026",
            "2026-03-01T25:00",
        ),
        *("2026-03-01T10:60", "2026-03-01T10:00+99:99", "2026-03-01/2026-03-02", "٢٠٢٦-٠٣-٠١"),
    ],
)
def test_what_is_no_whole_date_is_none(text):
    assert parse_moment(text) is None


@given(date=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), ahead=st.integers(-14 * 60, 14 * 60))
def test_a_date_that_is_written_is_read_back(date, ahead):
    moment = parse_moment(date.replace(tzinfo=timezone(timedelta(minutes=ahead))).isoformat())
    assert moment is not None
    assert moment.clock == (date - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    assert moment.offset == ahead
    assert parse_moment(date.replace(tzinfo=UTC).isoformat()) is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("P0D", 0.0), ("P2W", 1_209_600.0), ("PT1.5H", 5400.0), ("-P1DT1M", -86_460.0), ("p7d", 604_800.0)],
)
def test_durations_are_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "P1M", "P1Y", "7D", "P7", "day 7"])
def test_what_has_no_fixed_length_is_no_duration(text):
    assert parse_duration(text) is None
