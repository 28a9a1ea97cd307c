"""Values made of what JSON holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def jsonable(value: Any) -> Any:
    """Return a value made of what JSON holds: numpy numbers as numbers, NaN and infinity as null, paths as text.

    Example:
        >>> jsonable({"share": float("nan"), "ids": (1, 2)})
        {'share': None, 'ids': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars, without importing numpy
        return jsonable(value.tolist())
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return str(value)
