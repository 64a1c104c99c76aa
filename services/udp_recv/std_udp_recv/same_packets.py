"""SamePackets: notices that of each frame of a port the same packets come, which is a setting and no loss. Pure."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.packet_layout import PacketLayout

MIN_FRAMES = 8
"""So many frames in a row have to lack the same packets; a network that loses packets loses others each time."""


class SamePackets:
    """Follows the incomplete frames of one port.

    Parameters
    ----------
    where
        The port in words, such as "UDP port 50001 (module 0)".
    n_units, first_unit
        Number of packets of a frame, and the number of the first of them; a unit is a packet.
    hints
        What to ask the user if only the packets from a first to a last number come, both included.
    """

    def __init__(self, where: str, n_units: int, first_unit: int, hints: Mapping[tuple[int, int], str]) -> None:
        self._where = where
        self._n_units = n_units
        self._first_unit = first_unit
        self._hints = hints
        self._received = b""
        self._n_frames = 0

    def feed_complete(self) -> None:
        """Take note of a complete frame."""
        self._n_frames = 0

    def feed(self, received: NDArray[np.uint64]) -> bool:
        """Take note of an incomplete frame, given its bitmap; return whether the same packets are missing just now."""
        bitmap = received.tobytes()
        self._n_frames = self._n_frames + 1 if bitmap == self._received else 1
        self._received = bitmap
        return self._n_frames == MIN_FRAMES

    def describe(self) -> str:
        """Return in words which packets come; empty if frames are complete or lack different packets."""
        if self._n_frames < MIN_FRAMES:
            return ""
        bits = np.unpackbits(np.frombuffer(self._received, np.uint8), bitorder="little")[: self._n_units]
        numbers = np.flatnonzero(bits) + self._first_unit
        first, last = int(numbers[0]), int(numbers[-1])
        if last - first + 1 == len(numbers):
            which, hint = f"packets {first} to {last}", self._hints.get((first, last), "")
        else:
            which, hint = f"the same {len(numbers)} packets", ""
        text = f"of each frame only {which} come on {self._where}, {self._n_units} were expected"
        return f"{text}: {hint}" if hint else text


def same_packets_of(layout: PacketLayout, udp_port: int, module: int) -> SamePackets:
    """Return what follows the frames of a port with this layout."""
    where = f"UDP port {udp_port} (module {module})"
    return SamePackets(where, layout.n_units, layout.first_unit, layout.range_hints)
