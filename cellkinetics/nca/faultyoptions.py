"""Words for options that pydantic refuses: which one, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BLQ = "takes zero, drop, lloq, lloq/2, or a factor of the LLOQ (a number, 0 or more)"
_SHAPES = {
    "blq": "takes the name of a preset, or rules by place, such as pknca,later=drop",
    "windows": "takes pairs of a start and an end, such as 0-28,0-84",
    "days": "takes numbers, 0 or more, such as 28,84",
}


def in_words(
    faults: Sequence[Mapping[str, Any]], within: str, nested: Mapping[str, Sequence[str]], names: Sequence[str]
) -> str:
    """Return one sentence an option, each with its name in front.

    Args:
        faults: what pydantic found (``ValidationError.errors()``).
        within: name of the option that holds those that were checked; empty for the options of the analysis.
        nested: the names inside of each option that holds several.
        names: those that were checked.

    Example:
        >>> fault = {"loc": ("tau",), "type": "greater_than", "ctx": {"gt": 0}, "input": -12.0}
        >>> in_words([fault], "", {}, ["tau"])
        'tau: must be above 0, not -12'
    """
    sentences: dict[str, str] = {}
    for fault in faults:
        path = [*filter(None, [within]), *fault["loc"]]
        top, inner = str(path[0]) if path else "options", [str(part) for part in path[1:] if isinstance(part, str)]
        known = nested.get(top, ())
        if fault["type"] == "extra_forbidden":
            of = f"{top}." if inner else ""
            what, listed = (inner[0], known) if inner else (top, names)
            text = f"there is no {'such name' if of else 'such option'}; there are {', '.join(listed)}"
            sentences.setdefault(f"{of}{what}", text)
            continue
        place = f"{top}.{inner[0]}" if inner and inner[0] in known else top
        instead = "" if fault["type"] == "missing" else f", not {_shown(fault['input'])}"
        sentences.setdefault(place, _taken(place, fault) + instead)
    return "; ".join(f"{place}: {sentence}" for place, sentence in sentences.items())


def _taken(place: str, fault: Mapping[str, Any]) -> str:
    """Say what an option takes."""
    if place.startswith("blq."):
        return _BLQ
    if place in _SHAPES:
        return _SHAPES[place]
    kind, limits = str(fault["type"]), fault.get("ctx", {})
    if kind == "literal_error":
        return "takes " + str(limits["expected"]).replace("'", "")
    if kind == "greater_than":
        return f"must be above {limits['gt']:g}"
    if kind == "greater_than_equal":
        return f"must be {limits['ge']:g} or more"
    for start, words in (
        ("int", "must be a whole number"),
        ("float", "must be a number"),
        ("finite", "must be a finite number"),
        ("bool", "must be true or false"),
        ("string_too_short", "must not be empty"),
        ("string", "must be a text"),
        ("missing", "must be given"),
    ):
        if kind.startswith(start):
            return words
    return str(fault["msg"])


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
