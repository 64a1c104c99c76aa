"""What is known about an image file before its first image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from std_daq.errors import FileFormatError

Compression = Literal["none", "bslz4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NexusMetadata:
    """Fields of the NXmx application definition; what is None stays out of the file.

    Attributes
    ----------
    description
        Maker and model of the detector.
    sensor_material
        Such as "Si".
    sensor_thickness_m, x_pixel_size_m, y_pixel_size_m, distance_m
        Lengths in metres.
    count_time_s, frame_time_s
        Exposure of an image, and time from one image to the next, in seconds.
    beam_center_x, beam_center_y
        Where the direct beam hits the image, in pixels.
    saturation_value, underload_value
        Highest and lowest pixel value that can be trusted.
    incident_wavelength_angstrom
        Wavelength of the beam.
    instrument_name, source_name, sample_name
        Names as the facility uses them.
    """

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
    instrument_name: str | None = None
    source_name: str | None = None
    sample_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFileDescription:
    """What is known about an image file before its first image.

    Attributes
    ----------
    detector_name
        Also the name of the group of links at the root of the file.
    shape
        Height and width of an image in pixels.
    dtype
        Type of a pixel.
    n_modules
        Modules of the detector, the deactivated ones included.
    compression
        How the chunks that will be appended are encoded.
    nexus
        Further fields of the NXmx definition.
    bit_depth_readout
        Bits that the electronics record for a pixel.
    pixel_mask
        NXmx mask of the image's shape, unsigned 32 bit; 0 is a good pixel.
    is_pixel_mask_applied
        Whether masked pixels hold the fill value.
    request_id, n_requested
        Which request is carried out, for how many images (None: until killed).
    master_file
        Name of the master of a run with several data files, in the same folder; empty without one.
    configuration_json, request_json
        Both as they were read.
    versions
        Versions of the programs, by name.
    """

    detector_name: str
    shape: tuple[int, int]
    dtype: npt.DTypeLike
    n_modules: int
    compression: Compression = "none"
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

    def __post_init__(self) -> None:
        if self.detector_name in {"", ".", "..", "entry"} or "/" in self.detector_name:
            raise FileFormatError(f"detector name {self.detector_name!r} cannot name a group of the file")
        if self.pixel_mask is not None and self.pixel_mask.shape != self.shape:
            raise FileFormatError(
                f"pixel mask of shape {self.pixel_mask.shape} does not fit images of shape {self.shape}"
            )
        if min(self.shape) < 1 or self.n_modules < 1:
            raise FileFormatError(f"no file for {self.n_modules} modules, images of shape {self.shape}")

    @property
    def image_bytes(self) -> int:
        """Bytes of an image that is not compressed."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize
