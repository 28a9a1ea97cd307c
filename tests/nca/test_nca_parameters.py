"""The registry keeps the rules of CDISC, and knows what depends on what."""

import re

import pytest

from cellkinetics.errors import SettingsError
from cellkinetics.nca.options import NCAOptions
from cellkinetics.nca.parameters import BY_CODE, PARAMETERS, required, select
from cellkinetics.units import unit_label


def test_codes_and_labels_fit_cdisc() -> None:
    assert len(BY_CODE) == len(PARAMETERS)
    assert len({parameter.label for parameter in PARAMETERS}) == len(PARAMETERS)
    for parameter in PARAMETERS:
        assert re.fullmatch(r"[A-Z_][A-Z0-9_]{0,7}", parameter.code)
        assert 0 < len(parameter.label) <= 40
        assert parameter.label.isascii()
        assert set(parameter.depends) <= set(BY_CODE)
        unit_label(parameter.unit_kind)


def test_groups_leave_out_what_has_no_meaning_for_the_route() -> None:
    cells = {key.code for key in select("all", NCAOptions())}
    bolus = {key.code for key in select("all", NCAOptions(route="bolus"))}
    assert {"TLAG", "MRTIBLST"} <= cells
    assert {"C0", "MRTEVLST"}.isdisjoint(cells)
    assert "C0" in bolus
    assert "TLAG" not in bolus


def test_names_may_be_mixed_with_groups_in_any_case() -> None:
    codes = [key.code for key in select("core, aumcifo", NCAOptions())]
    assert "AUMCIFO" in codes
    assert "AUMCIFP" not in codes
    assert codes.count("AUCINT") == 3


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="THALF"):
        select("CMAX,THALF", NCAOptions())


def test_dependencies_are_followed_to_the_end() -> None:
    assert {"LAMZ", "AUCLST", "CLST", "AUMCLST"} <= required(select(["MRTIBIFO"], NCAOptions()))
    assert "LAMZ" not in required(select(["MRTIBLST"], NCAOptions()))
