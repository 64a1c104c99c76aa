"""The interface that a detector class implements; everything else about a detector stays in its own package.

A detector class is found by an entry point of the group ``std_daq.detectors``; see docs/how-to/add-a-detector.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.board_layout import BoardLayout
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.protocols.own_columns import OwnColumns


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """A file that a converter has loaded: its role (``pedestal``, ``gain`` or ``mask``), path and SHA-256 in hex."""

    role: str
    path: Path
    sha256: str


class FrameConverter(Protocol):
    """Converter of frames into pixels of the image.

    Several threads call it at the same time, each for a different submodule. A submodule is a module, or a half of one
    that has two UDP interfaces.
    """

    def convert(
        self,
        submodule: int,
        /,
        frame: NDArray[np.uint8],
        received: NDArray[np.uint64],
        daq_rec: int,
        image: NDArray[Any],
    ) -> bool:
        """Write one submodule's pixels into the image, and return whether there is a calibration for the frame.

        If there is none, all pixels of the submodule get the fill value, and the image gets the status NOT_CALIBRATED.
        A detector that needs no calibration returns True.

        Parameters
        ----------
        submodule
            Index of the submodule.
        frame
            Bytes of the frame as they lie in the FrameBuffer, (frame_bytes,).
        received
            Bitmap of the units that arrived: unit ``i`` is bit ``i % 64`` of word ``i // 64``. Pixels of the other
            units get the fill value.
        daq_rec
            The detector's recording word of this frame.
        image
            The whole image, (height, width); only this submodule's pixels are written.
        """

    def fill(self, submodule: int, /, image: NDArray[Any]) -> None:
        """Write the fill value to all pixels of a submodule, because its frame is missing or its module is off."""

    def fill_gaps(self, image: NDArray[Any]) -> None:
        """Write the pixels that no frame has; called once for each slot of the ring, as these pixels stay."""

    @property
    def calibration(self) -> tuple[CalibrationFile, ...]:
        """The files whose contents are applied."""

    def reload(self) -> "FrameConverter | None":
        """Return a converter that has read and checked the present files; None if no file has changed.

        Raises
        ------
        CalibrationError
            A changed file does not fit the detector; this converter stays usable.
        """


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """The packets of one submodule for one exposure.

    Parameters
    ----------
    port
        Index of the UDP port, counted from start_udp_port.
    packets
        Datagrams in the order in which they are sent, (n_packets, max_packet_bytes).
    lengths
        Length of each datagram in bytes, (n_packets,).
    """

    port: int
    packets: NDArray[np.uint8]
    lengths: NDArray[np.int64]


class Detector(Protocol):
    """A detector as its configuration describes it."""

    Options: ClassVar[type[BaseModel]]
    """Model of the ``detector`` section of the configuration."""

    config: DetectorConfig
    n_ports: int
    """Number of UDP ports, counted from start_udp_port."""
    image_dtype: np.dtype[Any]
    """Type of an image's pixels."""
    bit_depth_readout: int
    """Number of bits of a pixel, for the NXmx field ``bit_depth_readout``."""
    is_pixel_mask_applied: bool
    """Whether pixels that are masked in `pixel_mask` hold the fill value in images; virtual pixels are excepted."""

    def __init__(self, config: DetectorConfig) -> None:
        """Check the geometry and the options in the configuration; raises ConfigError."""

    def submodule_of_port(self, port: int) -> int:
        """Return the submodule whose frames arrive on a port; the port is an index, not a UDP port number."""

    def packet_layout(self, submodule: int, /) -> PacketLayout:
        """Return the layout of a submodule's packets; the frames of all submodules have the same size."""

    def converter(self) -> FrameConverter:
        """Load the calibration files and return a converter; raises CalibrationError."""

    def pixel_mask(self) -> NDArray[np.uint32]:
        """Return the NXmx pixel mask of the image, (height, width)."""

    def raw_frame_shape(self) -> tuple[int, int]:
        """Return the rows and columns of a submodule's raw pixels, the shape that `packets` expects."""

    def packets(
        self,
        submodule: int,
        /,
        frame_number: int,
        raw: NDArray[Any],
        *,
        pulse_id: int,
        timestamp: int,
        daq_rec: int = 0,
    ) -> SimulatedFrame:
        """Return the packets in which the detector would send a submodule's raw pixels.

        Parameters
        ----------
        raw
            Raw pixels of the submodule, unsigned, with the shape `raw_frame_shape`.
        """

    patterns: ClassVar[tuple[str, ...]]
    """Names of the patterns that can be simulated; the first one is the default."""

    def simulated_frames(self, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
        """Yield the raw pixels of all submodules, (n_submodules, rows, columns), image by image and without end."""


class PacketMaker(Protocol):
    """Makes the packets of simulated exposures."""

    def exposure(
        self, image: NDArray[Any], frame_number: int, *, pulse_id: int, timestamp: int
    ) -> list[SimulatedFrame]:
        """Return the packets of an exposure.

        Parameters
        ----------
        image
            Raw pixels of all submodules, as `Detector.simulated_frames` yields them.
        frame_number, pulse_id, timestamp
            Values for the headers, as far as the detector has them.
        """


class BoardDetector(Detector, Protocol):
    """A detector whose boards send packets without a frame number to one port.

    The modules of its configuration are the boards of one image. Its images come from one or several sources.
    """

    file_formats: ClassVar[tuple[str, ...]]
    """Formats in which its images can be written beside HDF5."""

    @property
    def others_to(self) -> tuple[str, int] | None:
        """Address and port to which packets of other products are passed on; None if they are not wanted."""

    def board_layout(self) -> BoardLayout:
        """Return the layout of the packets."""

    def source_of(self, module_id: int) -> int:
        """Return the source to which a board belongs, given its number in the packets."""

    def own_columns(self) -> OwnColumns:
        """Return the arrays that this detector adds to its files."""

    def packet_maker(self, seed: int) -> PacketMaker:
        """Return what makes the packets of simulated exposures of its sources."""


def is_board_detector(detector: Detector) -> TypeGuard[BoardDetector]:
    """Return whether the boards of a detector send packets without a frame number."""
    return hasattr(detector, "board_layout")
