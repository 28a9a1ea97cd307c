"""`--settings FILE.toml`: options of a command from a file; the command line wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def load_settings(ctx: typer.Context, value: Path | None) -> Path | None:
    """Make the options of a TOML file the defaults of the command that is about to run.

    A key is the name of an option without its dashes, such as ``auc-method`` or ``auc_method``; ``data``
    is the table to read. ``map``, ``fix``, ``accept`` and ``blq`` may be tables, ``windows`` a list of pairs,
    names a list.

    Raises:
        typer.BadParameter: if the file cannot be read, is no TOML, or has a key that the command
            does not know.
    """
    if value is None or ctx.resilient_parsing:
        return value
    content = _read(value)
    known = {}
    several = {parameter.name for parameter in ctx.command.params if parameter.nargs == -1}
    for parameter in ctx.command.params:
        names = [option.lstrip("-").replace("-", "_") for option in parameter.opts if option.startswith("--")]
        for name in names or [parameter.name or ""]:
            known[name] = parameter.name
    repeated = {parameter.name for parameter in ctx.command.params if getattr(parameter, "multiple", False)}
    for name in ("settings", "help"):
        known.pop(name, None)
    defaults: dict[str, Any] = {}
    unknown = []
    for key, setting in content.items():
        name = key.replace("-", "_")
        if name in known:
            listed = known[name] in several and not isinstance(setting, dict)
            files = setting if isinstance(setting, list) else [setting]
            plain = _plain(name, setting, value, repeated=known[name] in repeated)
            defaults[known[name] or name] = [str(one) for one in files] if listed else plain
        else:
            unknown.append(key)
    if unknown:
        options = ", ".join(sorted(name.replace("_", "-") for name in known))
        raise typer.BadParameter(
            f"{value}: `cellkinetics {ctx.info_name}` has no option {', '.join(unknown)}; it has {options}"
        )
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return value


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise typer.BadParameter(f"there is no file {path}") from None
    except tomllib.TOMLDecodeError as error:
        raise typer.BadParameter(f"{path} is no valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None


def _joined(setting: Any) -> str:
    return ",".join(str(one) for one in setting) if isinstance(setting, list) else str(setting)


def _plain(name: str, setting: Any, path: Path, *, repeated: bool) -> Any:
    """Return a TOML value as the command line would give it; ``repeated`` for an option that may be repeated."""
    if repeated:
        if isinstance(setting, dict):
            return [f"{left}={_joined(right)}" for left, right in setting.items()]
        return [setting] if isinstance(setting, str) else [_joined(one) for one in setting]
    if name == "blq" and isinstance(setting, dict):
        return ",".join(f"{place}={rule}" for place, rule in setting.items())
    if name == "windows" and isinstance(setting, list):
        try:
            return ",".join(one if isinstance(one, str) else "{:g}-{:g}".format(*one) for one in setting)
        except (TypeError, ValueError, IndexError):
            raise typer.BadParameter(f"{path}: windows takes pairs such as [[0, 28], [0, 84]]") from None
    if isinstance(setting, list):
        return ",".join(str(one) for one in setting)
    if isinstance(setting, dict):
        raise typer.BadParameter(f"{path}: {name} takes one value, not a table")
    return setting if isinstance(setting, bool) else str(setting)
