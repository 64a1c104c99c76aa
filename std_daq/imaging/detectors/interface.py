"""What the platform asks of a detector; everything else about it stays in its own package.

A detector is a class behind the entry point group ``std_daq.detectors``; see docs/how-to/add-a-detector.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.packet_layout import PacketLayout


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """A file that a converter has loaded: its role (``pedestal``, ``gain``, ``mask``), path and SHA-256 in hex."""

    role: str
    path: Path
    sha256: str


class FrameConverter(Protocol):
    """Turns frames into pixels of the image; called from several threads at once, on different modules."""

    def convert(
        self, module: int, frame: NDArray[np.uint8], received: NDArray[np.uint64], daq_rec: int, image: NDArray[Any]
    ) -> None:
        """Write one module's pixels into the image.

        Parameters
        ----------
        module
            Index of the module.
        frame
            The frame's bytes as they lie in the FrameBuffer, (frame_bytes,).
        received
            Bitmap of the units that arrived: bit ``i % 64`` of word ``i // 64``. Pixels of all other units get the
            fill value.
        daq_rec
            The detector's recording word of this frame.
        image
            The whole image, (height, width); only this module's pixels are written.
        """

    def fill(self, module: int, image: NDArray[Any]) -> None:
        """Write the fill value to all pixels of a module that did not arrive or is off."""

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Write the pixels that belong to no module: once for each slot of the ring, they stay."""

    @property
    def calibration(self) -> tuple[CalibrationFile, ...]:
        """The files whose contents are applied."""

    def reload(self) -> "FrameConverter | None":
        """Return a converter with the files as they are now, checked, or None where none has changed.

        Raises
        ------
        CalibrationError
            When a changed file does not fit; this converter stays usable.
        """


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """One module's packets of one exposure.

    Parameters
    ----------
    port
        Index of the UDP port, counted from start_udp_port.
    packets
        Datagrams in order, (n_packets, max_packet_bytes).
    lengths
        Bytes of each datagram, (n_packets,).
    """

    port: int
    packets: NDArray[np.uint8]
    lengths: NDArray[np.int64]


class Detector(Protocol):
    """A detector as its configuration describes it."""

    Options: ClassVar[type[BaseModel]]
    """The model of the configuration's ``detector`` section."""

    config: DetectorConfig
    n_ports: int
    """UDP ports, from start_udp_port on."""
    image_dtype: np.dtype[Any]
    """Type of the pixels of an image."""
    bit_depth_readout: int
    """Bits of a pixel as NXmx readers use it."""
    is_pixel_mask_applied: bool
    """Whether the pixels of `pixel_mask` hold the fill value in images, but for virtual ones."""

    def __init__(self, config: DetectorConfig) -> None:
        """Check the configuration's geometry and options; raises ConfigError."""

    def module_of_port(self, port: int) -> int:
        """Return the module whose frames arrive on a port (indices, not UDP port numbers)."""

    def packet_layout(self, module: int) -> PacketLayout:
        """Return how packets of a module look; all modules have the same frame size."""

    def converter(self) -> FrameConverter:
        """Load the calibration files and return the converter; raises CalibrationError."""

    def pixel_mask(self) -> NDArray[np.uint32]:
        """Return the NXmx pixel mask of the image, (height, width)."""

    def raw_module_shape(self) -> tuple[int, int]:
        """Return rows and columns of one module's raw pixels, as `packets` takes them."""

    def packets(
        self, module: int, frame_number: int, raw: NDArray[Any], *, pulse_id: int, timestamp: int, daq_rec: int = 0
    ) -> SimulatedFrame:
        """Return the packets that carry one module's raw pixels, as the detector would send them.

        Parameters
        ----------
        raw
            Raw pixels of the module, `raw_module_shape`, unsigned.
        """

    patterns: ClassVar[tuple[str, ...]]
    """Names of the simulated patterns, the default first."""

    def simulated_frames(self, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
        """Yield raw pixels of all modules, (n_modules, rows, columns), image after image, without end."""
