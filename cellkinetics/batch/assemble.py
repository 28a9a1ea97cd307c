"""The results of all pieces become the files of the batch, streamed in the order of the input."""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cellkinetics.batch.faults import join_faults
from cellkinetics.batch.job import Job, Piece
from cellkinetics.batch.worker import COMMON, LABELS, Receipt, piece_folder, read_receipt
from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import FAULT_COLUMNS
from cellkinetics.errors import Fault, SettingsError
from cellkinetics.nca.column import Column, Key
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.result import NCAResult, status_of
from cellkinetics.report.formats import table_format
from cellkinetics.report.output import csv_bytes, sha256_of

Progress = Callable[[int, int], None]
SUMMARY = "nca_summary.csv"
CHECK = "check.csv"
_FAULTS_AT_A_TIME = 10_000
_NUMBERS = ("row", "time", "nominal_time", "value", "censored", "lloq", "uloq")


class UnsuitableError(SettingsError):
    """The options do not suit the data of a batch, so that it cannot be gone on with as it is."""


class Part(NamedTuple):
    """What memory holds of a piece; the rest of its receipt stays on disk.

    Attributes:
        number, file, status: see `cellkinetics.batch.job.Piece` and `cellkinetics.batch.worker`.
        profiles, total, not_calculated, flagged: how many profiles, values, and values without a number or with a mark.
        several_occasions: whether a subject of the piece has several.
        tables: how many rows each has, by name.
    """

    number: int
    file: str
    status: str
    profiles: int = 0
    total: int = 0
    not_calculated: int = 0
    flagged: int = 0
    several_occasions: bool = False
    tables: Mapping[str, int] = {}

    @classmethod
    def of(cls, receipt: Receipt) -> Part:
        """Take what is needed from a receipt."""
        given = {name: receipt[name] for name in cls._fields if name in receipt}
        tables = {sys.intern(name): rows for name, rows in receipt.get("tables", {}).items()}
        return cls(**{**given, "file": sys.intern(receipt["file"]), "tables": tables})


