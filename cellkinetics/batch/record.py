"""What a batch did, as the manifest holds it: the record of one reading, added up over the pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from cellkinetics.batch.assemble import Batch
from cellkinetics.batch.worker import Receipt
from cellkinetics.report.manifest import Manifest


def describe_batch(manifest: Manifest, batch: Batch, name: str, inputs: Sequence[Mapping[str, Any]]) -> None:
    """Record input, rows and cohort of all pieces, and under ``input`` what became of each piece."""
    digests = [str(item["sha256"]) for item in inputs]
    listed = "".join(f"{item['sha256']}  {item['file']}\n" for item in inputs)
    pieces: list[dict[str, Any]] = []
    dialects: dict[str, None] = {}
    counts = dict.fromkeys(("read", "used", "excluded"), 0)
    reasons: dict[tuple[str, bool], dict[str, Any]] = {}
    cohort: dict[str, Any] = {}
    for receipt in batch.receipts():
        pieces.append(_piece(receipt))
        if receipt["status"] != "done":
            continue
        dialects[receipt["input"]["dialect"]] = None
        for key in counts:
            counts[key] += receipt["rows"][key]
        for reason in receipt["rows"]["reasons"]:
            known = reasons.setdefault(
                (reason["reason"], reason["profiles"] > 0), dict.fromkeys(("rows", "profiles"), 0)
            )
            known |= {key: known[key] + reason[key] for key in ("rows", "profiles")}
        _add(cohort, receipt["reading"])
    manifest.input = {
        "name": name,
        "sha256": digests[0] if not batch.job.several else hashlib.sha256(listed.encode()).hexdigest(),
        "dialect": ", ".join(dialects),
        "rows": sum(piece["rows"] for piece in pieces),
        "fingerprint": batch.job.fingerprint,
        "pieces": pieces,
    }
    listed_reasons = [{"reason": text, **known} for (text, _), known in reasons.items()]
    manifest.rows = {**counts, "reasons": listed_reasons}
    manifest.cohort = cohort
    if batch.analysed:
        slopes = batch.job.rules.model_dump(mode="json")["slopes"]
        manifest.options = {**manifest.options, "nca_options": {**batch.common["options"], "slopes": slopes}}


def _piece(receipt: Receipt) -> dict[str, Any]:
    names = ("file", "sha256", "status", "line", "seconds")
    rows = receipt.get("input", {}).get("rows", 0)
    trace = {"detail": receipt["trace"]} if receipt["trace"] else {}
    return {**{key: receipt[key] for key in names}, "rows": rows, "profiles": receipt.get("profiles", 0), **trace}


def _add(total: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add the numbers of the description of a cohort, and join its lists and texts."""
    for key, value in part.items():
        if key not in total:
            total[key] = value
        elif isinstance(value, int):
            total[key] += value
        elif isinstance(value, list):
            total[key] = list(dict.fromkeys([*total[key], *value]))
        elif isinstance(value, dict):
            total[key] = {**value, **total[key]}
        elif value not in total[key].split(", "):
            total[key] = f"{total[key]}, {value}"
