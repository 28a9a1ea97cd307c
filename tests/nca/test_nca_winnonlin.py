"""Theoph and Indometh against the published outputs of Phoenix WinNonlin."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

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
    "Cmax_D": "CMAXD",
    "AUCINF_D_obs": "AUCIFOD",
    "AUCINF_D_pred": "AUCIFPD",
    "AUC_%Back_Ext_obs": "AUCPBEO",
    "AUC_%Back_Ext_pred": "AUCPBEP",
    "Cl_obs": "CLO",
    "Cl_pred": "CLP",
    "Cl_F_obs": "CLFO",
    "Cl_F_pred": "CLFP",
    "Vz_obs": "VZO",
    "Vz_pred": "VZP",
    "Vz_F_obs": "VZFO",
    "Vz_F_pred": "VZFP",
    "Vss_obs": "VSSO",
    "Vss_pred": "VSSP",
    "MRTlast": "{}LST",
    "MRTINF_obs": "{}IFO",
    "MRTINF_pred": "{}IFP",
}
DOUBLE = 1e-12

# file, data, method, route, values in the file, whether it is printed in double precision
FILES = [
    ("Theoph_Linear", "theoph", "linear", "extravascular", 12 * 34, False),
    ("Theoph_Log", "theoph", "linear-up-log-down", "extravascular", 12 * 34, False),
    ("Indometh_Linear", "indometh", "linear", "bolus", 6 * 38, True),
    ("Indometh_Log", "indometh", "linear-up-log-down", "bolus", 6 * 38, True),
    ("Indometh_Linear_Infusion", "indometh", "linear", "infusion", 6 * 35, True),
    ("Indometh_Log_Infusion", "indometh", "linear-up-log-down", "infusion", 6 * 35, True),
    ("Indometh_Linear_NoDose", "indometh", "linear", "extravascular", 6 * 31, True),
    ("Indometh_Linear_Wrong_Extravascular", "indometh", "linear", "extravascular", 6 * 34, False),
    ("Indometh_Log_Wrong_Extravascular", "indometh", "linear-up-log-down", "extravascular", 6 * 34, False),
]


def half_of_the_last_digit(printed: str) -> float:
    return 0.5 * 10.0 ** int(Decimal(printed).as_tuple().exponent)


@pytest.mark.parametrize(("name", "data", "method", "route", "count", "double"), FILES, ids=[f[0] for f in FILES])
def test_every_value_equals_winnonlin(
    shared: Path,
    cli: Callable[..., Any],
    name: str,
    data: str,
    method: str,
    route: str,
    count: int,
    double: bool,
) -> None:
    # The dose stands in the data: 320 mg of theophylline, 25 mg of indomethacin.
    given = ["--auc-method", method, "--route", route, "--parameters", "core,drug", "--time-unit", "h"]
    if route == "infusion":
        given += ["--infusion-duration", "0.25"]
    if name.endswith("NoDose"):
        given += ["--dose", "0"]
    done = cli("nca", shared / "reference" / f"{data}.csv", "--out", "results", "--quiet", *given)
    assert done.code == 0, done.err
    ours = pd.read_csv(done.folder / "nca_wide.csv", dtype={"subject": str}).set_index("subject")
    file = shared / "reference" / "winnonlin" / f"Final_Parameters_Pivoted_{name}.csv"
    printed = pd.read_csv(file, dtype=str, keep_default_na=False).set_index("Subject")
    assert set(printed.index) == set(ours.index)

    compared = 0
    for column in printed.columns:
        code = NAMES[column].format(MEAN_TIME[route])
        for subject, text in printed[column].items():
            tolerance = DOUBLE * abs(float(text)) if double else half_of_the_last_digit(text) * (1 + 1e-6)
            assert ours.loc[subject, code] == pytest.approx(float(text), rel=0, abs=tolerance), (subject, column)
            compared += 1
    assert compared == count == printed.size


def test_all_files_together_hold_2286_values(shared: Path) -> None:
    assert sum(count for *_, count, _ in FILES) == 2286
    files = {file.name for file in (shared / "reference" / "winnonlin").glob("*.csv")}
    assert files == {f"Final_Parameters_Pivoted_{name}.csv" for name, *_ in FILES}
