"""All files of the CDISC output, made and checked before the first is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cellkinetics.nca.result import NCAResult
from cellkinetics.report.cdisc.adpp import adpp_dataset
from cellkinetics.report.cdisc.codes import own_codes
from cellkinetics.report.cdisc.dataset import Dataset
from cellkinetics.report.cdisc.files import CDISC_FILES
from cellkinetics.report.cdisc.pp import pp_dataset
from cellkinetics.report.cdisc.rows import parameter_rows
from cellkinetics.report.cdisc.xpt import xpt_bytes
from cellkinetics.report.output import OutputFolder, csv_bytes


def cdisc_files(result: NCAResult, *, study: str | None = None, specimen: str = "BLOOD") -> dict[str, bytes]:
    """Return the content of every file of `CDISC_FILES` for a result.

    Args:
        result: the analysis.
        study: STUDYID; by default that of a column STUDYID in the data, else empty.
        specimen: PPSPEC of profiles whose specimen the data do not say.

    Raises:
        OutputError: for what CDISC or XPT cannot hold, naming row, subject and variable.
        SettingsError: if pyreadstat is not installed.
    """
    rows = parameter_rows(result, study=study, specimen=specimen)
    datasets = (pp_dataset(rows), adpp_dataset(result, rows))
    content: dict[str, bytes] = {}
    for dataset in datasets:
        name = dataset.name.lower()
        content[f"{name}.xpt"] = xpt_bytes(dataset)
        content[f"{name}.csv"] = csv_bytes(dataset.table)
    content["codelist.csv"] = csv_bytes(own_codes(result))
    content["cdisc_metadata.csv"] = csv_bytes(metadata(datasets))
    return {name: content[name] for name in CDISC_FILES}


def write_cdisc(
    result: NCAResult,
    folder: str | os.PathLike[str],
    *,
    study: str | None = None,
    specimen: str = "BLOOD",
    force: bool = False,
) -> dict[str, Path]:
    """Write a noncompartmental analysis as SDTM PP and ADaM ADPP: ``CDISC_FILES``, all or none.

    Args:
        result: the analysis.
        folder: where to; it is made if it does not exist.
        study: STUDYID; by default that of a column STUDYID in the data, else empty.
        specimen: PPSPEC of profiles whose specimen the data do not say.
        force: replace files that are there.

    Returns:
        The name of each file and its path.

    Raises:
        OutputError: if the folder cannot be written to, or holds such files and ``force`` is off; for what
            XPT cannot hold (other text than printable ASCII, or more than 200 bytes), naming row, subject
            and variable.
        SettingsError: if pyreadstat, the extra ``xpt``, is not installed.

    Example:
        >>> import tempfile
        >>> import cellkinetics as ck
        >>> cohort = ck.Cohort.from_arrays([[0, 7, 14, 28]], [[0, 900, 400, 90]])
        >>> result = ck.noncompartmental(cohort, windows=[(0, 28)])
        >>> list(ck.write_cdisc(result, tempfile.mkdtemp(), study="CK-001"))
        ['pp.csv', 'pp.xpt', 'adpp.csv', 'adpp.xpt', 'codelist.csv', 'cdisc_metadata.csv']
    """
    content = cdisc_files(result, study=study, specimen=specimen)
    target = OutputFolder.create(Path(folder), planned=CDISC_FILES, force=force)
    return {name: target.write_bytes(name, data) for name, data in content.items()}


def metadata(datasets: Sequence[Dataset]) -> pd.DataFrame:
    """Return one row a variable: ``dataset, dataset_label, variable, label, type, length, origin``."""
    rows = [
        (dataset.name, dataset.label, variable.name, variable.label, variable.kind, length, variable.origin)
        for dataset in datasets
        for variable, length in zip(dataset.variables, dataset.lengths(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["dataset", "dataset_label", "variable", "label", "type", "length", "origin"])
