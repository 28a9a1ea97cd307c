"""What a results folder records of itself, read back and checked: `manifest.json` and `population.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MANIFEST = "manifest.json"
POPULATION = "population.json"

Count = Annotated[int, Field(ge=0)]
Texts = dict[str, str]


class _Part(BaseModel):
    """What the report and later commands rely on; whatever else stands there is kept as it is."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Rows(_Part):
    read: Count = 0
    used: Count = 0
    excluded: Count = 0


class _Cohort(_Part):
    time_unit: str = ""
    value_unit: Texts = {}


class _NCAOptions(_Part):
    windows: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = []
    lambda_z_min_points: int = 3
    lambda_z_tolerance: float = 0.0
    acceptance: dict[str, bool | float | None] = {}
    blq: dict[str, Any] = {}


class _Options(_Part):
    nca_options: _NCAOptions | None = None


class _Stage(_Part):
    name: str
    status: str
    message: str


class _Output(_Part):
    sha256: str = ""


class _Command(_Part):
    command: str = ""
    input: dict[str, Any] = {}
    rows: _Rows = _Rows()
    cohort: _Cohort = _Cohort()
    options: _Options = _Options()
    stages: list[_Stage] = []
    packages: Texts = {}
    outputs: dict[str, _Output] = {}


class _Manifest(_Command):
    earlier: list[_Command] = []


class _Objective(_Part):
    minus2ll: float | None = None
    mc_se: float | None = None


class _Residual(_Part):
    sd: float | None = None
    se: float | None = None


class _Population(_Part):
    n_observations: float | None = None
    n_censored: float | None = None
    aic: float | None = None
    bic: float | None = None
    warnings: list[str] = []
    objective: _Objective = _Objective()
    residual: _Residual = _Residual()


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Return the manifest of a folder; empty where there is none, and without what cannot be used."""
    return checked_manifest(path)[0]


def checked_manifest(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Return the manifest of a folder, and a sentence for what was found in it that cannot be used."""
    return _checked(Path(path) / MANIFEST, _Manifest)


def checked_population(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Return the content of ``population.json`` as `checked_manifest` does."""
    return _checked(Path(path) / POPULATION, _Population)


def _checked(file: Path, form: type[_Part]) -> tuple[dict[str, Any], list[str]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        return {}, [f"{file.name} cannot be read: {error}"]
    if not isinstance(content, dict):
        return {}, [f"{file.name} holds no named entries, so it is left out."]
    try:
        form.model_validate(content)
    except ValidationError as error:
        wrong = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        sound = {name: value for name, value in content.items() if name not in wrong}
        return sound, [f"{file.name}: {', '.join(wrong)} not as a command writes it, so it is left out."]
    return content, []
