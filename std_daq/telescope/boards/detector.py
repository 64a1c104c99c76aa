"""The detector class for telescopes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.board_layout import BoardLayout
from std_daq.imaging.detectors.fill_value import fill_value
from std_daq.imaging.detectors.interface import SimulatedFrame
from std_daq.imaging.detectors.packet_layout import PacketLayout
from std_daq.imaging.detectors.pixel_mask import MaskBit
from std_daq.imaging.detectors.registry import parse_options
from std_daq.imaging.protocols.own_columns import OwnColumns
from std_daq.telescope.boards import packets
from std_daq.telescope.boards.options import TelescopeOptions
from std_daq.telescope.boards.orientation import PLACES
from std_daq.telescope.boards.scenes import PATTERNS, simulated_boards
from std_daq.telescope.boards.simulation import BoardPacketMaker
from std_daq.telescope.boards.stamps import own_columns
from std_daq.telescope.pff.product import PRODUCTS

if TYPE_CHECKING:
    from std_daq.telescope.boards.converter import BoardConverter


class Telescope:
    """A detector that consists of telescope modules with four quarter boards each.

    Parameters
    ----------
    config
        Configuration. Its modules are the boards of one image: 1 for ph256, and 4 for images of 32 x 32 pixels. All
        telescope modules send to ``start_udp_port``, and their images follow one another.
    """

    Options: ClassVar[type[BaseModel]] = TelescopeOptions
    patterns: ClassVar[tuple[str, ...]] = PATTERNS
    file_formats: ClassVar[tuple[str, ...]] = ("pff",)

    def __init__(self, config: DetectorConfig) -> None:
        self.options = parse_options(config, TelescopeOptions)
        self.product = product = PRODUCTS[self.options.product]
        for key, value, expected in (
            ("bit_depth", config.bit_depth, 8 * product.dtype.itemsize),
            ("n_modules", config.n_modules, product.n_packets),
            ("image_pixel_height", config.image_pixel_height, product.shape[0]),
            ("image_pixel_width", config.image_pixel_width, product.shape[1]),
            ("image_id", config.image_id, "frame_number"),
            ("udp.numinterfaces", config.udp.numinterfaces, 1),
            ("udp.numdst", config.udp.numdst, 1),
            ("udp.receivers", len(config.receivers), 1),
        ):
            if value != expected:
                raise ConfigError(
                    f"images of the product {product.name} need another value", key=key, value=value,
                    remedy="leave it out" if key == "udp.receivers" else f"give {expected!r}",
                )  # fmt: skip
        self.config = config
        self.n_ports = 1
        self.image_dtype: np.dtype[Any] = product.dtype
        self.bit_depth_readout = config.bit_depth
        self.is_pixel_mask_applied = True  # boards that are off
        self.fill_value = fill_value(config, self.image_dtype)

    def submodule_of_port(self, port: int) -> int:  # noqa: ARG002 - all boards send to the same port
        """Return the first board: the packets of all boards arrive on one port."""
        return 0

    def packet_layout(self, board: int) -> PacketLayout:  # noqa: ARG002 - all boards are alike
        """Return the layout of a board's frame, which is one packet."""
        return packets.packet_layout(self.product)

    @property
    def others_to(self) -> tuple[str, int] | None:
        """Address and port to which packets of other products are passed on; None if they are not wanted."""
        if self.options.others_to is None:
            return None
        host, port = self.options.others_to.split(":")
        return host, int(port)

    def board_layout(self) -> BoardLayout:
        """Return the layout of the packets of all boards."""
        options = self.options
        return packets.board_layout(
            self.product, coincidence_ns=options.coincidence_ns, modules=frozenset(options.modules)
        )

    def source_of(self, module_id: int) -> int:
        """Return the telescope module of a board, given its number in the packets."""
        return module_id // packets.N_QUARTERS

    def own_columns(self) -> OwnColumns:
        """Return the stamps of the packets, as ``std-daq pff to-hdf5`` has them."""
        return own_columns()

    def converter(self) -> "BoardConverter":
        """Return the converter; a telescope needs no calibration."""
        from std_daq.telescope.boards.converter import BoardConverter

        return BoardConverter(self.product, self.options.orientation, self.config.deactivate, self.fill_value)

    def pixel_mask(self) -> NDArray[np.uint32]:
        """Return the mask, in which boards that are off are marked."""
        mask = np.zeros(self.config.image_shape, np.uint32)
        for board in self.config.deactivate:
            row, column = PLACES[board]
            mask[row : row + packets.EDGE, column : column + packets.EDGE] = MaskBit.DEAD
        return mask

    def raw_frame_shape(self) -> tuple[int, int]:
        """Return the rows and columns of a board."""
        return packets.EDGE, packets.EDGE

    def packets(
        self,
        board: int,
        frame_number: int,
        raw: NDArray[Any],
        *,
        pulse_id: int,  # noqa: ARG002 - the packets carry none
        timestamp: int,
        daq_rec: int = 0,  # noqa: ARG002
    ) -> SimulatedFrame:
        """Return the packet of one board of the first module; the time stamp counts nanoseconds."""
        seconds, nsec = divmod(timestamp, 1_000_000_000)
        packet = packets.encode_packet(
            self.product,
            module=self.simulated_modules[0],
            quarter=board,
            number=frame_number,
            tai=seconds,
            nsec=nsec,
            pixels=raw,
        )
        return SimulatedFrame(port=0, packets=packet[np.newaxis], lengths=np.array([len(packet)], np.int64))

    @property
    def simulated_modules(self) -> tuple[int, ...]:
        """The telescope modules that a simulation has: those of the options, or else one."""
        return self.options.modules or (1,)

    def simulated_frames(self, pattern: str, seed: int) -> Iterator[NDArray[Any]]:
        """Yield raw pixels of the boards of one image."""
        return simulated_boards(self.product, pattern, seed)

    def packet_maker(self, seed: int) -> BoardPacketMaker:
        """Return what makes packets: movie images of one module after another, pulse heights of any of them."""
        return BoardPacketMaker(self.product, self.simulated_modules, seed)
