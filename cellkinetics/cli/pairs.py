"""Options written as NAME=VALUE, each of which may be repeated."""

from __future__ import annotations

from collections.abc import Sequence

from cellkinetics.errors import SettingsError


def parse_pairs(option: str, items: Sequence[str] | None, *, form: str, example: str) -> dict[str, str]:
    """Return the pairs of a repeated option by name.

    Args:
        option: as typed, such as ``--map``.
        items: what was given, such as ``["subject=PATIENT"]``.
        form: how an item is written, for the message.
        example: one item, for the message.

    Raises:
        SettingsError: for an item without both sides, or a name given twice.

    Example:
        >>> parse_pairs("--map", ["subject=PATIENT"], form="ROLE=COLUMN", example="subject=PATIENT")
        {'subject': 'PATIENT'}
    """
    pairs: dict[str, str] = {}
    for item in items or []:
        name, _, value = (part.strip() for part in item.partition("="))
        if not (name and value):
            raise SettingsError(f"{option} {item}: write {form}, for example {example}")
        if name in pairs:
            raise SettingsError(f"{option} names {name} twice")
        pairs[name] = value
    return pairs
