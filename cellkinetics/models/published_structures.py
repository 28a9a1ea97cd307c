"""Published models that are described here and cannot be simulated: equations or values were not at hand.

Each says what we know of it, and what a simulation would need.
"""

from __future__ import annotations

from cellkinetics.models.publication import Published

_UNSEEN = "not stated in what we saw"
_VALUES = "parameter values that reproduce a printed trajectory"

STRUCTURES = (
    Published(
        name="wuf2025",
        citation=(
            "Wu F, et al. Population cellular kinetics of idecabtagene vicleucel in patients with triple-class-exposed "
            "relapsed/refractory multiple myeloma. Clin Pharmacokinet 2025."
        ),
        doi="10.1007/s40262-025-01531-2",
        population="idecabtagene vicleucel, multiple myeloma (KarMMa-3)",
        n_subjects=None,
        assay="transgene copies in blood",
        software=_UNSEEN,
        value_unit="copies/ug",
        structure="saturable growth after a lag, then decline, on which anti-drug antibodies act",
        notes=(
            "Terminal half-life 125 days.",
            "The model saturable of this package has such growth, in our own form and without a lag.",
        ),
        not_published=("typical values in what we saw", "random effects and the residual in what we saw"),
    ),
    Published(
        name="wuls2022",
        citation="Wu LS, et al. Clin Transl Sci 2022 (population model of ciltacabtagene autoleucel).",
        doi="10.1111/cts.13421",
        population="ciltacabtagene autoleucel, multiple myeloma",
        n_subjects=None,
        assay="transgene copies in blood",
        software=_UNSEEN,
        value_unit="copies/ug",
        structure="equations not seen by us",
        not_published=("equations, typical values, random effects and the residual in what we saw",),
    ),
    Published(
        name="mu2022",
        citation=(
            "Mu W, Long X, Cai H, et al. A model perspective explanation of the long-term sustainability of a fully "
            "human BCMA-targeting CAR (CT103A) T-cell immunotherapy. Front Pharmacol 2022;13:803693."
        ),
        doi="10.3389/fphar.2022.803693",
        population="CT103A, multiple myeloma",
        n_subjects=18,
        assay=f"transgene in blood, method {_UNSEEN}",
        software=f"nonlinear mixed-effects modelling, software {_UNSEEN}",
        value_unit="copies/ug",
        structure="population model; extramedullary disease lowers Cmax; equations not seen by us",
        not_published=("equations, typical values, random effects and the residual in what we saw",),
    ),
    Published(
        name="muellerschoell2021",
        citation=(
            "Mueller-Schoell A, et al. Early survival prediction framework in CD19-specific CAR-T cell immunotherapy "
            "using a quantitative systems pharmacology model. Cancers 2021;13:2782."
        ),
        doi="10.3390/cancers13112782",
        population="axicabtagene ciloleucel, non-Hodgkin lymphoma",
        n_subjects=None,
        assay=_UNSEEN,
        software=_UNSEEN,
        value_unit=_UNSEEN,
        structure="CAR T cells by phenotype and CD19-positive tumour; equations not seen by us",
        not_published=(f"{_VALUES}, in what we saw",),
    ),
    Published(
        name="hardiansyah2019",
        citation=(
            "Hardiansyah D, Ng CM. Quantitative systems pharmacology model of chimeric antigen receptor T-cell "
            "therapy. Clin Transl Sci 2019;12:343-349."
        ),
        doi="10.1111/cts.12636",
        population="patients treated with CAR T cells against B-cell malignancies",
        n_subjects=None,
        assay=_UNSEEN,
        software=_UNSEEN,
        value_unit=_UNSEEN,
        structure="CAR T cells, disease burden, B cells and cytokines; equations not seen by us",
        not_published=(f"{_VALUES}, in what we saw",),
    ),
    Published(
        name="singh2021",
        citation=(
            "Singh AP, Chen W, Zheng X, et al. Bench-to-bedside translation of chimeric antigen receptor (CAR) T cells "
            "using a multiscale systems pharmacokinetic-pharmacodynamic model: a case study with anti-BCMA CAR-T. CPT "
            "Pharmacometrics Syst Pharmacol 2021;10:362-376."
        ),
        doi="10.1002/psp4.12598",
        population="bb2121 (idecabtagene vicleucel), multiple myeloma",
        n_subjects=None,
        assay="transgene copies in blood",
        software=_UNSEEN,
        value_unit="copies/ug",
        structure="cells in blood and tissue whose expansion and killing depend on complexes of CAR and target",
        not_published=(f"{_VALUES}, in what we saw",),
    ),
    Published(
        name="kirouac2023",
        citation=(
            "Kirouac DC, et al. Deconvolution of clinical variance in CAR-T cell pharmacology and response. "
            "Nat Biotechnol 2023."
        ),
        doi="10.1038/s41587-023-01687-x",
        population="tisagenlecleucel, chronic lymphocytic leukaemia, by response",
        n_subjects=None,
        assay="transgene copies in blood",
        software="particle swarm optimisation, 12 parameter sets a population",
        value_unit="copies/ug",
        structure="memory, effector and exhausted cells, steered by an antigen toggle switch, and B-cell tumour",
        notes=("Fitted to published profiles by response category, not to single patients.",),
        not_published=(f"one set of {_VALUES}, in what we saw",),
    ),
)
