"""Solids, parts and arrays of a geometry file."""

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from std_daq.photons.geometry.fields import (
    GeometrySection,
    Matrices,
    Matrix,
    Name,
    Pairs,
    Positive,
    Triangles,
    Vector,
    Vectors,
)
from std_daq.photons.geometry.placement import turned_to

Channel = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Type = Annotated[int, Field(ge=-(2**31), lt=2**31, strict=True)]


class Face(GeometrySection):
    """A face of a box or a cylinder that differs from the others."""

    surface: Name | None = Field(default=None, description="in place of the solid's, if it is given")
    channel: Channel | None = None
    channel_position: Vector | None = Field(default=None, description="default: the centre of the face")
    channel_type: Type = 0


class Solid(GeometrySection):
    """A piece of geometry at its place: a boundary between two materials."""

    FACES: ClassVar[tuple[str, ...]] = ()

    inner: Name
    outer: Name
    surface: Name | None = None
    faces: dict[str, Face] = Field(default={})
    position: Vector = Field(default_factory=lambda: np.zeros(3), json_schema_extra={"default": [0, 0, 0]})
    direction: Vector | None = Field(default=None, description="where the solid's +z axis points")
    rotation: Matrix | None = Field(default=None, description="three rows of a rotation matrix")
    channel: Channel | None = Field(default=None, description="only in solids: what is detected is its hit")
    channel_position: Vector | None = Field(default=None, description="default: position")
    channel_type: Type = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.direction is not None and self.rotation is not None:
            raise ValueError("direction and rotation are both given; leave one out")
        if self.direction is not None and not self.direction.any():
            raise ValueError("direction is [0, 0, 0]; give a vector with a length")
        unknown = [name for name in self.faces if name not in self.FACES]
        if unknown:
            has = ", ".join(self.FACES) if self.FACES else "no faces"
            raise ValueError(f"faces: there is no face {unknown[0]!r}; this shape has {has}")
        return self

    @property
    def turn(self) -> NDArray[np.float64]:
        """The rotation from the solid to what it stands in."""
        if self.rotation is not None:
            return self.rotation
        return np.eye(3) if self.direction is None else turned_to(self.direction[None])[0]


class Sphere(Solid):
    """A sphere."""

    shape: Literal["sphere"]
    radius: Positive


class Cylinder(Solid):
    """A closed cylinder about z, centred."""

    FACES: ClassVar[tuple[str, ...]] = ("side", "top", "bottom")

    shape: Literal["cylinder"]
    radius: Positive
    height: Positive


class Box(Solid):
    """A closed box, centred."""

    FACES: ClassVar[tuple[str, ...]] = ("+x", "-x", "+y", "-y", "+z", "-z")

    shape: Literal["box"]
    size: tuple[Positive, Positive, Positive]


class Disc(Solid):
    """An open disc in z = 0; its inner side is z < 0."""

    shape: Literal["disc"]
    radius: Positive


class Rectangle(Solid):
    """An open rectangle in z = 0; its inner side is z < 0."""

    shape: Literal["rectangle"]
    size: tuple[Positive, Positive]


class Revolved(Solid):
    """A profile turned about z; its inner side is to the left of the way along the profile in the (r, z) plane."""

    shape: Literal["revolved"]
    profile: Pairs
    segments: Annotated[int, Field(ge=3, le=100_000, strict=True)] = 32

    @model_validator(mode="after")
    def _check_profile(self) -> Self:
        if len(self.profile) < 2:
            raise ValueError("profile needs two points at least")
        if (self.profile[:, 0] < 0).any():
            raise ValueError(f"profile has a radius of {self.profile[:, 0].min():g}; no radius is negative")
        if (np.diff(self.profile, axis=0) == 0).all(axis=1).any():
            raise ValueError("profile has the same point twice in a row; leave one out")
        if ((self.profile[1:, 0] == 0) & (self.profile[:-1, 0] == 0)).any():
            raise ValueError("profile runs along the axis (r = 0 twice in a row), where nothing is turned")
        return self


class Mesh(Solid):
    """Triangles; their inner side is away from the normal (v1 - v0) x (v2 - v0)."""

    shape: Literal["mesh"]
    vertices: Vectors | None = None
    triangles: Triangles | None = None
    file: Name | None = Field(default=None, description="STL, OBJ or PLY, relative to the geometry file")
    scale: Positive = 1.0

    @model_validator(mode="after")
    def _check_mesh(self) -> Self:
        if (self.file is None) == (self.vertices is None):
            raise ValueError("a mesh has either a file, or vertices and triangles")
        if (self.vertices is None) != (self.triangles is None):
            raise ValueError("a mesh has vertices and triangles together, or a file and neither")
        if self.vertices is not None and self.triangles is not None:
            if not len(self.triangles):
                raise ValueError("triangles is empty; a mesh has one at least")
            outside = (self.triangles < 0) | (self.triangles >= len(self.vertices))
            if outside.any():
                wrong = int(self.triangles[outside][0])
                raise ValueError(f"triangles names vertex {wrong}; the vertices are 0 to {len(self.vertices) - 1}")
        return self


AnySolid = Annotated[
    Sphere | Cylinder | Box | Disc | Rectangle | Revolved | Mesh,
    Field(discriminator="shape"),
]


class Array(GeometrySection):
    """A part that is put at many places."""

    part: Name
    positions: Vectors
    directions: Vectors | None = Field(default=None, description="where the part's +z axis points at each place")
    rotations: Matrices | None = Field(default=None, description="a rotation matrix for each place")
    first_channel: Channel | None = Field(default=None, description="of the first place; null: no channels")
    channel_types: Type | list[Type] = 0
    channel_positions: Vectors | None = Field(default=None, description="default: positions")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.directions is not None and self.rotations is not None:
            raise ValueError("directions and rotations are both given; leave one out")
        if self.directions is not None and not self.directions.any(axis=1).all():
            raise ValueError("directions has [0, 0, 0]; give vectors with a length")
        for name in ("directions", "rotations", "channel_types", "channel_positions"):
            given: Any = getattr(self, name)
            if given is not None and not isinstance(given, int) and len(given) != len(self.positions):
                raise ValueError(f"{name} has {len(given)} entries for {len(self.positions)} positions")
        return self

    @property
    def turns(self) -> NDArray[np.float64]:
        """The rotation from the part to the detector at each place, shape (n, 3, 3)."""
        if self.rotations is not None:
            return self.rotations
        if self.directions is None:
            return np.broadcast_to(np.eye(3), (len(self.positions), 3, 3))
        return turned_to(self.directions)
