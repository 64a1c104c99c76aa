"""Gigafrost: the detector interface for GIGAFROST."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.fill_value import fill_value
from std_daq.imaging.detectors.gigafrost.geometry import N_MODULES, check_geometry, link_rows
from std_daq.imaging.detectors.gigafrost.packets import gigafrost_layout, gigafrost_packets
from std_daq.imaging.detectors.interface import SimulatedFrame
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.detectors.patterns import PhotonScene, counter_image, cycle_images, gradient_image
from std_daq.imaging.detectors.pixel_mask import MaskBit
from std_daq.imaging.detectors.registry import parse_options
from std_daq.telemetry.logs import get_logger

if TYPE_CHECKING:
    from std_daq.imaging.detectors.gigafrost.converter import GigafrostConverter

MAX_PIXEL = 2**12 - 1


class GigafrostOptions(BaseModel):
    """Options of a GIGAFROST: none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gigafrost:
    """A GIGAFROST camera with any region of interest.

    Parameters
    ----------
    config
        Configuration of the detector. ``n_modules`` is 8; a module is a link of a quadrant, with the number
        ``2 * quadrant + link``. Ports i and i + 8 carry alternate images of module i. The places of the modules follow
        from the size of the image, without ``module_positions``. ``bit_depth`` is 12, as the camera sends pixels, or
        16, as they are delivered; both values mean the same.
    """

    Options: ClassVar[type[BaseModel]] = GigafrostOptions
    patterns: ClassVar[tuple[str, ...]] = ("photons", "counter", "gradient", "dark")

    def __init__(self, config: DetectorConfig) -> None:
        parse_options(config, GigafrostOptions)
        if config.bit_depth not in (12, 16):
            raise ConfigError(
                "GIGAFROST pixels have 12 bits, delivered as 16", key="bit_depth", value=config.bit_depth,
                remedy="give 12 or 16",
            )  # fmt: skip
        if config.image_id != "frame_number":
            raise ConfigError(
                "GIGAFROST packets carry no pulse id", key="image_id", value=config.image_id,
                remedy="give 'frame_number'",
            )  # fmt: skip
        for key, value in (("numinterfaces", config.udp.numinterfaces), ("numdst", config.udp.numdst)):
            if value != 1:
                raise ConfigError(
                    "a GIGAFROST sends alternate images to its two ports a module, all of one server",
                    key=f"udp.{key}", value=value, remedy="give 1",
                )  # fmt: skip
        check_geometry(config)
        if config.module_positions:
            get_logger().warning("config_key_ignored", key="module_positions", instead="the size of the image")
        self.config = config
        self.n_ports = 2 * N_MODULES
        self.image_dtype: np.dtype[Any] = np.dtype("<u2")
        self.bit_depth_readout = 12
        self.is_pixel_mask_applied = True  # gaps, and modules that are off
        self.places = tuple(link_rows(module, config.image_shape) for module in range(N_MODULES))
        self.fill_value = fill_value(config, self.image_dtype)

    def submodule_of_port(self, port: int) -> int:
        """Return the module that sends to a port."""
        return port % N_MODULES

    def packet_layout(self, module: int) -> PacketLayout:
        """Return the layout of a module's packets, with a check of their quadrant and link."""
        return gigafrost_layout(module, self.raw_frame_shape())

    def converter(self) -> "GigafrostConverter":
        """Return the converter; a GIGAFROST needs no calibration."""
        from std_daq.imaging.detectors.gigafrost.converter import GigafrostConverter

        return GigafrostConverter(self.places, self.config.deactivate, self.fill_value)

    def pixel_mask(self) -> NDArray[np.uint32]:
        """Return the mask, in which modules that are off are marked."""
        mask = np.zeros(self.config.image_shape, np.uint32)
        for module in self.config.deactivate:
            self.places[module].view(mask)[:] = MaskBit.DEAD
        return mask

    def raw_frame_shape(self) -> tuple[int, int]:
        """Return the rows and columns of a module: a quarter of the image's height and half of its width."""
        return self.places[0].height, self.places[0].width

    def packets(
        self,
        module: int,
        frame_number: int,
        raw: NDArray[Any],
        *,
        pulse_id: int,  # noqa: ARG002 - GIGAFROST packets carry none
        timestamp: int,
        daq_rec: int = 0,
    ) -> SimulatedFrame:
        """Return the packets of one module; even frames go to port ``module``, odd frames to port ``module + 8``."""
        packets, lengths = gigafrost_packets(module, frame_number, raw, timestamp=timestamp, daq_rec=daq_rec)
        return SimulatedFrame(port=module + N_MODULES * (frame_number % 2), packets=packets, lengths=lengths)

    def simulated_frames(self, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
        """Yield raw pixels: a photon gives 20 ADU; ``counter`` and ``gradient`` wrap around at 12 bits."""
        shape = (N_MODULES, *self.raw_frame_shape())
        largest = np.uint32(MAX_PIXEL)
        if pattern == "counter":
            return cycle_images(lambda index: (counter_image(shape, index, seed) & largest).astype(np.uint16))
        if pattern == "gradient":
            return cycle_images(lambda index: (gradient_image(shape, index) & largest).astype(np.uint16))
        if pattern == "dark":
            return cycle_images(lambda _: np.zeros(shape, np.uint16))
        scene = PhotonScene(self.config.image_shape, seed, self.config.nexus.beam_center_px)

        def photons(index: int) -> NDArray[Any]:
            image = np.minimum(scene.counts(index) * np.uint32(20), largest).astype(np.uint16)
            return np.stack([place.view(image) for place in self.places])

        return cycle_images(photons)
