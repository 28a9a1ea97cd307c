"""SAS transport files (XPT version 5), the same bytes for the same data."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

from cellkinetics.errors import SettingsError
from cellkinetics.report.cdisc.dataset import Dataset, check

# The format has room for the time of writing, in its 2nd, 3rd, 6th and 7th record of 80 bytes; files of
# ours hold no time of day, and this is what SAS makes of the time 0.
_RECORD = 80
_TIMES = (_RECORD + 64, 2 * _RECORD, 5 * _RECORD + 64, 6 * _RECORD)
_NO_TIME = b"01JAN60:00:00:00"


def require_writer() -> Any:
    """Return pyreadstat, which writes XPT files.

    Raises:
        SettingsError: if it is not installed.
    """
    try:
        return importlib.import_module("pyreadstat")
    except ImportError as error:
        raise SettingsError(
            "writing XPT files needs pyreadstat, the extra 'xpt': pip install pyreadstat; or leave out --cdisc"
        ) from error


def xpt_bytes(dataset: Dataset) -> bytes:
    """Return a data set as the bytes of its XPT file.

    Numbers become floating point of IBM mainframes (56 bits of mantissa, so that a double keeps its
    value); what is missing becomes the missing value of SAS, or a text of blanks.

    Raises:
        OutputError: if the data set cannot be written, see `check`.
        SettingsError: if pyreadstat is not installed.
    """
    check(dataset)
    writer = require_writer()
    table = dataset.table.astype(
        {variable.name: "float64" if variable.kind == "Num" else object for variable in dataset.variables}
    )
    with tempfile.TemporaryDirectory(prefix="cellkinetics-") as folder:
        path = Path(folder) / "dataset.xpt"
        writer.write_xport(
            table,
            str(path),
            file_label=dataset.label,
            column_labels=[variable.label for variable in dataset.variables],
            table_name=dataset.name,
            file_format_version=5,
        )
        data = bytearray(path.read_bytes())
    for start in _TIMES:
        data[start : start + len(_NO_TIME)] = _NO_TIME
    return bytes(data)
