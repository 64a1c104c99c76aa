"""Routes that tell which detectors there are, and what they are."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from std_daq.config.platform import PlatformConfig
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.config import RecordingConfig
from std_web.detectors import Console, WatchedDetector

DetectorName = Annotated[str, Path(description="Name of the detector.", max_length=63)]


class DetectorSummary(BaseModel):
    """One detector of the console."""

    name: str = Field(description="Name of the detector.")
    system: str = Field(description="Kind of system: images, telescope, ublox, tpc or photons.")
    title: str = Field(description="Its type, for people.")


class Geometry(BaseModel):
    """Where the detector is, as far as the configuration tells."""

    pixel_size_m: tuple[float, float] | None = Field(None, description="Pixel size x, y, in metres.")
    distance_m: float | None = Field(None, description="Distance from the sample, in metres.")
    beam_center_px: list[float] | None = Field(None, description="Beam centre x, y, in pixels.")
    wavelength_angstrom: float | None = Field(None, description="Wavelength, in angstrom.")


class DetectorDescription(DetectorSummary):
    """What is known of a detector before it takes data."""

    shape: tuple[int, int] | None = Field(None, description="Height and width of an image, in pixels.")
    dtype: str | None = Field(None, description="Type of a pixel, as numpy names it.")
    n_modules: int | None = Field(None, description="Number of modules.")
    module_positions: dict[int, tuple[int, int, int, int]] = Field(
        default_factory=dict, description="Corners x0, y0, x1, y1 of each module in the image, inclusive."
    )
    saturation: float | None = Field(None, description="Value from which on a pixel is saturated.")
    geometry: Geometry | None = Field(None, description="Where the detector is.")
    file_users: list[str | int] = Field(
        default_factory=list, description="Users to whom a request may give its files, by name or number."
    )


def router(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["detectors"])

    @routes.get("/detectors", summary="All detectors")
    async def list_detectors() -> list[DetectorSummary]:
        """Return the detectors of this console, in the order of its command line."""
        return [_summary(detector) for detector in console.detectors.values()]

    @routes.get("/detectors/{detector}", summary="One detector")
    def describe_detector(detector: DetectorName) -> DetectorDescription:
        """Return what is known of a detector before it takes data."""
        watched = console.detector(detector)
        summary = _summary(watched).model_dump()
        config = watched.config
        if isinstance(config, RecordingConfig):
            summary["file_users"] = config.writer.users
        return DetectorDescription(**summary, **(_of_images(config) if isinstance(config, DetectorConfig) else {}))

    return routes


def _summary(detector: WatchedDetector) -> DetectorSummary:
    return DetectorSummary(name=detector.name, system=detector.system, title=_title(detector.config))


def _title(config: PlatformConfig) -> str:
    if not isinstance(config, DetectorConfig):
        return type(config).__name__.removesuffix("Config")
    return f"{config.detector_type}, {config.n_modules} module{'s' if config.n_modules > 1 else ''}"


def _of_images(config: DetectorConfig) -> dict[str, Any]:
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.display.saturation import saturation_value

    detector = open_detector(config)
    nexus = config.nexus
    return {
        "shape": config.image_shape,
        "dtype": str(detector.image_dtype),
        "n_modules": config.n_modules,
        "module_positions": config.module_positions,
        "saturation": saturation_value(config, detector),
        "geometry": Geometry(
            pixel_size_m=nexus.pixel_size_m,
            distance_m=nexus.distance_m,
            beam_center_px=nexus.beam_center_px,
            wavelength_angstrom=nexus.incident_wavelength_angstrom,
        ),
    }
