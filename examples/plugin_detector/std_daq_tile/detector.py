"""Tile: what the platform asks of a detector, answered for TILE."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.fill_value import fill_value
from std_daq.imaging.detectors.interface import SimulatedFrame
from std_daq.imaging.detectors.module_map import place_modules
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.detectors.patterns import PhotonScene, counter_image, cycle_images
from std_daq.imaging.detectors.pixel_mask import geometric_pixel_mask
from std_daq.imaging.detectors.registry import parse_options
from std_daq_tile.packets import COLUMNS, MODULE, ROWS, tile_layout, tile_packets

if TYPE_CHECKING:
    from std_daq_tile.converter import TileConverter


class TileOptions(BaseModel):
    """The ``detector`` section of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_counts: int = Field(65535, ge=1, le=65535, description="Larger pixels are set to this.")


class Tile:
    """A TILE of any number of modules.

    Parameters
    ----------
    config
        ``bit_depth`` is 16; each module has 256 x 128 pixels in ``module_positions``.
    """

    Options: ClassVar[type[BaseModel]] = TileOptions
    patterns: ClassVar[tuple[str, ...]] = ("photons", "counter")

    def __init__(self, config: DetectorConfig) -> None:
        self.options = parse_options(config, TileOptions)
        if config.bit_depth != 16:
            raise ConfigError("TILE pixels have 16 bits", key="bit_depth", value=config.bit_depth, remedy="give 16")
        if config.image_id != "frame_number":
            raise ConfigError(
                "TILE packets carry no pulse id", key="image_id", value=config.image_id, remedy="give 'frame_number'"
            )
        self.config = config
        self.n_ports = config.n_modules
        self.image_dtype: np.dtype[Any] = np.dtype("<u2")
        self.bit_depth_readout = 16
        self.is_pixel_mask_applied = True
        self.placements = place_modules(config, [MODULE.size])
        self.fill_value = fill_value(config, self.image_dtype)

    def submodule_of_port(self, port: int) -> int:
        """Return the module of a port."""
        return port

    def packet_layout(self, module: int) -> PacketLayout:  # noqa: ARG002 - all modules are alike
        """Return how packets look."""
        return tile_layout()

    def converter(self) -> "TileConverter":
        """Return the converter; loaded late, because only the assembler needs compiled code."""
        from std_daq_tile.converter import TileConverter

        return TileConverter(self.placements, self.config.image_shape, self.options.max_counts, self.fill_value)

    def pixel_mask(self) -> NDArray[np.uint32]:
        """Return the mask of gaps and modules that are off."""
        return geometric_pixel_mask(self.config, self.placements, MODULE)

    def raw_frame_shape(self) -> tuple[int, int]:
        """Return rows and columns of a module."""
        return ROWS, COLUMNS

    def packets(
        self,
        module: int,
        frame_number: int,
        raw: NDArray[Any],
        *,
        pulse_id: int,  # noqa: ARG002 - TILE packets carry none
        timestamp: int,  # noqa: ARG002
        daq_rec: int = 0,  # noqa: ARG002
    ) -> SimulatedFrame:
        """Return the packets of one module."""
        packets = tile_packets(module, frame_number, raw)
        return SimulatedFrame(module, packets, np.full(len(packets), packets.shape[1], np.int64))

    def simulated_frames(self, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
        """Yield raw pixels of all modules."""
        if pattern == "counter":
            shape = (self.config.n_modules, ROWS, COLUMNS)
            return cycle_images(lambda index: counter_image(shape, index, seed).astype(np.uint16))
        scene = PhotonScene(self.config.image_shape, seed, self.config.nexus.beam_center_px)

        def photons(index: int) -> NDArray[Any]:
            image = np.minimum(scene.counts(index), 65535).astype(np.uint16)
            return np.stack([MODULE.take(placement.view(image)) for placement in self.placements])

        return cycle_images(photons)
