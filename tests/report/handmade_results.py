"""A small folder of results, made by hand with the schemas that the commands write."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

NAMES = ("cmax", "tmax", "foldx", "alpha", "fb", "beta")
UNITS = ("copies/ug", "day", "", "1/day", "", "1/day")
DAYS = np.array([0.0, 3.0, 7.0, 10.0, 14.0, 28.0, 90.0, 180.0])


def curve(time: np.ndarray, cmax: float, tmax: float) -> np.ndarray:
    rise = cmax / 1000.0 * np.exp(np.log(1000.0) / tmax * time)
    after = np.maximum(time - tmax, 0.0)
    fall = cmax * (0.99 * np.exp(-0.16 * after) + 0.01 * np.exp(-0.003 * after))
    return np.where(time < tmax, rise, fall)


def write_results(folder: Path, *, subjects: int = 5) -> Path:
    """Write every file that a `run` writes, for patients whose numbers are known."""
    folder.mkdir(parents=True, exist_ok=True)
    samples, nca, wide, individual, curves, effects, typical = [], [], [], [], [], [], []
    row = 1
    for k in range(subjects):
        name, group = f"P{k + 1:02d}", ("low", "high")[k % 2]
        cmax, tmax = 4000.0 * (k + 1), 8.0 + k
        values = curve(DAYS, cmax, tmax)
        for time, value in zip(DAYS, values, strict=True):
            row += 1
            blq = value < 50
            used = not (k == 1 and time == 28.0)
            samples.append(
                {
                    "subject": name, "analyte": "", "occasion": "", "specimen": "", "group": group, "row": row,
                    "time": time, "nominal_time": time, "value": 50.0 if blq else value,
                    "censored": int(blq), "lloq": 50.0,
                    "uloq": None, "status": "used" if used else "excluded",
                    "reason": "" if used else "the value is not a number",
                }
            )  # fmt: skip
        key = {"subject": name, "analyte": ""}
        for code, value, unit in (("CMAX", values.max(), "copies/ug"), ("TMAX", DAYS[values.argmax()], "day")):
            nca.append({**key, "interval_start": None, "interval_end": None, "parameter": code, "value": value,
                        "unit": unit, "status": "ok", "reason_code": "", "reason": ""})  # fmt: skip
        missing = k == 0
        nca.append({**key, "interval_start": 0.0, "interval_end": 28.0, "parameter": "AUCINT",
                    "value": None if missing else cmax * 9, "unit": "day*copies/ug",
                    "status": "not_calculated" if missing else "ok",
                    "reason_code": "window_not_covered" if missing else "",
                    "reason": "the last sample lies before the end of the window" if missing else ""})  # fmt: skip
        nca.append({**key, "interval_start": None, "interval_end": None, "parameter": "LAMZHL", "value": 40.0 + k,
                    "unit": "day", "status": "flagged", "reason_code": "span_short",
                    "reason": "the points span fewer than 2 half-lives"})  # fmt: skip
        wide.append({**key, "occasion": "", "specimen": "", "group": group, "CMAX": values.max(),
                     "TMAX": DAYS[values.argmax()], "AUCINT_0_28": None if missing else cmax * 9,
                     "LAMZHL": 40.0 + k})  # fmt: skip
        status = "failed" if k == 3 else "ok"
        for parameter, unit, value in zip(NAMES, UNITS, (cmax, tmax, 1000.0, 0.16, 0.01, 0.003), strict=True):
            weak = parameter == "beta" and k == 2
            failed = status == "failed"
            individual.append(
                {
                    "subject": name, "analyte": "", "occasion": "", "specimen": "", "model": "ecp",
                    "parameter": parameter, "estimate": None if failed else value,
                    "se": None if failed or weak else value / 5,
                    "rse_percent": None if failed or weak else 20.0, "ci_low": None if failed or weak else value * 0.6,
                    "ci_high": None if failed or weak else value * 1.4, "unit": unit,
                    "status": "failed" if failed else ("not_identifiable" if weak else "ok"),
                    "reason": "fewer than 3 quantified samples" if failed
                    else ("the samples end before the persistent phase" if weak else ""),
                }
            )  # fmt: skip
            effects.append({"subject": name, "parameter": parameter, "eta": 0.1 * k, "eta_sd": 0.05, "ebe": value,
                            "unit": unit})  # fmt: skip
        grid = np.linspace(0, 180, 61)
        for time, value in zip(grid, curve(grid, cmax, tmax), strict=True):
            at = {"subject": name, "analyte": "", "occasion": "", "specimen": "", "model": "ecp", "time": time}
            if status == "ok":
                curves.append({**at, "predicted": value})
            typical.append({**at, "predicted": value * 0.9, "typical": float(curve(np.array([time]), 9000.0, 10.0)[0])})
    check = [{"row": 14, "subject": "P02", "column": "value", "code": "text_value", "effect": "row",
              "message": "'n.a.' is not a number", "action": "give a number, or leave the cell empty"}]  # fmt: skip
    summary = [
        {"group": group, "analyte": "", "parameter": code, "interval_start": None, "interval_end": None, "unit": unit,
         "n": 2, "n_missing": 0, "mean": 9000.0, "sd": 800.0, "cv_percent": 8.9, "geometric_mean": 8960.0,
         "geometric_cv_percent": 9.0, "median": 9000.0, "min": 8000.0, "max": 10000.0}
        for group in ("low", "high")
        for code, unit in (("CMAX", "copies/ug"), ("TMAX", "day"))
    ]  # fmt: skip
    population = {
        "model": "ecp", "method": "focei", "converged": True,
        "status": "converged: the gradient is zero within tolerance",
        "n_subjects": subjects, "n_observations": subjects * len(DAYS), "n_censored": 7,
        "parameters": [
            {"name": n, "transform": "logit" if n == "fb" else "log", "estimate": v, "se": v / 10, "rse_percent": 10.0,
             "ci_low": v * 0.8, "ci_high": v * 1.2, "unit": u}
            for n, u, v in zip(NAMES, UNITS, (12000.0, 10.0, 1000.0, 0.16, 0.01, 0.003), strict=True)
        ],
        "omega": {"names": list(NAMES), "covariance": np.diag([0.5] * 6).tolist(), "sd": [0.7071] * 6,
                  "shrinkage": [0.05, 0.1, 0.2, 0.15, 0.2, 0.6]},
        "residual": {"scale": "log", "distribution": "normal", "sd": 0.56, "se": 0.03},
        "objective": {"minus2ll": 2950.4, "method": "importance sampling", "mc_se": 0.4},
        "aic": 2976.4, "bic": 3002.1, "seed": 0, "timing": {"fit": 2.0, "importance": 1.0},
    }  # fmt: skip
    pop = [{"parameter": p["name"], "kind": "typical", "transform": p["transform"], "estimate": p["estimate"],
            "se": p["se"], "rse_percent": 10.0, "ci_low": p["ci_low"], "ci_high": p["ci_high"], "unit": p["unit"],
            "iiv_cv_percent": 80.5, "shrinkage_percent": 12.0, "reason": ""}
           for p in population["parameters"]]  # fmt: skip
    manifest = {
        "schema": 1, "command": "run", "status": "done", "message": "", "started": "2026-01-05T10:00:00+00:00",
        "ended": "2026-01-05T10:00:09+00:00", "seconds": 9.0,
        "input": {"name": "trial.csv", "sha256": "0" * 64, "dialect": "plain", "rows": row - 1},
        "rows": {"read": row - 1, "used": row - 2, "excluded": 1,
                 "reasons": [{"reason": "the value is not a number", "rows": 1}]},
        "cohort": {"subjects": subjects, "profiles": subjects, "unusable_profiles": 0, "samples": row - 2,
                   "below_quantification": 7, "analytes": [""], "groups": ["low", "high"], "time_unit": "day",
                   "value_unit": {"": "copies/ug"}},
        "options": {"seed": 0, "model": "ecp"}, "seed": 0,
        "stages": [{"name": name, "status": "done", "message": "", "seconds": 1.0, "detail": ""}
                   for name in ("nca", "fit", "pool")],
        "packages": {"cellkinetics": "0.1.0"}, "python": "3.11", "platform": "Linux",
        "outputs": {"samples.csv": {"sha256": "1" * 64}}, "earlier": [],
    }  # fmt: skip
    tables = {"samples": samples, "check": check, "nca": nca, "nca_wide": wide, "nca_summary": summary,
              "individual": individual, "individual_curves": curves, "individual_effects": effects,
              "population": pop, "population_curves": typical}  # fmt: skip
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    (folder / "population.json").write_text(json.dumps(population))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