@dataclass(frozen=True)
class Batch:
    """All pieces that are done.

    Attributes:
        job: what was asked for.
        folder: where the results of the pieces are.
        parts: one a piece, in order.
        general: faults that belong to no single file.
        time_unit: that of all times.
    """

    job: Job
    folder: Path
    parts: tuple[Part, ...]
    general: tuple[Fault, ...]
    time_unit: str

    @classmethod
    def read(cls, job: Job, folder: Path, pieces: Sequence[Piece]) -> Batch:
        """Look through the receipts of pieces that are all done.

        Raises:
            UnsuitableError: if their times are in different units.
        """
        parts, units, used, missing = [], Units(), set[int](), Counter[str]()
        for receipt in _receipts(folder, range(len(pieces))):
            parts.append(Part.of(receipt))
            units.add(receipt)
            used.update(receipt.get("slopes", ()))
            missing.update(receipt.get("grouping_missing", ()))
        done = sum(part.status == "done" for part in parts)
        general = [*_slopes_nowhere(job, used), *_columns_missing(missing, done)] if done else []
        return cls(job, folder, tuple(parts), tuple(general), units.one)

    @cached_property
    def analysed(self) -> list[Part]:
        """The pieces that could be analysed."""
        return [part for part in self.parts if part.status == "done"]

    @cached_property
    def common(self) -> dict[str, Any]:
        """Columns of the tables and resolved options, the same for all pieces; empty if none was analysed."""
        if not self.analysed:
            return {"columns": {}, "options": {}}
        path = piece_folder(self.folder, self.analysed[0].number) / COMMON
        return dict(json.loads(path.read_text(encoding="utf-8")))

    @property
    def status(self) -> str:
        """How it went, in one sentence."""
        done = self.analysed
        lost, flagged = sum(part.not_calculated for part in done), sum(part.flagged for part in done)
        return status_of(sum(part.total for part in done), lost, flagged)

    def receipts(self) -> Iterator[Receipt]:
        """Give the receipt of each piece, from disk."""
        return _receipts(self.folder, range(len(self.parts)))

    def faults(self) -> Iterator[tuple[str, Fault]]:
        """Give every fault with its file, files in order."""
        for file, receipts in itertools.groupby(self.receipts(), key=lambda receipt: str(receipt["file"])):
            parts = [[Fault(**fault) for fault in receipt["faults"]] for receipt in receipts]
            yield from ((file, fault) for fault in join_faults(parts))
        yield from (("", fault) for fault in self.general)

    def write(self, final: Path, progress: Progress | None = None) -> tuple[dict[str, str], pd.DataFrame]:
        """Write the files, and return the SHA-256 of each and the summary."""
        final.mkdir(parents=True)
        files: dict[str, str] = {}
        names = [name for name in self.common["columns"] if name != "unknown"]
        form = table_format(self.job.table_format)
        for number, name in enumerate(names):
            parts = self._sample_parts(final) if name == "samples" else self._parts(name)
            file = f"{name}.{form.suffix}"
            files[file] = form.join(parts, self.common["columns"][name], final / file)
            if progress is not None:
                progress(number + 1, len(names) + 1)
        summary = pd.DataFrame()
        if self.analysed:
            summary = self._values(final.parent / "values-0").summary(by=list(self.job.grouping))
            (final / SUMMARY).write_bytes(csv_bytes(summary))
            files[SUMMARY] = sha256_of(final / SUMMARY)
        self._write_faults(final / CHECK)
        files[CHECK] = sha256_of(final / CHECK)
        if progress is not None:
            progress(len(names) + 1, len(names) + 1)
        return files, summary

    def _part(self, part: Part, name: str, suffix: str) -> Path:
        return piece_folder(self.folder, part.number) / f"{name}.{suffix}"

    def _parts(self, name: str) -> list[Path]:
        suffix = table_format(self.job.table_format).suffix
        return [self._part(part, name, suffix) for part in self.analysed if part.tables[name]]

    def _sample_parts(self, final: Path) -> list[Path]:
        """Rows without a subject stand behind all others of their file, in order of time."""
        form = table_format(self.job.table_format)
        paths = []
        for number, (_, group) in enumerate(itertools.groupby(self.analysed, key=lambda part: part.file)):
            parts = list(group)
            paths += [self._part(each, "samples", form.suffix) for each in parts if each.tables["samples"]]
            unknown = [each for each in parts if each.tables["unknown"]]
            if unknown:
                columns = self.common["columns"]["unknown"]
                table = pd.concat([_read(self._part(each, "unknown", "csv"), columns) for each in unknown])
                path = final.parent / f"unknown-{number}.{form.suffix}"
                form.write_part(table.iloc[np.lexsort((table["row"], table["time"]))], path)
                paths.append(path)
        return paths

    def _write_faults(self, path: Path) -> None:
        names = [*(["file"] if self.job.several else []), *FAULT_COLUMNS]
        path.write_bytes(csv_bytes(pd.DataFrame(columns=names)))
        with path.open("ab") as stream:
            faults = self.faults()
            while some := list(itertools.islice(faults, _FAULTS_AT_A_TIME)):
                table = pd.DataFrame([{"file": file, **fault.to_dict()} for file, fault in some], columns=names)
                table = table.assign(row=table["row"].astype("Int64"))
                stream.write(table.to_csv(index=False, header=False, lineterminator="\n").encode())

    def _values(self, path: Path) -> _Joined:
        """Return a result with the values of all profiles, which stay on disk, and no samples."""
        n = sum(part.profiles for part in self.analysed)
        names = [*LABELS, *(name for name in self.job.grouping if name not in LABELS)]
        labels: dict[str, list[Any]] = {name: [] for name in names}
        unusable: list[Fault | None] = [None] * n
        faults: dict[str, Fault] = {}
        keys: list[Key] = []
        arrays: dict[str, Any] = {}
        begin = 0
        for part in self.analysed:
            folder, end = piece_folder(self.folder, part.number), begin + part.profiles
            content = json.loads((folder / "values.json").read_text(encoding="utf-8"))
            if not keys:
                keys = [Key(*key) for key in content["keys"]]
                shape = (max(len(keys), 1), n)
                for name, kind in (("value", np.float64), ("why", np.int8), ("flags", np.int16)):
                    arrays[name] = np.memmap(path.with_suffix(f".{name}"), kind, "w+", shape=shape)
            for name, array in arrays.items():
                array[: len(keys), begin:end] = np.load(folder / f"{name}.npy", mmap_mode="r")
            for index, fault in content["unusable"].items():
                # The summary counts their codes.
                unusable[begin + int(index)] = faults.setdefault(fault["code"], Fault(**fault))
            for name, items in labels.items():
                words = [_interned(item) for item in content["labels"][name]]
                items += [words[code] for code in np.load(folder / f"label_{name}.npy").tolist()]
            begin = end
        labels = {name: _of_one_kind(items) for name, items in labels.items()}
        nothing = np.zeros((n, 0))
        cohort = Cohort(
            subject=("",) * n,
            time=nothing,
            value=nothing,
            censored=nothing.astype(np.int64),
            lloq=nothing,
            uloq=nothing,
            nominal_time=nothing,
            mask=nothing.astype(bool),
            row=nothing.astype(np.int64),
            dose=np.full(n, np.nan),
            analyte=tuple(labels["analyte"]),
            specimen=tuple(labels["specimen"]),
            group=tuple(labels["group"]),
            occasion=tuple(labels["occasion"]),
            value_unit=tuple(labels["value_unit"]),
            dose_unit=tuple(labels["dose_unit"]),
            covariates={name: np.array(labels[name]) for name in names if name not in LABELS},
            unusable=tuple(unusable),
            time_unit=self.time_unit,
        )
        columns = {key: Column(**{name: array[i] for name, array in arrays.items()}) for i, key in enumerate(keys)}
        options = NCAOptions(**self.common["options"])
        several = any(part.several_occasions for part in self.analysed)
        return _Joined(cohort=cohort, options=options, columns=columns, several=several)


