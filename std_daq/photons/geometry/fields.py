"""Fields of a geometry file: tables, points and vectors, as numpy arrays."""

from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from std_daq.config.section import Section

_NUMBER = {"type": "number"}
_POINT = {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 3}


def _array(value: Any, kinds: str, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"must be {what}; the rows are not of one length") from None
    if array.dtype.kind not in kinds and array.size:
        raise ValueError(f"must be {what}")
    return array


def _rows(value: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    array = _array(value, "iuf", what)
    if array.size == 0 and shape[0] == -1:
        return np.zeros((0, *shape[1:]))
    if array.ndim != len(shape) or any(w not in {-1, h} for w, h in zip(shape, array.shape, strict=True)):
        raise ValueError(f"must be {what}")
    numbers: NDArray[np.float64] = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"must be {what}; one of them is not finite")
    return numbers


def _vector(value: Any) -> NDArray[np.float64]:
    return _rows(value, (3,), "three numbers, [x, y, z]")


def _vectors(value: Any) -> NDArray[np.float64]:
    return _rows(value, (-1, 3), "a list of [x, y, z]")


def _pairs(value: Any) -> NDArray[np.float64]:
    return _rows(value, (-1, 2), "a list of pairs")


def _matrix(value: Any) -> NDArray[np.float64]:
    matrix: NDArray[np.float64] = _rotations(_rows(value, (3, 3), "three rows of three numbers")[None])[0]
    return matrix


def _matrices(value: Any) -> NDArray[np.float64]:
    return _rotations(_rows(value, (-1, 3, 3), "a list of matrices, each of three rows of three numbers"))


def _rotations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations nearest to given matrices, whose numbers may have few digits."""
    if matrices.size == 0:
        return matrices
    u, stretch, v = np.linalg.svd(matrices)
    if np.abs(stretch - 1).max() > 1e-3 or (np.linalg.det(matrices) < 0).any():
        raise ValueError("is not a rotation: its rows must be unit vectors across each other, right-handed")
    nearest: NDArray[np.float64] = u @ v
    return nearest


def _triangles(value: Any) -> NDArray[np.int64]:
    array = _array(value, "iu", "a list of three indices each")
    if array.size == 0:
        return np.zeros((0, 3), np.int64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError("must be a list of three indices each")
    return array.astype(np.int64)


def _schema(content: dict[str, Any], depth: int) -> WithJsonSchema:
    for _ in range(depth):
        content = {"type": "array", "items": content}
    return WithJsonSchema(content)


Vector = Annotated[NDArray[np.float64], BeforeValidator(_vector), WithJsonSchema(_POINT)]
"""Three numbers."""

Vectors = Annotated[NDArray[np.float64], BeforeValidator(_vectors), _schema(_POINT, 1)]
"""Shape (n, 3)."""

Pairs = Annotated[NDArray[np.float64], BeforeValidator(_pairs), _schema(_NUMBER, 2)]
"""Shape (n, 2)."""

Matrix = Annotated[NDArray[np.float64], BeforeValidator(_matrix), _schema(_POINT, 1)]
"""A rotation, shape (3, 3)."""

Matrices = Annotated[NDArray[np.float64], BeforeValidator(_matrices), _schema(_POINT, 2)]
"""Rotations, shape (n, 3, 3)."""

Triangles = Annotated[NDArray[np.int64], BeforeValidator(_triangles), _schema({"type": "integer"}, 2)]
"""Indices of corners, shape (n, 3)."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Name = Annotated[str, Field(min_length=1, strict=True)]


class GeometrySection(Section):
    """A part of a geometry file; unlike other sections, it holds arrays."""

    model_config = ConfigDict(arbitrary_types_allowed=True)


class Points(GeometrySection):
    """Values at wavelengths, at least two."""

    wavelength: list[Positive] = Field(min_length=1, description="nm, rising")
    value: list[Annotated[float, Field(allow_inf_nan=False, strict=True)]] = Field(description="one for each")

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if len(self.wavelength) != len(self.value):
            raise ValueError(f"has {len(self.wavelength)} wavelengths and {len(self.value)} values; give one for each")
        if any(after <= before for before, after in zip(self.wavelength, self.wavelength[1:], strict=False)):
            raise ValueError("the wavelengths do not rise; sort them, and name each once")
        return self


class Table(Points):
    """A number, or values at wavelengths with straight lines between them; constant outside."""

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, given: Any) -> Any:
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            return {"wavelength": [CONSTANT_AT], "value": [given]}
        if not isinstance(given, (dict, BaseModel)):
            raise ValueError('must be a number, or {"wavelength": [...], "value": [...]}')
        return given

    def at(self, wavelengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at wavelengths in nm."""
        return np.interp(wavelengths, self.wavelength, self.value)


CONSTANT_AT = 400.0
"""A wavelength in nm for a number in place of a table; any would do."""


class Spectrum(Points):
    """Light by wavelength, relative, per nm."""

    @model_validator(mode="after")
    def _is_a_density(self) -> Self:
        if len(self.wavelength) < 2:
            raise ValueError("a spectrum needs two wavelengths at least")
        if min(self.value) < 0 or max(self.value) == 0:
            raise ValueError("a spectrum is nowhere negative, and positive somewhere")
        return self

    def cumulative(self) -> NDArray[np.float64]:
        """Return wavelengths and the share of light up to each, by the trapezoid rule, shape (n, 2).

        Where no light is, the share does not rise; these wavelengths are left out.
        """
        w, v = np.array(self.wavelength), np.array(self.value)
        area = np.concatenate([[0.0], np.cumsum((v[1:] + v[:-1]) / 2 * np.diff(w))])
        return np.column_stack([w, area / area[-1]])
