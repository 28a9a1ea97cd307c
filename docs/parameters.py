"""Write docs/parameters.md, the list of all parameters, from the registry: python docs/parameters.py."""

from __future__ import annotations

from pathlib import Path

from cellkinetics.nca.parameter import CDISC, OWN, STEIN, SURVIVAL, TEXTBOOK, WINNONLIN, Parameter
from cellkinetics.nca.parameters import PARAMETERS
from cellkinetics.report.cdisc.codes import CONCEPTS
from cellkinetics.units import unit_label

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """# Parameters of the noncompartmental analysis

Made from the registry by `python docs/parameters.py`; a test holds the one to the other. The rules behind the formulas
stand in [methods.md](methods.md).

A code is CDISC's (codelist PKPARMCD, C85839; the number is its NCI concept) or ours, which `codelist.csv` lists in
every CDISC output. Units are composed from those of time, value and dose. Where a parameter has no meaning for a route,
groups leave it out. `AUCINT`, `AUCINTD`, `AUCINTPE` and `WCOVER` have one value for each window, `CDAY` and `CDAYCMAX`
one for each day.
"""

GROUPS = {
    "core": "calculated unless something else is asked for",
    "terminal": "`--parameters core,terminal`: the terminal line's standard errors and censored points",
    "cellular": "`--parameters core,cellular`: expansion, contraction and persistence of cells",
    "drug": (
        "`--parameters core,drug`: what needs the dose, the dosing interval (from `TAU` on) or several occasions "
        "(from `ARAUC` on)"
    ),
}

SOURCES = {
    TEXTBOOK: (
        "Gabrielsson J, Weiner D. Pharmacokinetic and Pharmacodynamic Data Analysis: Concepts and Applications, "
        "5th ed. Swedish Pharmaceutical Press, 2016; section 2.8. Logarithmic moments: Purves RD. J Pharmacokinet "
        "Biopharm 1992;20:211-226, [doi:10.1007/BF01062525](https://doi.org/10.1007/BF01062525)."
    ),
    WINNONLIN: (
        'Certara. Phoenix WinNonlin online help, version 8.7: "NCA parameter formulas", "Lambda Z or slope estimation '
        'settings", "Discrete (plasma) parameters that are estimated when at steady-state".'
    ),
    CDISC: "Definition of the code in CDISC controlled terminology, PKPARMCD (C85839).",
    STEIN: (
        "Stein AM et al. CPT Pharmacometrics Syst Pharmacol 2019;8:285-295, "
        "[doi:10.1002/psp4.12388](https://doi.org/10.1002/psp4.12388)."
    ),
    SURVIVAL: (
        "Lindsey JC, Ryan LM. Stat Med 1998;17:219-238, [doi:10.1002/(SICI)1097-0258(19980130)17:2&lt;219::AID-SIM735"
        "&gt;3.0.CO;2-O](https://doi.org/10.1002/%28SICI%291097-0258%2819980130%2917%3A2%3C219%3A%3AAID-SIM735%3E3.0"
        ".CO%3B2-O) (interval-censored times)."
    ),
    "Boxenbaum & Battle 1995": (
        "Boxenbaum H, Battle M. Effective half-life in clinical pharmacology. J Clin Pharmacol 1995;35:763-766."
    ),
    OWN: "The formula says all, or the section of methods.md on its group.",
}

ROUTES = ("cells", "bolus", "infusion", "extravascular")


def page() -> str:
    """Return the text of docs/parameters.md."""
    lines = [INTRODUCTION]
    for group, words in GROUPS.items():
        lines += [f"## {group}", "", f"{words[0].upper()}{words[1:]}.", ""]
        lines += ["| code | what | unit | formula | routes | CDISC | source |", "|---|---|---|---|---|---|---|"]
        lines += [row(parameter) for parameter in PARAMETERS if parameter.group == group] + [""]
    lines += ["## Sources", ""]
    lines += [f"- **{name}**: {text}" for name, text in SOURCES.items()]
    return "\n".join(lines) + "\n"


def row(parameter: Parameter) -> str:
    """Return one parameter's row of its group's table."""
    unit = unit_label(parameter.unit_kind, time="time", value="value", dose="dose")
    routes = "all" if parameter.routes == ROUTES else ", ".join(parameter.routes)
    cells = (
        f"`{parameter.code}`",
        parameter.label,
        f"`{unit}`" if unit else "",
        f"`{parameter.formula}`",
        routes,
        CONCEPTS.get(parameter.code, "ours"),
        parameter.source,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
