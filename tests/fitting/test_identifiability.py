"""The table of who identifies what."""

import pandas as pd

from cellkinetics.fitting.identifiability import identifiability_table

PLACE = {"analyte": "", "occasion": "", "specimen": ""}


def row(subject: str, parameter: str, status: str, code: str = "", model: str = "ecp") -> dict[str, str]:
    return {"subject": subject, **PLACE, "model": model, "parameter": parameter, "status": status, "reason_code": code}


TABLE = pd.DataFrame(
    [
        row("B", "cmax", "ok", "cmax_far_from_observed"),
        row("B", "beta", "not_identifiable", "one_phase;flat_profile"),
        row("B", "aic", "ok"),
        row("A", "cmax", "prior", "samples_say_little", "ecp-persistence"),
        row("C", "cmax", "failed", "one_quantified_sample"),
        row("C", "beta", "not_identifiable"),
    ]
)


def test_a_cell_is_ok_or_prior_or_the_reason_and_empty_where_the_model_has_no_such_parameter() -> None:
    wide = identifiability_table(TABLE, ["cmax", "beta"])
    assert list(wide.columns) == ["subject", *PLACE, "model", "cmax", "beta"]
    assert wide[["subject", "cmax", "beta"]].to_numpy().tolist() == [
        ["B", "ok", "one_phase;flat_profile"],
        ["A", "prior", ""],
        ["C", "one_quantified_sample", "not_identifiable"],
    ]


def test_without_rows_there_are_the_columns_alone() -> None:
    wide = identifiability_table(TABLE.iloc[:0], ["cmax"])
    assert list(wide.columns) == ["subject", *PLACE, "model", "cmax"]
    assert wide.empty
