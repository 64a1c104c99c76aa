"""Eiger: the detector interface for EIGER."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.eiger.geometry import QUARTER
from std_daq.imaging.detectors.eiger.options import EigerOptions
from std_daq.imaging.detectors.eiger.packets import eiger_layout, eiger_packets, frame_bytes, payload_bytes
from std_daq.imaging.detectors.fill_value import fill_value
from std_daq.imaging.detectors.interface import SimulatedFrame
from std_daq.imaging.detectors.module_map import place_modules
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.detectors.patterns import PhotonScene, counter_image, cycle_images, gradient_image
from std_daq.imaging.detectors.pixel_mask import MaskBit, geometric_pixel_mask
from std_daq.imaging.detectors.registry import parse_options

if TYPE_CHECKING:
    from std_daq.imaging.detectors.eiger.converter import EigerConverter

PIXEL_TYPES: dict[int, np.dtype[Any]] = {
    4: np.dtype("u1"),
    8: np.dtype("u1"),
    12: np.dtype("<u2"),
    16: np.dtype("<u2"),
    32: np.dtype("<u4"),
}


class Eiger:
    """An EIGER with any number of quarter modules.

    Parameters
    ----------
    config
        Configuration of the detector. ``bit_depth`` is 4, 8, 12, 16 or 32, and ``image_id`` is the frame number. A
        module is a quarter of 514 x 256 pixels, including the gap between its two chips.
    """

    Options: ClassVar[type[BaseModel]] = EigerOptions
    patterns: ClassVar[tuple[str, ...]] = ("photons", "counter", "gradient", "dark")

    def __init__(self, config: DetectorConfig) -> None:
        self.options = parse_options(config, EigerOptions)
        if config.bit_depth not in PIXEL_TYPES:
            raise ConfigError(
                "an EIGER has no mode with this bit depth",
                key="bit_depth",
                value=config.bit_depth,
                remedy="give 4, 8, 12, 16 or 32",
            )
        self._check_rows(config.bit_depth)
        if config.image_id != "frame_number":
            raise ConfigError(
                "EIGER packets carry no pulse id", key="image_id", value=config.image_id, remedy="give 'frame_number'"
            )
        self.config = config
        self.n_ports = config.n_modules
        self.image_dtype = PIXEL_TYPES[config.bit_depth]
        self.bit_depth_readout = config.bit_depth
        self.is_pixel_mask_applied = True  # gaps, modules that are off, and rows that are not read
        self.placements = place_modules(config, [QUARTER.size])
        self.fill_value = fill_value(config, self.image_dtype)

    def _check_rows(self, bit_depth: int) -> None:
        """Raise ConfigError if the rows do not fill whole packets; the detector allows no such number."""
        n_bytes = payload_bytes(tengiga=self.options.tengiga)
        step = next(n for n in range(1, QUARTER.rows + 1) if frame_bytes(bit_depth, n) % n_bytes == 0)
        if self.options.readnrows % step:
            raise ConfigError(
                f"with {bit_depth} bits and packets of {n_bytes} bytes, these rows do not fill whole packets",
                key="detector.readnrows",
                value=self.options.readnrows,
                remedy=f"give a multiple of {step}",
            )

    def submodule_of_port(self, port: int) -> int:
        """Return the quarter module that sends to a port."""
        return port

    def packet_layout(self, module: int) -> PacketLayout:  # noqa: ARG002 - all modules are alike
        """Return the layout of the packets."""
        return eiger_layout(self.config.bit_depth, tengiga=self.options.tengiga, n_rows=self.options.readnrows)

    def converter(self) -> "EigerConverter":
        """Return the converter; an EIGER needs no calibration."""
        from std_daq.imaging.detectors.eiger.converter import EigerConverter

        return EigerConverter(self.config, self.options, self.placements, self.image_dtype, self.fill_value)

    def pixel_mask(self) -> NDArray[np.uint32]:
        """Return the mask, in which gaps, modules that are off, and rows that are not read are marked."""
        mask = geometric_pixel_mask(self.config, self.placements, QUARTER)
        for placement in self.placements:
            QUARTER.fill(placement.view(mask), MaskBit.DEAD, first=self.options.readnrows)
        return mask

    def raw_frame_shape(self) -> tuple[int, int]:
        """Return rows and columns of a frame."""
        return self.options.readnrows, QUARTER.columns

    def packets(
        self,
        module: int,
        frame_number: int,
        raw: NDArray[Any],
        *,
        pulse_id: int,  # noqa: ARG002 - EIGER packets carry none
        timestamp: int,
        daq_rec: int = 0,  # noqa: ARG002
    ) -> SimulatedFrame:
        """Return the packets of one quarter; ``raw`` has one pixel per byte for 4 bits, too (u8)."""
        packets = eiger_packets(
            module, frame_number, raw, self.config.bit_depth, timestamp, tengiga=self.options.tengiga
        )
        lengths = np.full(len(packets), packets.shape[1], np.int64)
        return SimulatedFrame(port=module, packets=packets, lengths=lengths)

    def simulated_frames(self, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
        """Yield raw pixels: ``photons`` are counts; ``counter`` and ``gradient`` wrap around at the bit depth."""
        shape = (self.config.n_modules, *self.raw_frame_shape())
        largest = np.uint32(2**self.config.bit_depth - 1)
        if pattern == "counter":
            return cycle_images(lambda index: (counter_image(shape, index, seed) & largest).astype(self.image_dtype))
        if pattern == "gradient":
            return cycle_images(lambda index: (gradient_image(shape, index) & largest).astype(self.image_dtype))
        if pattern == "dark":
            return cycle_images(lambda _: np.zeros(shape, self.image_dtype))
        scene = PhotonScene(self.config.image_shape, seed, self.config.nexus.beam_center_px)

        def photons(index: int) -> NDArray[Any]:
            image = np.minimum(scene.counts(index), largest).astype(self.image_dtype)
            n_rows = self.options.readnrows
            return np.stack([QUARTER.take(placement.view(image))[:n_rows] for placement in self.placements])

        return cycle_images(photons)
