"""One piece of a batch: it is read, analysed and written, all of it or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellkinetics.batch.blocks import read_piece
from cellkinetics.batch.job import Job, Piece, Task
from cellkinetics.data.cohort import Cohort
from cellkinetics.data.samples import sample_table
from cellkinetics.errors import DataError, Fault, OutputError, SettingsError
from cellkinetics.nca.engine import analyse, check_times
from cellkinetics.nca.options import NCAOptions, Slope
from cellkinetics.nca.result import NCAResult
from cellkinetics.report.formats import table_format
from cellkinetics.report.manifest import Manifest

RECEIPT = "receipt.json"
COMMON = "common.json"
"""Columns of the tables and resolved options, which are those of all pieces: read once a batch."""
LABELS = ("analyte", "specimen", "group", "occasion", "value_unit", "dose_unit")
UNREADABLE, FAILED, NOTHING = "unreadable", "failed", "nothing"
_NOTHING_HERE = frozenset({"no_rows", "no_samples"})
"""Faults of a whole file, but none of a part of it."""

Receipt = dict[str, Any]


def piece_folder(pieces: str | Path, number: int) -> Path:
    """Return the folder of a piece's results: it is there if the piece is done, and then it is whole."""
    return Path(pieces) / f"{number:06d}"


def read_receipt(pieces: str | Path, number: int) -> Receipt | None:
    """Return what was recorded of a piece, None if it is not done."""
    try:
        text = (piece_folder(pieces, number) / RECEIPT).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return dict(json.loads(text))


def work(task: Task) -> Receipt:
    """Do one piece, unless it is done, and return its receipt.

    The results appear under their name at once, so that a process may die at any moment, and two may
    do the same piece. Data that cannot be analysed are a result: the receipt says why.

    Raises:
        SettingsError: if the options do not suit the one table that is analysed.
        OutputError: if the file has changed since the batch began.
        OSError: if nothing can be written.
    """
    number = task.piece.number
    done = read_receipt(task.pieces, number)
    if done is not None:
        return done
    folder = Path(tempfile.mkdtemp(prefix=f".{number:06d}-", dir=task.pieces))
    try:
        begun = time.perf_counter()
        receipt = _attempt(task.piece, task.job, folder)
        receipt |= {
            **{name: getattr(task.piece, name) for name in ("number", "file", "sha256", "line")},
            "fingerprint": task.job.fingerprint,
            "seconds": round(time.perf_counter() - begun, 6),
        }
        (folder / RECEIPT).write_text(json.dumps(receipt), encoding="utf-8")
        try:
            os.rename(folder, piece_folder(task.pieces, number))
        except OSError:
            done = read_receipt(task.pieces, number)
            if done is None:
                raise
            return done  # another process was quicker
        return receipt
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


def _attempt(piece: Piece, job: Job, folder: Path) -> Receipt:
    """Write the tables of a piece; of many files, one that cannot be analysed becomes a fault."""
    try:
        cohort = read_piece(piece, job.reading)
        return _analyse(cohort, piece, job, folder)
    except DataError as error:
        faults = [fault for fault in error.faults if piece.kind == "file" or fault.code not in _NOTHING_HERE]
        lost = any(fault.effect == "file" for fault in faults)
        return _lost(UNREADABLE if lost else NOTHING, faults)
    except SettingsError as error:
        if not job.several:
            raise
        # What one of many files lacks, such as nominal times, is that file's own fault.
        fault = Fault("options_do_not_fit", str(error), "analyse this file with other options", "file")
        return _lost(UNREADABLE, [fault])
    except (OSError, MemoryError, OutputError):
        raise
    except Exception as error:
        if not job.several:
            raise
        message = f"the program failed unexpectedly ({type(error).__name__}: {error})"
        fault = Fault("program_failed", message, "please report it; the trace stands in manifest.json", "file")
        return _lost(FAILED, [fault], "".join(traceback.format_exception(error)))


def _lost(status: str, faults: Sequence[Fault], trace: str = "") -> Receipt:
    return {"status": status, "faults": [fault.to_dict() for fault in faults], "trace": trace}


