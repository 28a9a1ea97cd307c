"""Covariate terms: what a formula means, the design, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellkinetics.data.cohort import Cohort
from cellkinetics.data.reading import read
from cellkinetics.errors import CellKineticsError, DataError, ModelError, SettingsError
from cellkinetics.fitting.covariates import (
    coefficient_names,
    complete,
    design,
    design_of,
    parse_terms,
    remarks,
    without_values,
)
from cellkinetics.fitting.terms import Term
from cellkinetics.models.registry import get_model

ECP = get_model("ecp")


def table(**columns: list[object]) -> Cohort:
    n = len(next(iter(columns.values())))
    rows = {"subject": [f"P{k + 1}" for k in range(n)], "time": [7.0] * n, "value": [100.0] * n, **columns}
    return read(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return table(
        group=["R", "NR", "R", "R", "NR"],
        dose=[50, 100, 150, 450, 100],
        weight=[50.0, 70.0, 72.4, 90.0, 60.0],
        age=[63, 51, 70, 44, 68],
        sex=[0, 1, 1, 0, 1],
        response=["CR", "PR", "SD", "CR", "PR"],
    )


def test_forms_without_a_word_follow_the_values(cohort: Cohort) -> None:
    terms = parse_terms(["cmax ~ group + weight", "tmax ~ sex"], ECP, cohort)
    assert [str(term) for term in terms] == [
        "cmax ~ categorical(group, R)",
        "cmax ~ power(weight, 70)",
        "tmax ~ categorical(sex, 1)",
    ]
    assert coefficient_names(terms) == ("beta_cmax_group_NR", "beta_cmax_weight", "beta_tmax_sex_0")


def test_every_form_can_be_written_with_its_reference(cohort: Cohort) -> None:
    formulas = ["cmax ~ power(weight, 80)", "alpha~exponential( age )", "beta ~ categorical(dose, 150) + sex"]
    terms = parse_terms(formulas, ECP, cohort)
    assert terms[:3] == (
        Term("cmax", "weight", "power", 80.0),
        Term("alpha", "age", "exponential", 63.0),
        Term("beta", "dose", "categorical", "150", ("50", "100", "450")),
    )
    assert terms[2].names == ("beta_beta_dose_50", "beta_beta_dose_100", "beta_beta_dose_450")
    assert len({*terms, *parse_terms(formulas, ECP, cohort)}) == len(terms)


def test_a_design_has_the_values_of_each_form(cohort: Cohort) -> None:
    terms = parse_terms(["cmax ~ power(weight, 70) + group", "alpha ~ exponential(age, 60)"], ECP, cohort)
    found = design(terms, ECP, cohort, [1, 2, 4, 3])
    assert found.shape == (4, 6, 3)
    assert found[:, 0, 0] == pytest.approx(np.log(np.array([70.0, 72.4, 60.0, 90.0]) / 70))
    assert found[:, 0, 1].tolist() == [1, 0, 1, 0]
    assert found[:, ECP.names.index("alpha"), 2].tolist() == [-9, 10, 8, -16]
    assert not found[:, 1:3].any()
    assert not found[:, 0, 2].any()


def test_new_patients_get_the_design_of_the_fit(cohort: Cohort) -> None:
    terms = parse_terms(["cmax ~ group + weight", "tmax ~ categorical(dose)"], ECP, cohort)
    people = pd.DataFrame({"group": ["NR", "R"], "weight": [140.0, 35.0], "dose": ["450", "100"]})
    found = design_of(terms, ECP, people)
    assert found[:, 0, :2] == pytest.approx(np.array([[1, np.log(2)], [0, -np.log(2)]]))
    assert found[:, 1, 2:].tolist() == [[0, 0, 1], [0, 0, 0]]
    one = design_of(terms, ECP, {"group": "R", "weight": [35.0, 70.0, 140.0], "dose": 450})
    assert one.shape == (3, 6, 5)
    assert design_of((), ECP, {}).shape == (1, 6, 0)


def test_terms_survive_their_record(cohort: Cohort) -> None:
    for term in parse_terms(["cmax ~ group + weight", "alpha ~ exponential(age)"], ECP, cohort):
        assert Term.from_dict(term.to_dict()) == term
    assert terms_record(cohort) == {
        "parameter": "cmax",
        "covariate": "group",
        "form": "categorical",
        "reference": "R",
        "levels": ["NR"],
        "coefficients": ["beta_cmax_group_NR"],
    }


def terms_record(cohort: Cohort) -> dict[str, object]:
    return parse_terms(["cmax ~ group"], ECP, cohort)[0].to_dict()


@pytest.mark.parametrize(
    ("values", "reference"),
    [
        ([71, 74.4, 90], 74),
        ([101.2, 101.6, 101.9, 300], 102),
        ([0.01, 0.0123, 0.5], 0.012),
        ([1234, 1236, 1240], 1236),
    ],
)
def test_the_reference_is_a_median_with_few_digits(values: list[float], reference: float) -> None:
    term = parse_terms(["cmax ~ power(x)"], ECP, table(x=values))[0]
    assert term.reference == pytest.approx(reference)


def test_names_of_coefficients_are_words_and_different() -> None:
    data = table(**{"prior therapy": ["A+B", "A-B", "A+B", "none, yet", "none, yet", "A-B", "A+B"]})
    term = parse_terms(["cmax ~ prior therapy"], ECP, data)[0]
    assert term.levels == ("A-B", "none, yet")
    assert term.names == ("beta_cmax_prior_therapy_A_B", "beta_cmax_prior_therapy_none_yet")
    assert len(set(Term("cmax", "x", "categorical", "c", ("a+b", "a-b", "a b")).names)) == 3


@pytest.mark.parametrize(
    ("formula", "error", "words"),
    [
        ("cmax", SettingsError, "no formula"),
        ("cmax ~", SettingsError, "no formula"),
        ("cmax ~ group ~ sex", SettingsError, "no formula"),
        ("cmax ~ group +", SettingsError, "cannot be read at ''"),
        ("cmax ~ + group", SettingsError, "cannot be read at ''"),
        ("cmax ~ power(weight", SettingsError, "cannot be read"),
        ("cmax ~ cubic(weight)", SettingsError, "no form 'cubic'"),
        ("vmax ~ group", ModelError, "no parameter 'vmax'"),
        ("cmax ~ wieght", SettingsError, "did you mean 'weight'"),
        ("cmax ~ group + group", SettingsError, "given twice for cmax"),
        ("cmax ~ categorical(group, MR)", SettingsError, "no patient has the reference 'MR'"),
        ("cmax ~ power(weight, heavy)", SettingsError, "is no number"),
        ("cmax ~ power(weight, 0)", SettingsError, "a positive number"),
        ("cmax ~ power(sex)", DataError, "use exponential"),
        ("cmax ~ power(group)", DataError, "group is no number for"),
    ],
)
def test_a_wrong_formula_is_answered(cohort: Cohort, formula: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match="(?s)" + words.replace("(", r"\(").replace("+", r"\+")):
        parse_terms([formula], ECP, cohort)


def test_a_covariate_that_is_the_same_for_all_is_refused() -> None:
    with pytest.raises(SettingsError, match="weight is 70 for every patient"):
        parse_terms(["cmax ~ weight"], ECP, table(weight=[70, 70, 70]))
    data = table(weight=[70, 70, 80])
    terms = parse_terms(["cmax ~ weight"], ECP, data)
    with pytest.raises(SettingsError, match="beta_cmax_weight_80 cannot be estimated"):
        design(terms, ECP, data, [0, 1])


def test_collinear_terms_are_named() -> None:
    data = table(group=["A", "B", "C", "A", "B", "C"], arm=["x", "y", "y", "x", "y", "y"], age=[1, 2, 3, 4, 5, 7])
    terms = parse_terms(["cmax ~ group + age + arm", "tmax ~ arm"], ECP, data)
    with pytest.raises(SettingsError, match="arm_x cannot be told apart from beta_cmax_group_B and beta_cmax_gr"):
        design(terms, ECP, data, range(6))
    assert design(parse_terms(["cmax ~ group", "tmax ~ arm"], ECP, data), ECP, data, range(6)).shape == (6, 6, 3)


def test_missing_values_are_an_error_that_names_patients_unless_a_rule_is_given() -> None:
    data = table(group=["R", "", "NR", "R", "NR"], weight=[70, 80, np.nan, 75, 66])
    terms = parse_terms(["cmax ~ group", "tmax ~ weight"], ECP, data)
    with pytest.raises(DataError, match="covariate group and weight is missing for P2, P3"):
        design(terms, ECP, data, range(5))
    assert without_values(terms, data, range(5)) == {
        1: "the covariate group is missing",
        2: "the covariate weight is missing",
    }
    kept = [0, 3, 4]
    found = design(terms, ECP, data, range(5), missing="reference")
    assert found[kept].tolist() == design(terms, ECP, data, kept, missing="drop").tolist()
    assert not found[1, 0].any()
    assert not found[2, 1].any()
    with pytest.raises(DataError, match="missing for 1 of 2 patients"):
        design_of(terms, ECP, {"group": ["R", None], "weight": [70, 80]})


def test_a_rule_for_missing_values_makes_another_cohort() -> None:
    data = table(group=["R", "", "NR", "R", "R"], weight=[70, 80, np.nan, 75, 66], stage=[1, 2, 2, None, 2])
    terms = parse_terms(["cmax ~ group", "tmax ~ power(weight, 72) + stage"], ECP, data)
    with pytest.raises(DataError, match="covariate group and weight and stage is missing for P2, P3, P4"):
        complete(data, terms, "error")
    dropped, notes = complete(data, terms, "drop")
    assert dropped.subject == ("P1", "P5")
    assert notes[1] == "P3 is left out: the covariate weight is missing"
    filled, notes = complete(data, terms, "reference")
    assert filled.group == ("R", "R", "NR", "R", "R")
    assert filled.covariates["weight"].tolist() == [70, 80, 72, 75, 66]
    assert filled.covariates["stage"].tolist() == [1, 2, 2, 2, 2]
    assert notes[1] == "weight is missing for P3, taken to be 72.0"
    found = design(parse_terms([str(term) for term in terms], ECP, filled), ECP, filled, range(5))
    assert found.tolist() == design(terms, ECP, data, range(5), missing="reference").tolist()
    assert complete(filled, terms, "drop") == (filled, ())
    with pytest.raises(SettingsError, match="'mean' is no rule"):
        complete(data, terms, "mean")


def test_a_level_with_one_patient_is_remarked(cohort: Cohort) -> None:
    terms = parse_terms(["cmax ~ response"], ECP, cohort)
    assert remarks(terms, cohort, range(5)) == (
        "response is SD for 1 patient only, in cmax ~ categorical(response, CR)",
    )


def test_a_level_that_no_patient_of_the_fit_had_is_refused(cohort: Cohort) -> None:
    terms = parse_terms(["cmax ~ response"], ECP, cohort)
    with pytest.raises(DataError, match="response is 'MR', and the model knows CR, PR, SD"):
        design_of(terms, ECP, {"response": ["CR", "MR"]})
    with pytest.raises(SettingsError, match="the covariate response is needed"):
        design_of(terms, ECP, {"group": ["R"]})


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="cmaxgroup~+(), '\"1.", max_size=30))
def test_any_text_is_a_formula_or_an_error_of_ours(cohort: Cohort, text: str) -> None:
    try:
        terms = parse_terms([text], ECP, cohort)
    except CellKineticsError:
        return
    assert terms
    assert all(name.isidentifier() for name in coefficient_names(terms))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=9, unique=True))
def test_a_power_multiplies_typical_values(values: list[float]) -> None:
    term = Term("cmax", "x", "power", 2.0)
    assert np.exp(0.75 * term.columns(values)[:, 0]) == pytest.approx((np.array(values) / 2.0) ** 0.75)
