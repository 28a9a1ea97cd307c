"""`manifest.json`: what was done, to which input, with which options and versions, and what came out."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import cellkinetics
from cellkinetics.report.output import OutputFolder
from cellkinetics.report.recorded import MANIFEST, read_manifest

if TYPE_CHECKING:
    import pandas as pd

    from cellkinetics.data.cohort import Cohort

SCHEMA = 1

Profile = tuple[str, str, str, str]
"""Subject, analyte, occasion, specimen."""
Status = Literal["done", "faults", "failed", "interrupted"]
StageStatus = Literal["done", "not_possible", "failed"]

PACKAGES = ("numpy", "scipy", "pandas", "lmfit", "jax", "jaxlib", "matplotlib", "typer", "rich", "pydantic", "jinja2")


@dataclass
class Stage:
    """One step of a command (``nca``, ``fit``, ...): whether it was done, and if not, why.

    ``detail`` holds the technical trace of a step that failed against expectation.
    """

    name: str
    status: StageStatus = "done"
    message: str = ""
    seconds: float = 0.0
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the stage as JSON holds it."""
        return {
            "name": self.name,
            "status": self.status,
            "message": self.message,
            "seconds": round(self.seconds, 3),
            "detail": self.detail,
        }


@dataclass
class Manifest:
    """The record of one command while it runs; `write` puts it into the folder.

    Attributes:
        command: name of the command.
        options: every option as it was resolved from the defaults, the settings file and the command line.
        seed: the seed of everything random, or None where nothing is.
        started: time of the start, UTC.
        input: name, SHA-256, dialect and number of rows of the input.
        rows: rows read, used and excluded, with the reasons; see `describe_rows`.
        cohort: how many subjects, profiles and samples were found; see `describe_cohort`.
        stages: the steps, in order.
    """

    command: str
    options: Mapping[str, Any]
    seed: int | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    input: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    cohort: dict[str, Any] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)

    def describe_reading(self, cohort: Cohort, samples: pd.DataFrame) -> None:
        """Record the input, its rows and the cohort made of them."""
        self.input = {
            "name": cohort.source.name,
            "sha256": cohort.source.sha256,
            "dialect": cohort.source.dialect,
            "rows": cohort.source.rows,
        }
        unusable = {
            (subject, analyte, occasion, specimen): fault.message
            for subject, analyte, occasion, specimen, fault in zip(
                cohort.subject, cohort.analyte, cohort.occasion, cohort.specimen, cohort.unusable, strict=True
            )
            if fault is not None
        }
        self.rows = describe_rows(samples, cohort.source.rows, unusable)
        self.cohort = describe_cohort(cohort)

    def write(self, folder: OutputFolder, status: Status, message: str = "") -> dict[str, Any]:
        """Write ``manifest.json`` and return its content.

        Earlier commands whose files still stand in the folder stay recorded under ``earlier``,
        with the files that this command did not write anew.
        """
        ended = datetime.now(UTC)
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "command": self.command,
            "status": status,
            "message": message,
            "started": self.started.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="seconds"),
            "seconds": round((ended - self.started).total_seconds(), 3),
            "input": self.input,
            "rows": self.rows,
            "cohort": self.cohort,
            "options": dict(self.options),
            "seed": self.seed,
            "stages": [stage.to_dict() for stage in self.stages],
            "packages": package_versions(),
            "python": platform.python_version(),
            "platform": platform.platform(terse=True),
            "outputs": {name: {"sha256": digest} for name, digest in folder.written.items() if name != MANIFEST},
            "earlier": _earlier(folder),
        }
        folder.write_json(MANIFEST, content)
        return content


def record_outputs(folder: OutputFolder) -> None:
    """Add the files just written to the manifest of a folder; its record of the analysis stays as it is."""
    content = read_manifest(folder.path)
    if content:
        gone = [name for name in content.get("outputs", {}) if not (folder.path / name).exists()]
        outputs = {name: value for name, value in content.get("outputs", {}).items() if name not in gone}
        outputs.update({name: {"sha256": digest} for name, digest in folder.written.items()})
        folder.write_json(MANIFEST, {**content, "outputs": outputs})


def describe_rows(
    samples: pd.DataFrame, rows_read: int, unusable: Mapping[Profile, str] | None = None
) -> dict[str, Any]:
    """Return rows read, used and excluded, and what each reason cost: rows, or whole profiles with their rows.

    Args:
        samples: the table of `cellkinetics.data.samples.sample_table`.
        rows_read: rows of the input.
        unusable: subject, analyte, occasion and specimen of each profile that cannot be used, and why.
    """
    excluded = samples[samples["status"] == "excluded"]
    # A reason that costs a profile is apart from the same reason that costs a row: by (reason, of a profile).
    rows: Counter[tuple[str, bool]] = Counter()
    profiles: dict[tuple[str, bool], set[Profile]] = {}
    names = excluded[["subject", "analyte", "occasion", "specimen", "reason"]].fillna("").astype(str)
    for *place, reason in names.itertuples(index=False):
        key = (place[0], place[1], place[2], place[3])
        of_profile = reason == (unusable or {}).get(key)
        rows[reason, of_profile] += 1
        if of_profile:
            profiles.setdefault((reason, True), set()).add(key)
    return {
        "read": rows_read,
        "used": int((samples["status"] != "excluded").sum()),
        "excluded": len(excluded),
        "reasons": [
            {"reason": kind[0], "rows": count, "profiles": len(profiles.get(kind, ()))} for kind, count in rows.items()
        ],
    }


def describe_cohort(cohort: Cohort) -> dict[str, Any]:
    """Return how many subjects, profiles, samples and BLQ samples a cohort has, and its units."""
    return {
        "subjects": len(set(cohort.subject)),
        "profiles": len(cohort),
        "unusable_profiles": sum(fault is not None for fault in cohort.unusable),
        "samples": cohort.n_samples,
        "below_quantification": cohort.n_blq,
        "analytes": list(cohort.analytes),
        "specimens": list(cohort.specimens),
        "groups": list(dict.fromkeys(cohort.group)),
        "time_unit": cohort.time_unit,
        "value_unit": {name: cohort.value_unit[i] for i, name in reversed(list(enumerate(cohort.series)))},
    }


def package_versions() -> dict[str, str]:
    """Return the installed versions of cellkinetics and of what it computes with, importing none of them."""
    versions = {"cellkinetics": cellkinetics.__version__}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _earlier(folder: OutputFolder) -> list[dict[str, Any]]:
    """Return the manifests of earlier commands, less the outputs that are gone or were written anew."""
    last = read_manifest(folder.path)
    kept = []
    for entry in [*last.pop("earlier", []), last]:
        outputs = {
            name: digest
            for name, digest in entry.get("outputs", {}).items()
            if name not in folder.written and (folder.path / name).exists()
        }
        if outputs:
            kept.append({**entry, "outputs": outputs})
    return kept
