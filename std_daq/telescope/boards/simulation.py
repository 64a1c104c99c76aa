"""BoardPacketMaker: the packets that simulated modules of a telescope send."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.interface import SimulatedFrame
from std_daq.telescope.boards.packets import N_QUARTERS, encode_packet
from std_daq.telescope.pff.header import TAI_MINUS_UTC_S, TAI_MODULUS
from std_daq.telescope.pff.product import Product

_NS_IN_S = 1_000_000_000
_JITTER_NS = 20  # between the clocks of the boards of a module


class BoardPacketMaker:
    """Makes the packets of one image after another.

    Movie images come from one module after another. Pulse heights come from any module, and those of single boards from
    any of its boards. Each board counts its packets, and begins again with 0 when the detector restarts. Times
    are those of the moment at which the packets are made, as a White Rabbit clock tells them.

    Parameters
    ----------
    product
        The product.
    modules
        Numbers of the telescope modules.
    seed
        Seed of the random numbers.
    clock
        Returns the time in nanoseconds since 1970.
    """

    def __init__(
        self, product: Product, modules: Sequence[int], seed: int, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._product = product
        self._modules = tuple(modules)
        self._rng = np.random.default_rng(seed)
        self._clock = clock
        self._numbers: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._n_images = 0
        self._last_frame_number = -1

    def exposure(
        self,
        image: NDArray[Any],
        frame_number: int,
        *,
        pulse_id: int,  # noqa: ARG002 - the packets carry none
        timestamp: int,  # noqa: ARG002 - the boards have the time of day
    ) -> list[SimulatedFrame]:
        """Return the packets of an image, (n_boards, 16, 16); a frame number that does not rise is a restart."""
        if frame_number <= self._last_frame_number:
            self._numbers.clear()
        self._last_frame_number = frame_number
        module = self._next_module()
        quarters = self._product.quabos or (int(self._rng.integers(N_QUARTERS)),)
        now_ns = self._clock()
        packets = np.stack(
            [
                self._packet(module, quarter, pixels, now_ns + int(self._rng.integers(-_JITTER_NS, _JITTER_NS + 1)))
                for quarter, pixels in zip(quarters, image, strict=True)
            ]
        )
        return [SimulatedFrame(port=0, packets=packets, lengths=np.full(len(packets), packets.shape[1], np.int64))]

    def _next_module(self) -> int:
        turn = int(self._rng.integers(len(self._modules))) if self._product.is_pulse_height else self._n_images
        self._n_images += 1
        return self._modules[turn % len(self._modules)]

    def _packet(self, module: int, quarter: int, pixels: NDArray[Any], time_ns: int) -> NDArray[np.uint8]:
        number = self._numbers[module, quarter]
        self._numbers[module, quarter] += 1
        seconds, nsec = divmod(time_ns, _NS_IN_S)
        return encode_packet(
            self._product,
            module=module,
            quarter=quarter,
            number=number,
            tai=(seconds + TAI_MINUS_UTC_S) % TAI_MODULUS,
            nsec=nsec,
            pixels=pixels,
        )
