"""Jungfrau: the detector interface for JUNGFRAU."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.fill_value import fill_value
from std_daq.imaging.detectors.interface import SimulatedFrame
from std_daq.imaging.detectors.jungfrau.geometry import (
    COLUMNS,
    MODULE_SIZES,
    ROWS,
    copy_into_gaps,
    frame_rows,
    grid_of,
)
from std_daq.imaging.detectors.jungfrau.options import JungfrauOptions
from std_daq.imaging.detectors.jungfrau.packets import jungfrau_layout, jungfrau_packets
from std_daq.imaging.detectors.module_map import place_modules
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.detectors.patterns import PhotonScene, counter_image, cycle_images, gradient_image, made_ahead
from std_daq.imaging.detectors.pixel_mask import MaskBit, geometric_pixel_mask
from std_daq.imaging.detectors.registry import parse_options

if TYPE_CHECKING:
    from std_daq.imaging.detectors.jungfrau.converter import JungfrauConverter
    from std_daq.imaging.detectors.jungfrau.pedestal_run import JungfrauPedestalRun

IMAGE_DTYPES: dict[str, np.dtype[Any]] = {
    "raw": np.dtype("<u2"),
    "kev": np.dtype("<f4"),
    "counts": np.dtype("<i4"),
}


class Jungfrau:
    """A JUNGFRAU with any number of modules.

    Parameters
    ----------
    config
        Configuration of the detector. ``bit_depth`` is 16. The sizes in ``module_positions`` decide whether modules are
        placed with the gaps between their chips (1030 x 514 pixels) or without (1024 x 512 pixels). A submodule is a
        module, or with two UDP interfaces (``udp.numinterfaces``) a half of one.
    """

    Options: ClassVar[type[BaseModel]] = JungfrauOptions
    patterns: ClassVar[tuple[str, ...]] = (
        "photons", "counter", "gradient", "dark", "dark_g0", "dark_g1", "dark_g2", "pedestal",
    )  # fmt: skip

    def __init__(self, config: DetectorConfig) -> None:
        self.options = parse_options(config, JungfrauOptions)
        if config.bit_depth != 16:
            raise ConfigError(
                "raw JUNGFRAU pixels have 16 bits",
                key="bit_depth",
                value=config.bit_depth,
                remedy="give 16; the type of the image follows from detector.conversion",
            )
        self.config = config
        self.n_ports = config.n_submodules
        self.image_dtype = IMAGE_DTYPES[self.options.conversion]
        self.bit_depth_readout = self.image_dtype.itemsize * 8
        is_corrected = self.options.conversion != "raw"
        self.is_pixel_mask_applied = not self.options.has_mask or (is_corrected and self.options.apply_mask)
        self.placements = place_modules(config, MODULE_SIZES)
        self.rows = frame_rows(config, self.options.readnrows)
        self.grid = grid_of(self.placements[0])
        if self.options.double_pixels != "keep" and self.grid.gap == 0:
            raise ConfigError(
                "modules are placed without gaps",
                key="detector.double_pixels",
                value=self.options.double_pixels,
                remedy="give 'keep', or module_positions of 1030 x 514 pixels",
            )
        self.fill_value = fill_value(config, self.image_dtype)

    def submodule_of_port(self, port: int) -> int:
        """Return the submodule that sends to a port."""
        return port

    def packet_layout(self, submodule: int) -> PacketLayout:
        """Return the layout of the packets."""
        return jungfrau_layout(self.config.image_id, self.rows[submodule])

    def converter(self) -> "JungfrauConverter":
        """Return the converter; it loads pedestals, gains and mask if it needs them; raises CalibrationError."""
        from std_daq.imaging.detectors.jungfrau.converter import CorrectingConverter, JungfrauConverter

        kind = JungfrauConverter if self.options.conversion == "raw" else CorrectingConverter
        return kind(self.config, self.options, self.placements, self.fill_value)

    def pixel_mask(self) -> NDArray[np.uint32]:
        """Return the mask, in which gaps, modules that are off, rows that are not read, and bad pixels are marked.

        With ``double_pixels`` other than ``keep``, gap pixels hold values. They are then marked as virtual, and have
        also the bits of the neighbour whose value they repeat.
        """
        from std_daq.imaging.detectors.jungfrau.tables import load_mask

        mask = geometric_pixel_mask(self.config, self.placements, self.grid)
        bad_pixels = load_mask(self.options, self.config.n_modules)
        n_unread = (ROWS - self.options.readnrows) // 2
        bad_pixels[:, :n_unread] |= np.uint32(MaskBit.DEAD)
        bad_pixels[:, ROWS - n_unread :] |= np.uint32(MaskBit.DEAD)
        for module, placement in enumerate(self.placements):
            rectangle = placement.view(mask)
            self.grid.place(self.grid.take(rectangle) | bad_pixels[module], rectangle)
            if self.options.double_pixels != "keep":
                is_gap = rectangle == MaskBit.GAP
                copy_into_gaps(rectangle)
                rectangle[is_gap] |= np.uint32(MaskBit.VIRTUAL)
        return mask

    def raw_frame_shape(self) -> tuple[int, int]:
        """Return rows and columns of a frame."""
        return self.rows[0].n, COLUMNS

    def packets(
        self, submodule: int, frame_number: int, raw: NDArray[Any], *, pulse_id: int, timestamp: int, daq_rec: int = 0
    ) -> SimulatedFrame:
        """Return the packets of one submodule: 128 of a module of which all rows are read."""
        rows = self.rows[submodule]
        packets = jungfrau_packets(
            submodule, rows, frame_number, raw, pulse_id=pulse_id, timestamp=timestamp, daq_rec=daq_rec
        )
        lengths = np.full(len(packets), packets.shape[1], np.int64)
        return SimulatedFrame(port=submodule, packets=packets, lengths=lengths)

    def simulated_frames(self, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
        """Yield raw pixels of the rows that are read.

        - ``photons``: pixels switch gains as in the detector, with the configured pedestals and gains if there are any.
        - ``counter``: all valid gain codes occur.
        - ``gradient``: all pixels are in gain stage 0.
        - ``dark_g0``, ``dark_g1``, ``dark_g2``: dark images in forced gain; ``dark`` is the same as ``dark_g0``.
        - ``pedestal``: 100 dark images of each gain stage in turn.
        """
        from std_daq.imaging.detectors.jungfrau.simulation import (
            GAIN_CODES,
            PHOTON_ENERGY_KEV,
            JungfrauResponse,
            pedestal_run,
        )

        shape = (self.config.n_submodules, *self.raw_frame_shape())
        if pattern == "counter":
            codes = np.array([0, *GAIN_CODES], np.uint16) << np.uint16(14)

            def counter(index: int) -> NDArray[Any]:
                number = counter_image(shape, index, seed)
                adc = (number & np.uint32(0x3FFF)).astype(np.uint16)
                raw: NDArray[np.uint16] = adc | codes[(number >> np.uint32(14)) & np.uint32(3)]
                return raw

            return cycle_images(counter)
        if pattern == "gradient":
            return cycle_images(lambda index: (gradient_image(shape, index) & np.uint32(0x3FFF)).astype(np.uint16))

        response = JungfrauResponse(self.options, self.config.n_modules, seed)
        stages = {"dark": 0, "dark_g0": 0, "dark_g1": 1, "dark_g2": 2}

        def darks(stage: int) -> Iterator[NDArray[Any]]:
            return cycle_images(lambda index: self._rows_read(response.dark(stage, index)))

        if pattern in stages:
            return darks(stages[pattern])
        if pattern == "pedestal":
            return pedestal_run([made_ahead(darks(stage)) for stage in range(3)])
        scene = PhotonScene(self.config.image_shape, seed, self.config.nexus.beam_center_px)
        photon_energy = np.float32(self.options.factor or PHOTON_ENERGY_KEV)

        def photons(index: int) -> NDArray[Any]:
            energy = scene.counts(index).astype(np.float32) * photon_energy
            raw_energy = np.stack([self.grid.take(placement.view(energy)) for placement in self.placements])
            return self._rows_read(response.raw_from_energy(raw_energy, index))

        return cycle_images(photons)

    def _rows_read(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of the submodules, of whole modules (n_modules, 512, 1024)."""
        return np.stack([raw[rows.module, rows.first : rows.end] for rows in self.rows])

    def pedestal_stages(self, *, with_high_gain: bool) -> tuple[str, ...]:
        """Return the gain stages of a pedestal run."""
        from std_daq.imaging.detectors.jungfrau.pedestal import HIGH_GAIN_STAGE, STAGE_NAMES

        return STAGE_NAMES if with_high_gain else STAGE_NAMES[:HIGH_GAIN_STAGE]

    def pedestal_run(self, *, n_skipped: int) -> "JungfrauPedestalRun":
        """Start a pedestal run."""
        from std_daq.imaging.detectors.jungfrau.pedestal_run import JungfrauPedestalRun

        return JungfrauPedestalRun(self.config, self.rows, n_skipped, self.options.n_storage_cells)
