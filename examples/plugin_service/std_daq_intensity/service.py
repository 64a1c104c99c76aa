"""What the platform has to know of this service: when it is wanted, its options, and the figures of its status."""

from pydantic import Field

from std_daq.config.section import Section
from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Figure, Instance, ServiceDescription

NAME = "intensity"


class IntensityOptions(Section):
    """The section ``services.intensity`` of a ``detector.json``."""

    region: tuple[int, int, int, int] | None = Field(
        None, description="Corners [x0, y0, x1, y1] of the pixels that count, inclusive; by default all."
    )
    period_s: float = Field(0.5, gt=0, description="At most one image is looked at in this time, in seconds.")


def _instances(config: DetectorConfig) -> list[Instance]:
    return [Instance(NAME)] if NAME in config.services else []


SERVICE = ServiceDescription(
    name=NAME,
    package="std_daq_intensity",
    summary="Tells how bright the images of a detector are.",
    config=DetectorConfig,
    instances=_instances,
    options=IntensityOptions,
    figures=(Figure("looked at", "daq_intensity_images_total"), Figure("mean", "daq_intensity_mean")),
)
