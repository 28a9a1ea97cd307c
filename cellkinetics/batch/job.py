"""What a batch is asked to do, and the pieces of work that it is cut into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import cellkinetics
from cellkinetics.batch import PIECE_ROWS
from cellkinetics.data.whole import Whole
from cellkinetics.nca.options import NCAOptions
from cellkinetics.plain import jsonable


@dataclass(frozen=True)
class Job:
    """Everything that decides what the files of a batch hold; how it is run (processes, cluster) does not.

    Attributes:
        reading: the arguments of `cellkinetics.data.reading.read`.
        rules: the rules of the analysis.
        parameters: which parameters, see `cellkinetics.nca.parameters.select`.
        grouping: columns that the summary is made by.
        table_format: ``csv`` or ``parquet``.
        intervals: whether the table of intervals is asked for.
        several: whether the tables begin with a column ``file``.
        piece_rows: rows above which a table is cut.
    """

    reading: Mapping[str, Any]
    rules: NCAOptions
    parameters: str = "core"
    grouping: tuple[str, ...] = ("group",)
    table_format: str = "csv"
    intervals: bool = False
    several: bool = False
    piece_rows: int = PIECE_ROWS

    def describe(self) -> dict[str, Any]:
        """Return the options as JSON holds them, with the version that computes."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content["rules"] = self.rules.model_dump(mode="json")
        return {**jsonable(content), "version": cellkinetics.__version__}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `describe`: two batches with the same one, on the same files, give the same bytes."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Piece:
    """Whole profiles that one process analyses at a time: a file, or some rows of a large one.

    Attributes:
        number: place in the order of the results, from 0.
        file: name of the file, as the column ``file`` has it.
        path: where the file is.
        sha256: of the whole file.
        size, changed: bytes of the whole file, and its last change, see `cellkinetics.batch.inputs.stamp`.
        kind: ``file``, or which kind of rows a part of it has, see `cellkinetics.batch.rows.KINDS`.
        first, last: where the rows begin and end, in rows or bytes.
        line: line of the file at which the rows begin.
        head: bytes of a text file down to its header.
        staged: where the rows stand, if they had to be gathered from all over the file.
        whole: what holds for the whole file; see `cellkinetics.data.reading.read_part`.
    """

    number: int
    file: str
    path: str
    sha256: str
    size: int
    changed: int
    kind: str = "file"
    first: int = 0
    last: int = 0
    line: int = 0
    head: int = 0
    staged: str = ""
    whole: Whole = field(default_factory=Whole)

    def to_dict(self) -> dict[str, Any]:
        """Return the piece as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Piece:
        """Return the piece that `to_dict` wrote."""
        whole = content["whole"]
        return cls(**{**content, "whole": Whole(**{**whole, "points": tuple(whole["points"])})})


@dataclass(frozen=True)
class Task:
    """One piece with all that a process needs, wherever it runs.

    Attributes:
        pieces: folder for the results of pieces, which every process reaches under this path.
    """

    piece: Piece
    job: Job = field(repr=False)
    pieces: str
