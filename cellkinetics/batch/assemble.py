"""The results of all pieces become the files of the batch, streamed in the order of the input."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellkinetics.batch.faults import join_faults
from cellkinetics.batch.job import Job, Piece
from cellkinetics.batch.worker import LABELS, Receipt, piece_folder, read_receipt
from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import FAULT_COLUMNS
from cellkinetics.errors import Fault
from cellkinetics.nca.column import Column, Key
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.result import NCAResult, status_of
from cellkinetics.report.formats import table_format
from cellkinetics.report.output import csv_bytes

Progress = Callable[[int, int], None]
SUMMARY = "nca_summary.csv"
CHECK = "check.csv"
_NUMBERS = ("row", "time", "nominal_time", "value", "censored", "lloq", "uloq")


@dataclass(frozen=True)
class Batch:
    """All pieces that are done.

    Attributes:
        job: what was asked for.
        folder: where the results of the pieces are.
        receipts: one a piece, in order.
    """

    job: Job
    folder: Path
    receipts: tuple[Receipt, ...]

    @classmethod
    def read(cls, job: Job, folder: Path, pieces: Sequence[Piece]) -> Batch:
        """Read the receipts of pieces that are all done."""
        receipts = [read_receipt(folder, piece.number) for piece in pieces]
        return cls(job, folder, tuple(receipt for receipt in receipts if receipt is not None))

    @cached_property
    def analysed(self) -> list[Receipt]:
        """The pieces that could be analysed."""
        return [receipt for receipt in self.receipts if receipt["status"] == "done"]

    @property
    def status(self) -> str:
        """How it went, in one sentence."""
        done = self.analysed
        total = sum(receipt["values"] for receipt in done)
        lost, flagged = (sum(receipt[name] for receipt in done) for name in ("not_calculated", "flagged"))
        return status_of(total, lost, flagged)

    @cached_property
    def faults(self) -> list[tuple[str, Fault]]:
        """Every fault with its file, files in order."""
        found = []
        for file, receipts in itertools.groupby(self.receipts, key=lambda receipt: str(receipt["file"])):
            parts = [[Fault(**fault) for fault in receipt["faults"]] for receipt in receipts]
            found += [(file, fault) for fault in join_faults(parts)]
        return [*found, *(("", fault) for fault in self._general_faults())]

    def _general_faults(self) -> list[Fault]:
        """What holds for no single file: choices by hand for profiles that are nowhere, columns to group by."""
        used = {number for receipt in self.analysed for number in receipt["slopes"]}
        faults = [
            Fault(
                "slopes_without_profile",
                f"slopes: the data have no profile of {slope.named}",
                "correct the table of --slopes",
                "row",
                subject=slope.subject,
            )
            for number, slope in enumerate(self.job.rules.slopes)
            if number not in used and self.analysed
        ]
        missing = Counter(name for receipt in self.analysed for name in receipt["grouping_missing"])
        faults += [
            Fault(
                "no_column_to_group_by",
                f"{count} of {len(self.analysed)} pieces have no column {name} to group by: their label is empty",
                "no need to act if these files have none",
                "note",
                column=name,
            )
            for name, count in missing.items()
        ]
        return faults

    def write(self, final: Path, progress: Progress | None = None) -> tuple[dict[str, str], pd.DataFrame]:
        """Write the files, and return the SHA-256 of each and the summary."""
        final.mkdir(parents=True)
        files: dict[str, str] = {}
        names = list(self.analysed[0]["tables"]) if self.analysed else []
        names.remove("unknown") if names else None
        form = table_format(self.job.table_format)
        for number, name in enumerate(names):
            columns = self.analysed[0]["tables"][name]["columns"]
            parts = self._sample_parts(final) if name == "samples" else self._parts(name)
            file = f"{name}.{form.suffix}"
            files[file] = form.join(parts, columns, final / file)
            if progress is not None:
                progress(number + 1, len(names) + 1)
        summary = self._summary(final) if self.analysed else pd.DataFrame()
        if self.analysed:
            files[SUMMARY] = _write(final / SUMMARY, summary)
        files[CHECK] = _write(final / CHECK, self._fault_table())
        if progress is not None:
            progress(len(names) + 1, len(names) + 1)
        return files, summary

    def _part(self, receipt: Receipt, name: str, suffix: str) -> Path:
        return piece_folder(self.folder, receipt["number"]) / f"{name}.{suffix}"

    def _parts(self, name: str) -> list[Path]:
        suffix = table_format(self.job.table_format).suffix
        return [self._part(receipt, name, suffix) for receipt in self.analysed if receipt["tables"][name]["rows"]]

    def _sample_parts(self, final: Path) -> list[Path]:
        """Rows without a subject stand behind all others of their file, in order of time."""
        form = table_format(self.job.table_format)
        parts = []
        for number, (_, group) in enumerate(itertools.groupby(self.analysed, key=lambda receipt: receipt["file"])):
            receipts = list(group)
            parts += [
                self._part(each, "samples", form.suffix) for each in receipts if each["tables"]["samples"]["rows"]
            ]
            unknown = [each for each in receipts if each["tables"]["unknown"]["rows"]]
            if unknown:
                columns = unknown[0]["tables"]["unknown"]["columns"]
                table = pd.concat([_read(self._part(each, "unknown", "csv"), columns) for each in unknown])
                path = final.parent / f"unknown-{number}.{form.suffix}"
                form.write_part(table.iloc[np.lexsort((table["row"], table["time"]))], path)
                parts.append(path)
        return parts

    def _fault_table(self) -> pd.DataFrame:
        rows = [{"file": file, **fault.to_dict()} for file, fault in self.faults]
        table = pd.DataFrame(rows, columns=["file", *FAULT_COLUMNS])
        table = table.assign(row=table["row"].astype("Int64"))
        return table if self.job.several else table.drop(columns="file")

    def _summary(self, final: Path) -> pd.DataFrame:
        """Describe every parameter over the profiles of all pieces; times of different units are kept apart."""
        units = dict.fromkeys(receipt["reading"]["time_unit"] for receipt in self.analysed)
        parts = []
        for number, unit in enumerate(units):
            receipts = [receipt for receipt in self.analysed if receipt["reading"]["time_unit"] == unit]
            result = self._values(receipts, unit, final.parent / f"values-{number}")
            parts.append(result.summary(by=list(self.job.grouping)))
        return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]

    def _values(self, receipts: Sequence[Receipt], time_unit: str, path: Path) -> NCAResult:
        """Return a result with the values of all profiles, which stay on disk, and no samples."""
        folders = [piece_folder(self.folder, receipt["number"]) for receipt in receipts]
        contents = [json.loads((folder / "values.json").read_text(encoding="utf-8")) for folder in folders]
        keys = [Key(*key) for key in contents[0]["keys"]]
        counts = [receipt["profiles"] for receipt in receipts]
        n, begins = sum(counts), np.cumsum([0, *counts])
        arrays = {}
        for name, kind in (("value", np.float64), ("why", np.int8), ("flags", np.int16)):
            array = np.memmap(path.with_suffix(f".{name}"), kind, "w+", shape=(max(len(keys), 1), n))
            for folder, begin, count in zip(folders, begins, counts, strict=False):
                array[: len(keys), begin : begin + count] = np.load(folder / f"{name}.npy", mmap_mode="r")
            arrays[name] = array
        unusable: list[Fault | None] = [None] * n
        for content, begin in zip(contents, begins, strict=False):
            for index, fault in content["unusable"].items():
                unusable[begin + int(index)] = Fault(**fault)
        names = [*LABELS, *(name for name in self.job.grouping if name not in LABELS)]
        labels = {name: _labels(name, contents, folders) for name in names}
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
            covariates={name: np.array(labels[name]) for name in names if name not in LABELS},
            unusable=tuple(unusable),
            time_unit=time_unit,
        )
        columns = {key: Column(**{name: array[i] for name, array in arrays.items()}) for i, key in enumerate(keys)}
        return NCAResult(cohort=cohort, options=NCAOptions(**receipts[0]["options"]), columns=columns)


def _labels(name: str, contents: Sequence[Mapping[str, Any]], folders: Sequence[Path]) -> list[Any]:
    """Return the label of each profile; numbers become texts where one piece has texts."""
    values = [content["labels"][name] for content in contents]
    if any(isinstance(item, str) for items in values for item in items):
        values = [[item if isinstance(item, str) else _text(item) for item in items] for items in values]
    each = []
    for items, folder in zip(values, folders, strict=True):
        each += [items[code] for code in np.load(folder / f"label_{name}.npy").tolist()]
    return each


def _text(number: float) -> str:
    return "" if number != number else f"{number:.15g}"


def _read(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    table = pd.read_csv(path, names=list(columns), header=None, dtype="str", keep_default_na=False)
    for name in _NUMBERS:
        table[name] = table[name].replace("", "nan").astype(float)
    return table.astype({"row": "int64", "censored": "int64"})


def _write(path: Path, table: pd.DataFrame) -> str:
    data = csv_bytes(table)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