def _analyse(cohort: Cohort, piece: Piece, job: Job, folder: Path) -> Receipt:
    if cohort.source.sha256 != piece.sha256:  # parts of a file are told by its stamp when they are read
        raise OutputError(f"{piece.path} has changed since the batch began; start anew with --force")
    rules, used = _slopes_here(job.rules, cohort)
    nominal = piece.whole.nominal if piece.kind != "file" else bool(np.isfinite(cohort.nominal_time).any())
    check_times(rules, nominal=nominal)
    result = analyse(cohort, options=rules, parameters=job.parameters)
    samples = sample_table(cohort)
    tables = {"samples": samples[samples["subject"] != ""], "unknown": samples[samples["subject"] == ""]}
    tables |= result_tables(result, intervals=job.intervals)
    form = table_format(job.table_format)
    written, columns = {}, {}
    for name, table in tables.items():
        if job.several:
            table = table.assign(file=pd.Series([piece.file] * len(table), index=table.index, dtype="str"))
            table = table[["file", *table.columns[:-1]]]
        # Rows without a subject are few, and are sorted once more when all pieces are there.
        part = table_format("csv") if name == "unknown" else form
        part.write_part(table, folder / f"{name}.{part.suffix}")
        written[name], columns[name] = len(table), list(table.columns)
    missing = _write_values(result, job, piece, folder)
    common = {"columns": columns, "options": result.options.model_dump(mode="json")}
    (folder / COMMON).write_text(json.dumps(common), encoding="utf-8")
    record = Manifest("nca", {})
    record.describe_reading(cohort, samples)
    return {
        "status": "done",
        "trace": "",
        "faults": [fault.to_dict() for fault in cohort.faults],
        "input": record.input,
        "rows": record.rows,
        "reading": record.cohort,
        "tables": written,
        "profiles": len(cohort),
        "total": len(cohort) * len(result.columns),
        "not_calculated": result.n_not_calculated,
        "flagged": result.n_flagged,
        "several_occasions": result.several_occasions,
        "slopes": used,
        "grouping_missing": missing,
    }


def result_tables(result: NCAResult, *, intervals: bool = False) -> dict[str, pd.DataFrame]:
    """Return the tables of an analysis that have rows for each profile, by the name of their file."""
    tables = {"nca": result.table, "nca_wide": result.wide, "nca_points": result.points}
    return {**tables, "nca_intervals": result.intervals} if intervals else tables


def _slopes_here(rules: NCAOptions, cohort: Cohort) -> tuple[NCAOptions, list[int]]:
    """Return the rules with the terminal lines by hand that belong to these profiles, and their numbers."""
    if not rules.slopes:
        return rules, []
    places: dict[str, list[tuple[str, ...]]] = {}
    for subject, *rest in zip(cohort.subject, cohort.analyte, cohort.occasion, cohort.specimen, strict=True):
        places.setdefault(subject, []).append(tuple(rest))

    def fits(slope: Slope) -> bool:
        wanted = (slope.analyte, slope.occasion, slope.specimen)
        here = places.get(slope.subject, ())
        return any(all(a in ("", b) for a, b in zip(wanted, place, strict=True)) for place in here)

    used = [k for k, slope in enumerate(rules.slopes) if fits(slope)]
    return rules.model_copy(update={"slopes": tuple(rules.slopes[k] for k in used)}), used


def _write_values(result: NCAResult, job: Job, piece: Piece, folder: Path) -> list[str]:
    """Write what the summary of all pieces needs; return the columns to group by that are not there."""
    cohort, columns = result.cohort, result.columns.values()
    n = len(cohort)
    for name, kind in (("value", np.float64), ("why", np.int8), ("flags", np.int16)):
        rows = [getattr(column, name) for column in columns]
        np.save(folder / f"{name}.npy", np.stack(rows).astype(kind) if rows else np.zeros((0, n), kind))
    labels: dict[str, Any] = {name: getattr(cohort, name) for name in LABELS}
    missing = []
    for name in job.grouping:
        if name == "file" and job.several:
            labels[name] = [piece.file] * n
        elif name in cohort.covariates:
            labels[name] = cohort.covariates[name].tolist()
        elif name not in labels:
            missing.append(name)
            labels[name] = [""] * n
    coded = {}
    for name, items in labels.items():
        codes, distinct = pd.factorize(np.array(items, dtype=object), use_na_sentinel=False)
        np.save(folder / f"label_{name}.npy", codes.astype(np.int32))
        coded[name] = list(distinct)
    faults = {i: fault.to_dict() for i, fault in enumerate(cohort.unusable) if fault is not None}
    content = {"labels": coded, "unusable": faults, "keys": [list(key) for key in result.columns]}
    (folder / "values.json").write_text(json.dumps(content), encoding="utf-8")
    return missing
