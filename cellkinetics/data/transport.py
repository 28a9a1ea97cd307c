"""SAS transport files (XPT version 5), in which CDISC's tables are submitted."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from cellkinetics.data.delimited import Cells
from cellkinetics.data.faultlog import FaultLog
from cellkinetics.errors import Fault

TRANSPORT = b"HEADER RECORD*******LI"
SAS7BDAT = bytes(12) + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00\x09\xc7\x31\x8c\x18\x1f\x10\x11"
"""How files of SAS begin: of the transport format (any version), and a data set as SAS keeps it."""

_VERSION_5 = b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!"
_ZERO = 16.0**-65
"""What pandas makes of 0: the smallest positive number of the format, which no measurement has."""


def from_transport(data: bytes, name: str, log: FaultLog) -> Cells:
    """Read a transport file; rows are counted as if they stood in a file below its header.

    Texts are UTF-8, else Windows-1252. Blanks at the end of a text are no part of it.
    """
    if not data.startswith(_VERSION_5):
        what = "the transport file is not of version 5"
        log.stop(name, Fault("not_a_table", what, "save it as XPT version 5 or as CSV", "file"))
    try:
        frame = _read(data, "utf-8")
    except UnicodeDecodeError:
        frame = _read(data, "cp1252")
        message = "the text is not UTF-8 and was read as Latin-1 (Windows-1252)"
        log.add(Fault("encoding", message, "save as UTF-8 if names or units look wrong", "note"))
    except Exception as error:  # pandas raises whatever the damage leads to
        message = f"the transport file is damaged ({error})"
        log.stop(name, Fault("not_a_table", message, "save it again as XPT version 5, or as CSV", "file"))
    names = tuple(str(column) for column in frame.columns)
    bare = frame.set_axis(range(len(names)), axis=1)
    for column in bare.columns[[dtype.kind == "f" for dtype in bare.dtypes]]:
        bare[column] = bare[column].mask(bare[column] == _ZERO, 0.0)
    return Cells(names, bare, np.arange(len(bare), dtype=np.int64) + 2)


def _read(data: bytes, encoding: str) -> pd.DataFrame:
    return pd.read_sas(io.BytesIO(data), format="xport", encoding=encoding)
