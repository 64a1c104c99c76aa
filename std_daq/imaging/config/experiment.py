"""Experiment: what only the user knows of a run; a write request gives it, and a configuration may give defaults."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from std_daq.config.bounds import MAX_SECONDS
from std_daq.config.section import Section

# Wavelength in angstrom times photon energy in electronvolts, from the exact SI constants h, c and e.
_ANGSTROM_EV = 12398.419843320026

# Each integer up to here is a float64 as well.
PixelValue = Annotated[int, Field(ge=-(2**53), le=2**53)]
# An axis that moves by this much for each of 2**32 images is still at a finite place.
MAX_NUMBER = 1e12
Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]
Vector = Annotated[list[Number], Field(min_length=3, max_length=3)]

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


class GoniometerAxis(Section):
    """One axis that moves the sample: a rotation (keys in deg) or a translation (keys in m)."""

    model_config = _STRICT

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")] = Field(
        description="Name of the axis, such as omega; letters, digits and underscores."
    )
    vector: Vector = Field(
        description="Direction of the axis: x, y, z in the coordinates of NeXus (z along the beam, y up, so x points "
        "to the left when seen along the beam). A rotation is right-handed about it."
    )
    start_deg: Number | None = Field(None, description="Angle at the start of the first image, in degrees.")
    increment_deg: Number | None = Field(None, description="Angle from one image to the next, in degrees.")
    values_deg: list[Number] | None = Field(
        None, min_length=1, description="Instead of start and increment: the angle of each image, in degrees."
    )
    start_m: Number | None = Field(None, description="Position at the start of the first image, in metres.")
    increment_m: Number | None = Field(None, description="Distance from one image to the next, in metres.")
    values_m: list[Number] | None = Field(
        None, min_length=1, description="Instead of start and increment: the position of each image, in metres."
    )
    offset_m: Vector = Field([0.0, 0.0, 0.0], description="Position of the axis x, y, z, in metres.")

    @model_validator(mode="after")
    def _moves_in_one_way(self) -> Self:
        if not any(self.vector):
            raise ValueError("vector must not be [0, 0, 0]: it is the direction of the axis")
        degrees, metres = (
            (self.start_deg, self.increment_deg, self.values_deg),
            (self.start_m, self.increment_m, self.values_m),
        )
        given = [kind for kind in (degrees, metres) if any(value is not None for value in kind)]
        if len(given) != 1:
            raise ValueError("give start_deg and increment_deg (or values_deg) for a rotation, or the same in m")
        start, increment, values = given[0]
        if (values is None) == (start is None):
            raise ValueError("give either the start (and the increment, if the axis moves) or the values")
        if values is not None and increment is not None:
            raise ValueError("values and increment exclude each other")
        return self

    @property
    def is_rotation(self) -> bool:
        """Whether the axis is a rotation; otherwise it is a translation."""
        return self.start_deg is not None or self.values_deg is not None

    @property
    def start(self) -> float:
        """Position at the first image, in degrees or metres."""
        return next((start for start in (self.start_deg, self.start_m) if start is not None), 0.0)

    @property
    def increment(self) -> float:
        """Distance from one image to the next, in degrees or metres."""
        return self.increment_deg or self.increment_m or 0.0

    @property
    def values(self) -> list[float] | None:
        """Position at each image, in degrees or metres; None if they follow from start and increment."""
        return self.values_deg or self.values_m


class Experiment(Section):
    """What only the user knows of a run: geometry, beam, motion of the sample, names; each key states its unit."""

    model_config = _STRICT

    title: Text | None = Field(None, description="Title of the run; by default the name of its file.")
    distance_m: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="Sample to detector, in metres (at most 100)."
    )
    beam_center_px: Pair | None = Field(None, description="Beam centre x, y, in pixels.")
    wavelength_angstrom: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        None, description="Incident wavelength, in angstrom."
    )
    photon_energy_ev: Annotated[float, Field(ge=1e-3, le=1e15)] | None = Field(
        None, description="Instead of the wavelength: photon energy, in electronvolts."
    )
    count_time_s: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = Field(
        None, description="Exposure time of one image, in seconds."
    )
    frame_time_s: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = Field(
        None, description="Period of images, in seconds; at least the exposure time."
    )
    saturation_value: PixelValue | None = Field(None, description="Largest valid pixel value.")
    underload_value: PixelValue | None = Field(None, description="Smallest valid pixel value.")
    transmission: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Transmission of the attenuator, from 0 to 1."
    )
    flux_hz: Annotated[float, Field(ge=0, le=1e30)] | None = Field(
        None, description="Photons per second on the sample."
    )
    beam_size_m: (
        Annotated[list[Annotated[float, Field(gt=0, le=MAX_NUMBER)]], Field(min_length=2, max_length=2)] | None
    ) = Field(None, description="Size of the beam at the sample x, y (full width at half maximum), in metres.")
    goniometer: list[GoniometerAxis] = Field(
        default_factory=list,
        max_length=16,
        description="Axes that move the sample, the one that carries it first; each following one carries the one "
        "before.",
    )
    sample_name: Text | None = Field(None, description="Name of the sample.")
    sample_description: Text | None = Field(None, description="Description of the sample.")
    sample_temperature_k: Annotated[float, Field(ge=0, le=MAX_NUMBER)] | None = Field(
        None, description="Temperature of the sample, in kelvins."
    )
    source_name: Text | None = Field(None, description="Name of the facility.")
    instrument_name: Text | None = Field(None, description="Name of the beamline.")
    proposal: Text | None = Field(None, description="Number of the proposal.")
    user_name: Text | None = Field(None, description="Name of the user.")

    @model_validator(mode="after")
    def _values_agree(self) -> Self:
        if self.wavelength_angstrom is not None and self.photon_energy_ev is not None:
            raise ValueError("wavelength_angstrom and photon_energy_ev exclude each other: give one of them")
        if self.count_time_s is not None and self.frame_time_s is not None and self.count_time_s > self.frame_time_s:
            raise ValueError(f"count_time_s {self.count_time_s:g} is longer than frame_time_s {self.frame_time_s:g}")
        if (
            self.underload_value is not None
            and self.saturation_value is not None
            and self.underload_value > self.saturation_value
        ):
            raise ValueError(
                f"underload_value {self.underload_value} is greater than saturation_value {self.saturation_value}"
            )
        names = [axis.name for axis in self.goniometer]
        reserved = [name for name in names if name.endswith(("_increment_set", "_end"))]
        if reserved:
            raise ValueError(f"goniometer: NeXus has another meaning for the name {reserved[0]}")
        if len(set(names)) != len(names):
            raise ValueError(f"goniometer: a name is given twice in {', '.join(names)}")
        return self

    @property
    def incident_wavelength_angstrom(self) -> float | None:
        """Wavelength of the beam, in angstrom; None if neither it nor the photon energy is known."""
        if self.photon_energy_ev is not None:
            return _ANGSTROM_EV / self.photon_energy_ev
        return self.wavelength_angstrom
