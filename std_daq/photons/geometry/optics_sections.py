"""Materials and surfaces of a geometry file."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from std_daq.photons.geometry.fields import GeometrySection, NotNegative, Positive, Spectrum, Table

Decay = tuple[Positive, Positive]
_ROUNDING = 1e-9


def _constant(number: float) -> Any:
    return Field(default_factory=lambda: Table.model_validate(number), json_schema_extra={"default": number})


def refuse_outside(table: Table | None, name: str, low: float, high: float, what: str) -> None:
    """Raise ValueError if a value of a table is not in a range, ends included."""
    if table is None:
        return
    wrong = [value for value in table.value if not low <= value <= high]
    if wrong:
        raise ValueError(f"{name} must be {what}, and has {wrong[0]}")


def refuse_shares(section: GeometrySection, names: tuple[str, ...]) -> None:
    """Raise ValueError if a probability is not between 0 and 1, or if all together exceed 1 somewhere."""
    tables = [getattr(section, name) for name in names]
    for table, name in zip(tables, names, strict=True):
        refuse_outside(table, name, 0, 1, "between 0 and 1")
    at = np.unique(np.concatenate([np.array(table.wavelength) for table in tables]))
    total = np.sum([table.at(at) for table in tables], axis=0)
    if total.max() > 1 + _ROUNDING:
        where = at[total.argmax()]
        raise ValueError(f"{', '.join(names)} are {total.max():.6g} together at {where:g} nm; they must be at most 1")


def _refuse_not_positive(table: Table | None, name: str, what: str) -> None:
    refuse_outside(table, name, np.nextafter(0, 1), np.inf, what)


class Component(GeometrySection):
    """A component of a material that absorbs light and emits some of it again."""

    absorption_length: Table = Field(description="mm")
    probability: Table = Field(description="that absorbed light is emitted again")
    spectrum: Spectrum = Field(description="of the light that it emits, relative, per nm")
    decay_times: list[Decay] = Field(default=[], description="[ns, weight] each; none: at once")
    rise_time: NotNegative = Field(default=0.0, description="ns")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_not_positive(self.absorption_length, "absorption_length", "more than 0 mm")
        refuse_outside(self.probability, "probability", 0, 1, "between 0 and 1")
        return self


class Material(GeometrySection):
    """What light travels through."""

    refractive_index: Table = _constant(1.0)
    group_index: Table | None = Field(default=None, description="default: n - w dn/dw of refractive_index")
    absorption_length: Table | None = Field(default=None, description="mm; null: none")
    scattering_length: Table | None = Field(default=None, description="mm, of Rayleigh scattering; null: none")
    reemission: list[Component] = Field(default=[], description="components that absorb and emit again")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_not_positive(self.refractive_index, "refractive_index", "more than 0")
        _refuse_not_positive(self.group_index, "group_index", "more than 0")
        _refuse_not_positive(self.absorption_length, "absorption_length", "more than 0 mm")
        _refuse_not_positive(self.scattering_length, "scattering_length", "more than 0 mm")
        if self.group_index is None and min(self.group_index_table().value) <= 0:
            raise ValueError("refractive_index rises so fast that its group index n - w dn/dw is not positive")
        return self

    def group_index_table(self) -> Table:
        """Return the group index: n - w dn/dw at the points of the refractive index where none is given."""
        if self.group_index is not None:
            return self.group_index
        w, n = np.array(self.refractive_index.wavelength), np.array(self.refractive_index.value)
        if len(w) == 1:
            return self.refractive_index
        before, after = np.maximum(np.arange(len(w)) - 1, 0), np.minimum(np.arange(len(w)) + 1, len(w) - 1)
        slope: NDArray[np.float64] = (n[after] - n[before]) / (w[after] - w[before])
        return Table.model_construct(wavelength=w.tolist(), value=(n - w * slope).tolist())


class DefaultSurface(GeometrySection):
    """Absorbs, detects or reflects some of the light; the rest goes on as at a border without surface."""

    model: Literal["default"] = "default"
    absorb: Table = _constant(0.0)
    detect: Table = _constant(0.0)
    reflect_diffuse: Table = _constant(0.0)
    reflect_specular: Table = _constant(0.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse_shares(self, ("absorb", "detect", "reflect_diffuse", "reflect_specular"))
        return self


class ThinFilm(GeometrySection):
    """A film of complex refractive index between two materials, as a photocathode."""

    model: Literal["thin_film"]
    eta: Table = Field(description="real part of the index")
    k: Table = Field(description="imaginary part of the index")
    thickness_nm: NotNegative = Field(description="nm")
    efficiency: Table = _constant(0.0)
    transmissive: bool = Field(default=True, strict=True)
    scale_efficiency: bool = Field(default=True, strict=True)
    reflect_diffuse: Table = _constant(0.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_not_positive(self.eta, "eta", "more than 0")
        refuse_outside(self.k, "k", 0, np.inf, "0 or more")
        refuse_outside(self.efficiency, "efficiency", 0, 1, "between 0 and 1")
        refuse_outside(self.reflect_diffuse, "reflect_diffuse", 0, 1, "between 0 and 1")
        return self


class WlsSurface(GeometrySection):
    """A surface that shifts wavelengths."""

    model: Literal["wls"]
    absorb: Table = _constant(0.0)
    reemit: Table = _constant(0.0)
    spectrum: Spectrum
    decay_times: list[Decay] = Field(default=[], description="[ns, weight] each; none: at once")
    reflect_diffuse: Table = _constant(0.0)
    reflect_specular: Table = _constant(0.0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse_outside(self.reemit, "reemit", 0, 1, "between 0 and 1")
        refuse_shares(self, ("absorb", "reflect_diffuse", "reflect_specular"))
        return self


class Dichroic(GeometrySection):
    """A filter whose reflection and transmission depend on angle and wavelength."""

    model: Literal["dichroic"]
    angles: list[Annotated[float, Field(ge=0, le=90, strict=True)]] = Field(
        min_length=1, description="degrees from the normal, rising"
    )
    reflect: list[Table] = Field(description="one table for each angle")
    transmit: list[Table] = Field(description="one table for each angle")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(after <= before for before, after in zip(self.angles, self.angles[1:], strict=False)):
            raise ValueError("the angles do not rise; sort them, and name each once")
        for name in ("reflect", "transmit"):
            if len(getattr(self, name)) != len(self.angles):
                given = len(getattr(self, name))
                raise ValueError(f"{name} has {given} tables for {len(self.angles)} angles; give one for each")
        for i, (reflect, transmit) in enumerate(zip(self.reflect, self.transmit, strict=True)):
            refuse_outside(reflect, f"reflect[{i}]", 0, 1, "between 0 and 1")
            refuse_outside(transmit, f"transmit[{i}]", 0, 1, "between 0 and 1")
            at = np.unique(np.array(reflect.wavelength + transmit.wavelength))
            total = (reflect.at(at) + transmit.at(at)).max()
            if total > 1 + _ROUNDING:
                raise ValueError(f"reflect and transmit are {total:.6g} together at {self.angles[i]:g}°; at most 1")
        return self


AnySurface = DefaultSurface | ThinFilm | WlsSurface | Dichroic
