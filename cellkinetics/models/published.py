"""The library: published models by name, with what was printed, its source, and what was not printed.

Numbers are those of the papers, or of the BioModels entry where the note says so. Nothing is filled in: a value
that we have not seen in print is named in ``not_published``, and `Published.simulate` asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from cellkinetics.models.publication import Published
from cellkinetics.models.published_structures import STRUCTURES
from cellkinetics.models.registry import Named

__all__ = ["STEIN_2019", "Published", "library"]

_UNSEEN = "not stated in what we saw"
_ALL_RANDOM = "random effects and the residual"
_CORRELATIONS = "correlations between random effects: none known to us"

STEIN_2019 = Published(
    name="stein2019",
    model_name="ecp",
    structure="exponential growth to Tmax, then a fast and a slow exponential decline",
    typical=MappingProxyType(
        {"cmax": 24000.0, "tmax": 9.3, "foldx": 3900.0, "alpha": 0.16, "fb": 0.0079, "beta": 0.0032}
    ),
    omega_sd=MappingProxyType({"cmax": 0.65, "tmax": 0.38, "foldx": 2.4, "alpha": 0.91, "fb": 0.80, "beta": 0.86}),
    residual_sd=0.56,
    citation=(
        "Stein AM, Grupp SA, Levine JE, et al. Tisagenlecleucel model-based cellular kinetic analysis of chimeric "
        "antigen receptor-T cells. CPT Pharmacometrics Syst Pharmacol 2019;8:285-295."
    ),
    doi="10.1002/psp4.12388",
    population="tisagenlecleucel, paediatric and young adult B-cell acute lymphoblastic leukaemia",
    n_subjects=90,
    assay="qPCR of the transgene in blood",
    software="Monolix",
    value_unit="copies/ug",
    covariate_effects=MappingProxyType({"tocilizumab on growth rate": 1.2, "corticosteroids on growth rate": 1.0}),
    notes=(
        "The random-effect column is read as standard deviations: as variances, Tmax of 95 % of patients would "
        "span 2.8 to 31.1 days instead of 4.4 to 19.6 days, which is implausible; at least one public library "
        "reads variances.",
        "Effects of comedication on growth are recorded, and not part of this entry's simulations: see "
        "stein2019-comedication.",
    ),
    not_published=(_CORRELATIONS,),
)

_STEIN_COMEDICATION = Published(
    name="stein2019-comedication",
    model_name="ecp+comedication",
    structure="as stein2019; tocilizumab and corticosteroids multiply the growth rate while they are given, until Tmax",
    typical=MappingProxyType({**STEIN_2019.typical, "f_toci": 1.2, "f_ster": 1.0}),
    omega_sd=STEIN_2019.omega_sd,
    residual_sd=STEIN_2019.residual_sd,
    citation=STEIN_2019.citation,
    doi=STEIN_2019.doi,
    population=STEIN_2019.population,
    n_subjects=STEIN_2019.n_subjects,
    assay=STEIN_2019.assay,
    software=STEIN_2019.software,
    value_unit=STEIN_2019.value_unit,
    notes=(
        STEIN_2019.notes[0],
        "In the paper a drug acts from its first dose on: give an interval that ends after Tmax.",
        "Other parameters are those of stein2019; cmax is the peak without comedication.",
    ),
    not_published=(_CORRELATIONS, "random effects of the two factors: none known to us"),
)

_OGASAWARA = Published(
    name="ogasawara2021",
    model_name="ecp+lag",
    structure="constant until the lag ends, exponential growth to Tmax, then a fast and a slow exponential decline",
    typical=MappingProxyType(
        {
            "tmax": 9.29,
            "foldx": float(2.0 ** ((9.29 - 3.27) / 0.755)),
            "tlag": 3.27,
            "alpha": float(np.log(2.0) / 5.00),
            "beta": float(np.log(2.0) / 352.0),
        }
    ),
    citation=(
        "Ogasawara K, et al. Population cellular kinetics of lisocabtagene maraleucel, an autologous "
        "CD19-directed chimeric antigen receptor T-cell product, in patients with relapsed/refractory large B-cell "
        "lymphoma. Clin Pharmacokinet 2021;60:1621-1633."
    ),
    doi="10.1007/s40262-021-01039-5",
    population="lisocabtagene maraleucel, large B-cell lymphoma (TRANSCEND NHL 001), 2524 samples",
    n_subjects=261,
    assay="qPCR of the transgene in blood",
    software=f"nonlinear mixed-effects modelling, software {_UNSEEN}",
    value_unit="copies/ug",
    notes=(
        "Printed, with 95 % intervals: lag 3.27 d (2.71-3.97), doubling time 0.755 d (0.667-0.821), Tmax 9.29 d "
        "(8.81-9.70), half-lives 5.00 d (4.15-5.90) and 352 d (241-647).",
        "foldx follows from lag, doubling time and Tmax: 2^((9.29 - 3.27)/0.755) = 251; alpha and beta are ln 2 over "
        "the half-lives.",
    ),
    not_published=("cmax", "fb", _ALL_RANDOM),
)

_KIMMEL = Published(
    name="kimmel2021",
    model_name="kimmel",
    structure="CAR T cells and returning normal T cells under Gompertz growth, and a tumour that they kill",
    typical=MappingProxyType(
        {"c0": 0.36, "n0": 6.0, "kn": 500.0, "kc": 139.0, "rn": 0.17, "rhoc": 0.0251, "a": 0.423, "b": 0.525}
    ),
    beside=MappingProxyType({"b0": 94.86, "rb": 0.01, "gammab": 1.15, "kb": 4.05}),
    citation=(
        "Kimmel GJ, Locke FL, Altrock PM. The roles of T cell competition and stochastic extinction events in chimeric "
        "antigen receptor T cell therapy. Proc R Soc B 2021;288:20210229."
    ),
    doi="10.1098/rspb.2021.0229",
    population="axicabtagene ciloleucel, large B-cell lymphoma (ZUMA-1), fitted to medians of 101 patients",
    n_subjects=101,
    assay="CAR-positive cells in blood",
    software=_UNSEEN,
    value_unit="cells/uL",
    notes=(
        "Values in cells/uL as in BioModels BIOMD0000001041; table 1 of the paper prints cells (KN 2.50e11, KC "
        "6.96e10, kB 2.024e9, N(0) 3.00e9, C(0) 1.80e8).",
        "rb, the growth rate of the tumour, is printed as a range, 0.01 to 0.5 /day; BioModels takes 0.01.",
        "The fit is to medians: it has no random effects.",
    ),
    not_published=("a residual of single patients",),
)

_CHAUDHURY = {
    "citation": (
        "Chaudhury A, Zhu X, Chu L, et al. Chimeric antigen receptor T cell therapies: a review of cellular "
        "kinetic-pharmacodynamic modeling approaches. J Clin Pharmacol 2020;60(S1)."
    ),
    "doi": "10.1002/jcph.1691",
    "population": "a review: values chosen by its authors, no patients",
    "n_subjects": None,
    "assay": "none",
    "software": "none",
    "value_unit": "cells/uL",
    "not_published": (_ALL_RANDOM,),
}

_FIRST_ORDER = Published(
    name="chaudhury2020-first-order",
    model_name="chaudhury-first-order",
    structure="first-order expansion to day 9.3, then contraction and persistence",
    typical=MappingProxyType({"c0": 10.0, "rho": 1.0, "tmax": 9.3, "ke": 0.16, "kep": 0.0012, "beta": 0.0032}),
    notes=("Values as in BioModels MODEL2109110005; the tumour of that entry does not act on the cells.",),
    **_CHAUDHURY,  # type: ignore[arg-type]
)
_EC50 = Published(
    name="chaudhury2020-ec50",
    model_name="chaudhury-ec50",
    structure="expansion and killing saturate in cells and tumour; expansion ends on day 9.3",
    typical=MappingProxyType(
        {
            **{"c0": 10.0, "rho": 8.8, "ec50_rho": 1.0, "tmax": 9.3, "ke": 0.16, "kep": 0.0012, "beta": 0.0032},
            **{"u0": 900.0, "g": 0.2, "umax": 1000.0, "ucrit": 0.1, "h": 3.0, "d": 0.35, "ec50_d": 10.0},
        }
    ),
    notes=(
        "Values as in BioModels BIOMD0000001025, from supplementary table S1, for figure 3A (cure); with d = 0.34 they "
        "are those of figure 3B (relapse).",
    ),
    **_CHAUDHURY,  # type: ignore[arg-type]
)
_LOTKA_VOLTERRA = Published(
    name="chaudhury2020-lotka-volterra",
    model_name="chaudhury-lotka-volterra",
    structure="cells and tumour as predator and prey",
    typical=MappingProxyType({"c0": 10.0, "rho": 0.0018, "ke": 0.16, "u0": 900.0, "g": 0.15, "d": 1.5e-4}),
    notes=("Values as in BioModels BIOMD0000001024, for figure 3C.",),
    **_CHAUDHURY,  # type: ignore[arg-type]
)

_ENTRIES = (
    STEIN_2019,
    _STEIN_COMEDICATION,
    _OGASAWARA,
    _KIMMEL,
    _FIRST_ORDER,
    _EC50,
    _LOTKA_VOLTERRA,
    *STRUCTURES,
)

library: Mapping[str, Published] = Named({entry.name: entry for entry in _ENTRIES}, kind="published model")
"""Published models by name; an unknown name raises `ModelError` and lists those there are."""
