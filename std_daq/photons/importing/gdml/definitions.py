"""What a file defines: values, places, rotations and matrices; and loops, which define things again and again."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.importing.errors import DetectorImportError
from std_daq.photons.importing.gdml.expressions import Evaluator, ExpressionError
from std_daq.photons.importing.gdml.xml_tree import XmlNode

MAX_ITERATIONS = 1_000_000
"""Of all loops of a file together."""

Vector = NDArray[np.float64]


@dataclass(slots=True)
class Definitions:
    """Everything that attributes can refer to.

    Attributes
    ----------
    positions
        In mm.
    rotations
        Angles about x, y, z in radian.
    """

    evaluator: Evaluator = field(default_factory=Evaluator)
    positions: dict[str, Vector] = field(default_factory=dict)
    rotations: dict[str, Vector] = field(default_factory=dict)
    scales: dict[str, Vector] = field(default_factory=dict)
    _n_iterations: int = 0

    def read(self, section: XmlNode) -> None:
        """Take in a section of definitions."""
        for node in self.unrolled(section):
            name = self.name_of(node)
            if node.tag in {"constant", "variable"}:
                self.evaluator.names[name] = self.number(node, "value")
            elif node.tag == "quantity":
                self.evaluator.names[name] = self.number(node, "value") * self.unit(node, "unit")
            elif node.tag == "matrix":
                self.evaluator.matrices[name] = self._matrix(node)
            elif node.tag == "position":
                self.positions[name] = self.vector(node)
            elif node.tag == "rotation":
                self.rotations[name] = self.vector(node)
            elif node.tag == "scale":
                self.scales[name] = self.vector(node, 1.0)

    def unrolled(self, section: XmlNode) -> Iterator[XmlNode]:
        """Yield the elements of a section; those of a loop once for each value, with the variable set to it."""
        for node in section.children:
            if node.tag != "loop":
                yield node
                continue
            variable = node.required_attribute("for")
            end, step = self.number(node, "to"), self.number(node, "step", 1.0)
            value = self.number(node, "from") if "from" in node.attributes else self.evaluator.names.get(variable, 0.0)
            if step <= 0:
                raise node.error(f"a loop with step {step:g} does not end")
            while value <= end + 1e-9 * step:
                self._n_iterations += 1
                # What is in the loop may set the variable back.
                if self._n_iterations + (end - value) / step > MAX_ITERATIONS:
                    raise node.error(f"loops go round more than {MAX_ITERATIONS} times")
                self.evaluator.names[variable] = value
                yield from self.unrolled(node)
                value = self.evaluator.names[variable] + step

    def number(self, node: XmlNode, attribute: str, default: float | None = None) -> float:
        """Return the value of an attribute; without a default it is required."""
        if default is not None and attribute not in node.attributes:
            return default
        try:
            return self.evaluator.value(node.required_attribute(attribute))
        except ExpressionError as error:
            raise node.error(f"attribute '{attribute}': {error}") from error

    def unit(self, node: XmlNode, attribute: str, default: str = "1") -> float:
        """Return the value of a unit."""
        if not node.attributes.get(attribute):
            return self.evaluator.value(default)
        return self.number(node, attribute)

    def vector(self, node: XmlNode, default: float = 0.0) -> Vector:
        """Return x, y, z of an element, in mm or radian."""
        unit = self.unit(node, "unit")
        return np.array([self.number(node, axis, default) * unit for axis in "xyz"])

    def name_of(self, node: XmlNode, attribute: str = "name") -> str:
        """Return a name, with what loops put into it."""
        try:
            return self.evaluator.name(node.attributes.get(attribute, ""))
        except ExpressionError as error:
            raise node.error(f"attribute '{attribute}': {error}") from error

    def reference(self, node: XmlNode, tag: str) -> str:
        """Return what a child such as ``<solidref ref="..."/>`` refers to."""
        return self.name_of(node.required(tag), "ref")

    def position(self, node: XmlNode, tag: str = "position") -> Vector:
        """Return the place that an element gives or refers to; the origin if it does not."""
        return self._vector_of(node, tag, self.positions, 0.0)

    def rotation(self, node: XmlNode, tag: str = "rotation") -> NDArray[np.float64]:
        """Return the matrix Rz Ry Rx of an element's rotation."""
        return rotation_matrix(self._vector_of(node, tag, self.rotations, 0.0))

    def scale(self, node: XmlNode) -> Vector:
        """Return the scale of an element."""
        return self._vector_of(node, "scale", self.scales, 1.0)

    def matrix(self, node: XmlNode, name: str) -> NDArray[np.float64]:
        """Return a matrix by its name."""
        if name not in self.evaluator.matrices:
            raise node.error(f"no matrix '{name}' is defined")
        return self.evaluator.matrices[name]

    def _vector_of(self, node: XmlNode, tag: str, defined: dict[str, Vector], default: float) -> Vector:
        inline, reference = node.find(tag), node.find(f"{tag}ref")
        if inline is not None:
            return self.vector(inline, default)
        if reference is None:
            return np.full(3, default)
        name = self.name_of(reference, "ref")
        if name not in defined:
            raise reference.error(f"no {tag} '{name}' is defined")
        return defined[name]

    def _matrix(self, node: XmlNode) -> NDArray[np.float64]:
        n_columns = round(self.number(node, "coldim", 1.0))
        values = self.values(node, "values")
        if n_columns < 1 or not values or len(values) % n_columns:
            raise node.error(f"{len(values)} values do not make rows of {n_columns}")
        return np.array(values).reshape(-1, n_columns)

    def values(self, node: XmlNode, attribute: str) -> list[float]:
        """Return the numbers of a list."""
        try:
            return self.evaluator.values(node.required_attribute(attribute))
        except ExpressionError as error:
            raise node.error(f"attribute '{attribute}': {error}") from error


def rotation_matrix(angles: Vector) -> NDArray[np.float64]:
    """Return Rz Ry Rx; right angles give exact zeros and ones."""
    x, y, z = (_plane_rotation(angle) for angle in angles)
    rx = np.array([[1, 0, 0], [0, x[0], -x[1]], [0, x[1], x[0]]])
    ry = np.array([[y[0], 0, y[1]], [0, 1, 0], [-y[1], 0, y[0]]])
    rz = np.array([[z[0], -z[1], 0], [z[1], z[0], 0], [0, 0, 1]])
    product: NDArray[np.float64] = rz @ ry @ rx
    return product


def _plane_rotation(angle: float) -> tuple[float, float]:
    cos, sin = math.cos(angle), math.sin(angle)
    return (cos if abs(cos) > 1e-15 else 0.0, sin if abs(sin) > 1e-15 else 0.0)


_T = TypeVar("_T")


def defined(things: dict[str, _T], name: str, kind: str, node: XmlNode) -> _T:
    """Return a thing by its name.

    Raises
    ------
    DetectorImportError
        If it is not defined.
    """
    if name not in things:
        error: DetectorImportError = node.error(f"no {kind} '{name}' is defined")
        raise error
    return things[name]