@dataclass(frozen=True, eq=False, repr=False)
class _Joined(NCAResult):
    """The values of all pieces, without the names of their subjects: ``several`` is what these would tell."""

    several: bool = False

    @property
    def several_occasions(self) -> bool:
        return self.several


class Units:
    """The units of time of the pieces, each with the first file that has it."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def add(self, receipt: Receipt) -> None:
        """Look at one more piece.

        Raises:
            UnsuitableError: if its times are in another unit than those of a piece before.
        """
        if receipt["status"] != "done":
            return
        self._files.setdefault(receipt["reading"]["time_unit"], receipt["file"])
        if len(self._files) > 1:
            found = ", ".join(f"{unit} in {file}" for unit, file in self._files.items())
            raise UnsuitableError(
                f"times are in several units: {found}; give the unit of all with --time-unit, "
                "or analyse the files of each unit apart"
            )

    @property
    def one(self) -> str:
        """The unit of all; empty if nothing was analysed."""
        return next(iter(self._files), "")


def _receipts(folder: Path, numbers: Iterable[int]) -> Iterator[Receipt]:
    for number in numbers:
        receipt = read_receipt(folder, number)
        assert receipt is not None, "all pieces are done"
        yield receipt


def _slopes_nowhere(job: Job, used: Collection[int]) -> list[Fault]:
    """Return a fault for each choice by hand for a profile that is nowhere."""
    return [
        Fault(
            "slopes_without_profile",
            f"slopes: the data have no profile of {slope.named}",
            "correct the table of --slopes",
            "row",
            subject=slope.subject,
        )
        for number, slope in enumerate(job.rules.slopes)
        if number not in used
    ]


def _columns_missing(missing: Mapping[str, int], done: int) -> list[Fault]:
    """Return a note for each column to group by that some of the pieces do not have."""
    return [
        Fault(
            "no_column_to_group_by",
            f"{count} of {done} pieces have no column {name} to group by: their label is empty",
            "no need to act if these files have none",
            "note",
            column=name,
        )
        for name, count in missing.items()
    ]


def _interned(item: Any) -> Any:
    return sys.intern(item) if isinstance(item, str) else item


def _of_one_kind(items: list[Any]) -> list[Any]:
    """Return labels; numbers become texts where a piece of another file has texts."""
    if any(isinstance(item, str) for item in items):
        return [item if isinstance(item, str) else _text(item) for item in items]
    return items


def _text(number: float) -> str:
    return "" if number != number else f"{number:.15g}"


def _read(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    table = pd.read_csv(path, names=list(columns), header=None, dtype="str", keep_default_na=False)
    for name in _NUMBERS:
        table[name] = table[name].replace("", "nan").astype(float)
    return table.astype({"row": "int64", "censored": "int64"})
