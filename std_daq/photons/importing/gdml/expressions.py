"""Arithmetic in attributes: ``2*cos(pi/3)``, ``2.034*eV``, ``M[1,2]``. A parser of its own; nothing is executed."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.gdml.units import CONSTANTS

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>\*\*|[-+*/^()\[\],]))"
)
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_MAX_LENGTH = 10_000
_MAX_DEPTH = 50

_FUNCTIONS: dict[str, tuple[int, Callable[..., float]]] = {
    "sin": (1, math.sin), "cos": (1, math.cos), "tan": (1, math.tan), "asin": (1, math.asin), "acos": (1, math.acos),
    "atan": (1, math.atan), "atan2": (2, math.atan2), "sinh": (1, math.sinh), "cosh": (1, math.cosh),
    "tanh": (1, math.tanh), "sqrt": (1, math.sqrt), "exp": (1, math.exp), "log": (1, math.log),
    "log10": (1, math.log10), "pow": (2, math.pow), "abs": (1, abs), "min": (2, min), "max": (2, max),
}  # fmt: skip


class ExpressionError(ValueError):
    """An expression has no value; the text says why."""


@dataclass(slots=True)
class Evaluator:
    """The names that a file has defined so far, and the values of its expressions.

    Attributes
    ----------
    names
        Constants, variables and quantities in mm, ns, MeV and radian.
    matrices
        Shape (rows, columns), by name.
    """

    names: dict[str, float] = field(default_factory=dict)
    matrices: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def value(self, text: str) -> float:
        """Return the value of an expression.

        Raises
        ------
        ExpressionError
            If it is no expression, or its value is no finite number.
        """
        with suppress(ValueError):  # nearly all are plain numbers
            return _finite(float(text), text)
        if len(text) > _MAX_LENGTH:
            raise ExpressionError(f"an expression of {len(text)} characters")
        try:
            value = _Parser(text, self).parse()
        except (ArithmeticError, ValueError) as error:
            if isinstance(error, ExpressionError):
                raise
            raise ExpressionError(f"'{text}' has no value: {error}") from error
        return _finite(value, text)

    def values(self, text: str) -> list[float]:
        """Return the values of expressions that blanks separate."""
        return [self.value(part) for part in text.split()]

    def name(self, text: str) -> str:
        """Return a name with its brackets evaluated, as in loops: ``pmt[i]`` is ``pmt_3`` where i is 3."""
        return _BRACKET.sub(lambda found: "".join(f"_{round(self.value(one))}" for one in found[1].split(",")), text)


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise ExpressionError(f"'{text}' has no finite value")
    return value


class _Parser:
    """Recursive descent: sum, product, sign, power, atom."""

    def __init__(self, text: str, evaluator: Evaluator) -> None:
        self._text = text
        self._evaluator = evaluator
        self._tokens = [*_tokens(text), ("end", "")]
        self._next = 0
        self._depth = 0

    def parse(self) -> float:
        value = self._sum()
        if self._kind() != "end":
            raise self._error()
        return value

    def _sum(self) -> float:
        value = self._product()
        while self._sign() in {"+", "-"}:
            value = value + self._product() if self._take() == "+" else value - self._product()
        return value

    def _product(self) -> float:
        value = self._signed()
        while self._sign() in {"*", "/"}:
            value = value * self._signed() if self._take() == "*" else value / self._signed()
        return value

    def _signed(self) -> float:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ExpressionError("an expression with too many brackets or powers")
        is_negative = False
        while self._sign() in {"+", "-"}:
            is_negative ^= self._take() == "-"
        value = self._power()
        self._depth -= 1
        return -value if is_negative else value

    def _power(self) -> float:
        base = self._atom()
        if self._sign() not in {"^", "**"}:
            return base
        self._take()
        return math.pow(base, self._signed())

    def _atom(self) -> float:
        kind, text = self._tokens[self._next]
        self._next += 1
        if kind == "number":
            return float(text)
        if kind == "name":
            return self._named(text)
        if text == "(":
            value = self._sum()
            self._expect(")")
            return value
        raise self._error()

    def _named(self, name: str) -> float:
        if self._sign() == "[":
            return self._element(name)
        if self._sign() == "(" and name in _FUNCTIONS:
            n_arguments, function = _FUNCTIONS[name]
            arguments = self._arguments("(", ")")
            if len(arguments) != n_arguments:
                raise ExpressionError(f"{name}() takes {n_arguments} arguments, in '{self._text}'")
            return function(*arguments)
        for known in (self._evaluator.names, CONSTANTS):
            if name in known:
                return known[name]
        raise ExpressionError(f"'{name}' is not defined" + (f", in '{self._text}'" if name != self._text else ""))

    def _element(self, name: str) -> float:
        matrix = self._evaluator.matrices.get(name)
        if matrix is None:
            raise ExpressionError(f"no matrix '{name}' is defined")
        indices = [round(index) - 1 for index in self._arguments("[", "]")]
        if len(indices) == 1:
            if 1 not in matrix.shape:
                raise ExpressionError(f"matrix '{name}' has several columns: '{self._text}' needs two indices")
            indices = [indices[0], 0] if matrix.shape[1] == 1 else [0, indices[0]]
        if len(indices) != 2 or not all(0 <= i < n for i, n in zip(indices, matrix.shape, strict=True)):
            raise ExpressionError(f"matrix '{name}' has {matrix.shape[0]} x {matrix.shape[1]} elements: '{self._text}'")
        return float(matrix[indices[0], indices[1]])

    def _arguments(self, begin: str, end: str) -> list[float]:
        self._expect(begin)
        arguments = [self._sum()]
        while self._sign() == ",":
            self._take()
            arguments.append(self._sum())
        self._expect(end)
        return arguments

    def _kind(self) -> str:
        return self._tokens[self._next][0]

    def _sign(self) -> str:
        kind, text = self._tokens[self._next]
        return text if kind == "sign" else ""

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _expect(self, sign: str) -> None:
        if self._sign() != sign:
            raise self._error()
        self._next += 1

    def _error(self) -> ExpressionError:
        return ExpressionError(f"'{self._text}' is no expression")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise ExpressionError(f"'{text}' is no expression")
        yield found.lastgroup, found[found.lastgroup]
        position = found.end()
