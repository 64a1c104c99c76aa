"""Description of an image file: all that is known before its first image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from std_daq.errors import FileFormatError
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.protocols.own_columns import OwnColumns

Compression = Literal["none", "bslz4", "bszstd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NexusMetadata:
    """Fields of the NXmx application definition; a field that is None is not written.

    Attributes
    ----------
    title
        Title of the run; None: the name of its file.
    description
        Manufacturer and model of the detector.
    sensor_material
        Material of the sensor, such as "Si".
    sensor_thickness_m, x_pixel_size_m, y_pixel_size_m, distance_m
        Lengths in metres.
    count_time_s, frame_time_s
        Exposure time of an image, and time from one image to the next, in seconds.
    beam_center_x, beam_center_y
        Position of the direct beam in the image, in pixels.
    saturation_value, underload_value
        Highest and lowest pixel value that can be trusted. None: those of an unsigned integer of the detector's bits;
        of other pixels they are not written.
    incident_wavelength_angstrom, flux_hz, beam_size_m
        Wavelength of the beam in angstrom, its photons per second, and its size at the sample (x, y) in metres.
    transmission
        Transmission of the attenuator, from 0 to 1.
    axes
        Axes that move the sample, the one that carries it first.
    instrument_name, source_name, sample_name, sample_description
        Names as the facility uses them.
    sample_temperature_k
        Temperature of the sample, in kelvins.
    proposal, user_name
        Number of the proposal, and name of the user.
    """

    title: str | None = None
    description: str | None = None
    sensor_material: str | None = None
    sensor_thickness_m: float | None = None
    x_pixel_size_m: float | None = None
    y_pixel_size_m: float | None = None
    distance_m: float | None = None
    count_time_s: float | None = None
    frame_time_s: float | None = None
    beam_center_x: float | None = None
    beam_center_y: float | None = None
    saturation_value: float | None = None
    underload_value: float | None = None
    incident_wavelength_angstrom: float | None = None
    flux_hz: float | None = None
    beam_size_m: tuple[float, float] | None = None
    transmission: float | None = None
    axes: tuple[SampleAxis, ...] = ()
    instrument_name: str | None = None
    source_name: str | None = None
    sample_name: str | None = None
    sample_description: str | None = None
    sample_temperature_k: float | None = None
    proposal: str | None = None
    user_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFileDescription:
    """Description of an image file: all that is known before its first image.

    Attributes
    ----------
    detector_name
        Name of the detector; also the name of a group of links.
    has_root_links
        Whether there is a group of links with this name at the root of the file as well.
    shape
        Height and width of an image, in pixels.
    dtype
        Type of a pixel.
    n_modules
        Number of modules of the detector, including deactivated ones.
    compression
        Compression of the chunks that will be appended.
    zstd_level
        Level of bszstd; None for other compressions.
    nexus
        Further fields of the NXmx definition.
    bit_depth_readout
        Number of bits that the detector's electronics record for a pixel.
    pixel_mask
        NXmx mask with the shape of the image, unsigned 32 bit; the mask of a good pixel is 0.
    is_pixel_mask_applied
        Whether masked pixels hold the fill value.
    request_id, n_requested
        Id of the request that is carried out, and the number of images that it asks for (None: until killed).
    master_file
        Name of the master file of a run with several data files, in the same folder; empty if there is none.
    configuration_json, request_json
        Configuration and request, unchanged as they were read.
    versions
        Version of each program, by name.
    own_columns
        Arrays that the detector adds; None if there are none.
    measured_units
        Unit of each value that other programs measure, by its name.
    timestamp_units
        Unit of the detector's own time stamps, such as "100 ns"; empty if it is not known.
    """

    detector_name: str
    shape: tuple[int, int]
    dtype: npt.DTypeLike
    n_modules: int
    has_root_links: bool = False
    compression: Compression = "none"
    zstd_level: int | None = None
    nexus: NexusMetadata = field(default_factory=NexusMetadata)
    bit_depth_readout: int | None = None
    pixel_mask: npt.NDArray[np.uint32] | None = None
    is_pixel_mask_applied: bool = False
    request_id: str = ""
    n_requested: int | None = None
    master_file: str = ""
    configuration_json: str = "{}"
    request_json: str = "{}"
    versions: Mapping[str, str] = field(default_factory=dict)
    own_columns: OwnColumns | None = None
    measured_units: Mapping[str, str] = field(default_factory=dict)
    timestamp_units: str = ""

    def __post_init__(self) -> None:
        if self.detector_name in {"", ".", "..", "entry"} or "/" in self.detector_name:
            raise FileFormatError(f"detector name {self.detector_name!r} cannot be the name of a group in the file")
        if self.pixel_mask is not None and self.pixel_mask.shape != self.shape:
            raise FileFormatError(
                f"pixel mask of shape {self.pixel_mask.shape} does not fit images of shape {self.shape}"
            )
        if min(self.shape) < 1 or self.n_modules < 1:
            raise FileFormatError(f"a file cannot have {self.n_modules} modules and images of shape {self.shape}")

    @property
    def image_bytes(self) -> int:
        """Size of an uncompressed image, in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def value_bits(self) -> int:
        """Number of bits that a pixel value can have."""
        return self.bit_depth_readout or 8 * np.dtype(self.dtype).itemsize
