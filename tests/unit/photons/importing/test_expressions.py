"""Expressions in GDML: values of arithmetic, and nothing else."""

import math

import numpy as np
import pytest

from std_daq.photons.importing.gdml.expressions import Evaluator, ExpressionError


@pytest.fixture
def evaluator() -> Evaluator:
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
    return Evaluator(
        {"a": 2.0, "i": 3.0}, {"M": matrix, "row": np.array([[5.0, 6.0]]), "column": np.array([[7.0], [8.0]])}
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2*cos(pi/3)", 1.0),
        ("2.034*eV", 2.034e-6),
        ("90*cm", 900.0),
        ("7.*ns", 7.0),
        ("50000/MeV", 50000.0),
        ("-0.5*a+1", 0.0),
        ("2^3^2", 512.0),
        ("-2^2", -4.0),
        ("2**3", 8.0),
        ("+-+3", -3.0),
        ("(1+2)*(3-1)", 6.0),
        ("M[1,2] + M[2,1]", 5.0),
        ("row[2] - column[2]", -2.0),
        ("M[a, a]", 4.0),
        ("atan2(1, 1)*4", math.pi),
        ("max(1, min(5, 3))", 3.0),
        (".5e1", 5.0),
        ("90*deg", math.pi / 2),
        ("1 - 1", 0.0),
    ],
)
def test_value_of_an_expression(evaluator: Evaluator, text: str, value: float) -> None:
    assert evaluator.value(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "b",
        "1/0",
        "sqrt(-1)",
        "10^400",
        "nan",
        "inf",
        "1e999",
        "(-8)^0.5",
        "M[1]",
        "M[3,1]",
        "M[0,1]",
        "N[1]",
        "cos(1, 2)",
        "2 3",
        "__import__('os')",
        "a.b",
        "a if a else i",
        "(" * 1000 + "1" + ")" * 1000,
        "-" * 20_000 + "1",
        "2^" * 1000 + "1",
    ],
)
def test_what_is_no_expression_is_refused(evaluator: Evaluator, text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluator.value(text)


def test_names_in_loops_have_the_values_of_their_brackets(evaluator: Evaluator) -> None:
    assert evaluator.name("pmt[i]") == "pmt_3"
    assert evaluator.name("pmt[i,a*2]_x") == "pmt_3_4_x"
    assert evaluator.name("pmt") == "pmt"
