"""Theoph and Indometh against the published outputs of Phoenix WinNonlin."""

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from cellkinetics.data.cohort import Cohort
from cellkinetics.nca.engine import noncompartmental
from cellkinetics.nca.options import NCAOptions

MEAN_TIME = {"extravascular": "MRTEV", "bolus": "MRTIB", "infusion": "MRTIC"}
NAMES = {
    "Rsq": "R2",
    "Rsq_adjusted": "R2ADJ",
    "Corr_XY": "CORRXY",
    "No_points_lambda_z": "LAMZNPT",
    "Lambda_z": "LAMZ",
    "Lambda_z_lower": "LAMZLL",
    "Lambda_z_upper": "LAMZUL",
    "HL_Lambda_z": "LAMZHL",
    "Tlag": "TLAG",
    "Tmax": "TMAX",
    "Cmax": "CMAX",
    "C0": "C0",
    "Tlast": "TLST",
    "Clast": "CLST",
    "AUClast": "AUCLST",
    "AUCall": "AUCALL",
    "AUCINF_obs": "AUCIFO",
    "AUC_%Extrap_obs": "AUCPEO",
    "AUCINF_pred": "AUCIFP",
    "AUC_%Extrap_pred": "AUCPEP",
    "AUMClast": "AUMCLST",
    "AUMCINF_obs": "AUMCIFO",
    "AUMC_%Extrap_obs": "AUMCPEO",
    "AUMCINF_pred": "AUMCIFP",
    "AUMC_%Extrap_pred": "AUMCPEP",
    "MRTlast": "{}LST",
    "MRTINF_obs": "{}IFO",
    "MRTINF_pred": "{}IFP",
}
# what depends on the amount of a drug, which has no counterpart here
OF_THE_DOSE = {
    *("Cmax_D", "AUCINF_D_obs", "AUCINF_D_pred", "Vz_obs", "Cl_obs", "Vz_pred", "Cl_pred", "Vss_obs", "Vss_pred"),
    *("Vz_F_obs", "Cl_F_obs", "Vz_F_pred", "Cl_F_pred", "AUC_%Back_Ext_obs", "AUC_%Back_Ext_pred"),
}
DOUBLE = 1e-12

# file, data, method, route, values compared, whether the file is printed in double precision
FILES = [
    ("Theoph_Linear", "theoph", "linear", "extravascular", 12 * 27, False),
    ("Theoph_Log", "theoph", "linear-up-log-down", "extravascular", 12 * 27, False),
    ("Indometh_Linear", "indometh", "linear", "bolus", 6 * 27, True),
    ("Indometh_Log", "indometh", "linear-up-log-down", "bolus", 6 * 27, True),
    ("Indometh_Linear_Infusion", "indometh", "linear", "infusion", 6 * 26, True),
    ("Indometh_Log_Infusion", "indometh", "linear-up-log-down", "infusion", 6 * 26, True),
    ("Indometh_Linear_NoDose", "indometh", "linear", "extravascular", 6 * 27, True),
    ("Indometh_Linear_Wrong_Extravascular", "indometh", "linear", "extravascular", 6 * 27, False),
    ("Indometh_Log_Wrong_Extravascular", "indometh", "linear-up-log-down", "extravascular", 6 * 27, False),
]


def half_of_the_last_digit(printed: str) -> float:
    return 0.5 * 10.0 ** int(Decimal(printed).as_tuple().exponent)


@pytest.mark.parametrize(("name", "data", "method", "route", "count", "double"), FILES, ids=[f[0] for f in FILES])
def test_every_value_equals_winnonlin(
    shared: Path, name: str, data: str, method: str, route: str, count: int, double: bool
) -> None:
    samples = [part for _, part in pd.read_csv(shared / "reference" / f"{data}.csv").groupby("ID")]
    cohort = Cohort.from_arrays(
        [part["TIME"].tolist() for part in samples],
        [part["DV"].tolist() for part in samples],
        subject=[str(part["ID"].iloc[0]) for part in samples],
    )
    options = NCAOptions(auc_method=method, route=route, infusion_duration=0.25 if route == "infusion" else 0.0)
    ours = noncompartmental(cohort, options=options, parameters="all").wide.set_index("subject")
    printed = pd.read_csv(
        shared / "reference" / "winnonlin" / f"Final_Parameters_Pivoted_{name}.csv", dtype=str
    ).set_index("Subject")
    assert set(printed.columns) <= set(NAMES) | OF_THE_DOSE

    compared = 0
    for column in printed.columns.intersection(list(NAMES)):
        code = NAMES[column].format(MEAN_TIME[route])
        for subject, text in printed[column].items():
            tolerance = DOUBLE * abs(float(text)) if double else half_of_the_last_digit(text) * (1 + 1e-6)
            assert ours.loc[subject, code] == pytest.approx(float(text), rel=0, abs=tolerance), (subject, column)
            compared += 1
    assert compared == count


def test_all_files_together_hold_1770_values() -> None:
    assert sum(count for *_, count, _ in FILES) == 1770
