"""The geometry file as a model: what may stand in it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from std_daq.photons.geometry.fields import GeometrySection, Name
from std_daq.photons.geometry.optics_sections import AnySurface, Material
from std_daq.photons.geometry.solid_sections import AnySolid, Array

FORMAT = "std-sim-geometry"


def _with_model(given: Any) -> Any:
    """Name the default model, by which the keys of a surface are checked."""
    return {"model": "default", **given} if isinstance(given, dict) else given


Surface = Annotated[AnySurface, Field(discriminator="model"), BeforeValidator(_with_model)]


class Physics(GeometrySection):
    """How photons are propagated."""

    velocity: Literal["group", "phase"] = Field(default="group", description="phase: as Chroma")
    max_steps: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] = Field(
        default=1000, description="a photon that is alive after them ends without a terminal bit"
    )


class GeometryFile(GeometrySection):
    """A detector: boundaries between materials, with surfaces; units are mm, ns, nm."""

    format: Literal["std-sim-geometry"]
    version: Literal[1]
    physics: Physics = Physics()
    materials: dict[Name, Material]
    surfaces: dict[Name, Surface] = Field(default={})
    solids: list[AnySolid] = Field(default=[])
    parts: dict[Name, list[AnySolid]] = Field(default={})
    arrays: list[Array] = Field(default=[])
