"""Terminal lines by hand: the times that a user chose for a profile, and the samples left out with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellkinetics.data.cohort import Cohort, FloatArray, IntArray
from cellkinetics.errors import SettingsError
from cellkinetics.nca.options import NCAOptions, Slope

PLACES = ("analyte", "occasion", "specimen")
COLUMNS = ("subject", *PLACES, "first", "last", "exclude", "reason")


@dataclass(frozen=True, eq=False)
class Picks:
    """What was chosen by hand for each of ``n`` profiles.

    Attributes:
        first, last: ``(n,)``, times between which every quantified sample is in the line; NaN where the
            times were not chosen.
        excluded: for each profile the times that are left out of the line, with the reason.
    """

    first: FloatArray
    last: FloatArray
    excluded: tuple[tuple[tuple[float, str], ...], ...]

    @classmethod
    def of(cls, cohort: Cohort, options: NCAOptions) -> Picks | None:
        """Find the profiles that the options name; None where they name none.

        Raises:
            SettingsError: for a row that belongs to no profile, a second choice of times for one, or a time at
                which none of its profiles has a sample.
        """
        if not options.slopes:
            return None
        n = len(cohort)
        first, last = np.full(n, np.nan), np.full(n, np.nan)
        excluded: list[tuple[tuple[float, str], ...]] = [()] * n
        times = cohort.nominal_time if options.time == "nominal" else cohort.time
        times = np.where(cohort.mask & (times >= 0), times, np.nan)
        for slope in options.slopes:
            profiles = [
                i
                for i in range(n)
                if cohort.subject[i] == slope.subject
                and slope.analyte in ("", cohort.analyte[i])
                and slope.occasion in ("", cohort.occasion[i])
                and slope.specimen in ("", cohort.specimen[i])
            ]
            if not profiles:
                raise SettingsError(f"slopes: the data have no profile of {slope.named}")
            for what, given in (("first", slope.first), ("last", slope.last), *(("exclude", t) for t in slope.exclude)):
                if given is not None:
                    _check_sampled(slope, what, given, times[profiles])
            for i in profiles:
                if slope.first is not None and slope.last is not None:
                    if not np.isnan(first[i]):
                        raise SettingsError(f"slopes: two choices of first and last for {slope.named}")
                    first[i], last[i] = _as_sampled(times[i], slope.first), _as_sampled(times[i], slope.last)
                excluded[i] += tuple((time, slope.reason) for time in slope.exclude)
        return cls(first, last, tuple(excluded))

    def reason(self, profile: int, time: float) -> str:
        """Return why the sample of a profile at a time is left out; empty where it is not."""
        return "; ".join(reason for given, reason in self.excluded[profile] if same_time(time, given))

    def take(self, index: IntArray) -> Picks:
        """Return the choices for some profiles, in the given order."""
        return Picks(self.first[index], self.last[index], tuple(self.excluded[i] for i in index))


def same_time(time: FloatArray | float, given: float) -> Any:
    """Say which times are the one that was given, but for rounding.

    Example:
        >>> same_time(np.array([0.3, 0.30001]), 0.1 + 0.2).tolist()
        [True, False]
    """
    return np.isclose(time, given, rtol=1e-9, atol=0.0)


def _as_sampled(times: FloatArray, given: float) -> float:
    """Return a time as the sample has it that was taken then, so that rounding does not leave it out."""
    found = times[same_time(times, given)]
    return float(found[0]) if len(found) else given


def _check_sampled(slope: Slope, what: str, given: float, times: FloatArray) -> None:
    """Refuse a time at which no sample was taken.

    Raises:
        SettingsError: in that case, with the sample times before and after it.
    """
    if same_time(times, given).any():
        return
    sampled = np.unique(times[np.isfinite(times)])
    at = int(np.searchsorted(sampled, given))
    near = " and ".join(f"{time:.10g}" for time in sampled[max(at - 1, 0) : at + 1])
    there = f"the nearest samples are at {near}" if near else "it has no samples from time zero on"
    raise SettingsError(
        f"slopes: {slope.named} has no sample at time {given:.10g} ({what}); {there}; "
        "give times as they stand in the data (the nominal ones with --time nominal)"
    )


def read_slopes(path: Path) -> tuple[Slope, ...]:
    """Read a table of choices: ``subject, analyte, occasion, specimen, first, last, exclude, reason``.

    A CSV file, in which only ``subject`` must be there. ``first`` and ``last`` are the times of the
    first and last point of the line; ``exclude`` holds times that are left out, with spaces or
    semicolons between them.

    Raises:
        SettingsError: for a file that cannot be read, an unknown column, a text where a number
            belongs, or a row that says nothing.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except FileNotFoundError:
        raise SettingsError(f"--slopes {path}: there is no such file") from None
    except OSError as error:
        raise SettingsError(f"--slopes {path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise SettingsError(f"--slopes {path}: is no table of comma-separated values: {error}") from None
    table.columns = [str(name).strip().lower() for name in table.columns]
    unknown = [name for name in table.columns if name not in COLUMNS]
    if unknown or "subject" not in table.columns:
        found = f"has the column {unknown[0]!r}" if unknown else "has no column 'subject'"
        raise SettingsError(f"slopes: {path} {found}; its columns are {', '.join(COLUMNS)}")
    slopes = []
    for line, row in enumerate(table.to_dict("records"), start=2):
        texts = {name: str(row.get(name, "")).strip() for name in COLUMNS}
        try:
            fields: dict[str, Any] = {
                "first": float(texts["first"]) if texts["first"] else None,
                "last": float(texts["last"]) if texts["last"] else None,
                "exclude": tuple(float(part) for part in texts["exclude"].replace(";", " ").split()),
            }
        except ValueError:
            raise SettingsError(f"slopes: {path}, line {line}: first, last and exclude are times, as numbers") from None
        try:
            labels: dict[str, Any] = {name: texts[name] for name in ("subject", *PLACES, "reason")}
            slopes.append(Slope(**labels, **fields))
        except SettingsError as error:
            raise SettingsError(f"slopes: {path}, line {line}: {error}") from None
    return tuple(slopes)
