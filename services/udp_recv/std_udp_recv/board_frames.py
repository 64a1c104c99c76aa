"""BoardFrames: writes the packets of images into the FrameBuffer, and describes each image in a RawMetadata."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.imaging.protocols.pulse_ids import NO_PULSE_ID
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_udp_recv.board_grouper import BoardEvent
from std_udp_recv.board_packets import BoardPacket

FIRST_FRAME = 1

_FIELDS = {
    "id": 0,
    "pulse_id": NO_PULSE_ID,
    "frame_index": 0,
    "daq_rec": 0,
    "timestamp": 0,
    "first_arrival_ns": 0,
    "last_arrival_ns": 0,
    "exposure_length": 0,
    "n_received_packets": 1,
    "n_missing_packets": 0,
    "n_received_units": 1,
    "epoch": 0,
    "module_id": 0,
    "n_refused_packets": 0,
}
"""The fields of a ModuleFrame that are set, with their values where they are always the same."""


class BoardFrames:
    """Gives each image a frame number, and writes the frames of its boards.

    Frame numbers rise by one from image to image, whatever source it comes from. The images that were lost have numbers
    too, so that a run counts them. After a restart of the receiver the numbers go on, in a new epoch.

    Parameters
    ----------
    ring
        FrameBuffer with a part for each board of an image.
    boards
        Boards that are waited for.
    epoch
        Epoch of the frames.
    last
        Epoch and frame number of the last exposure before this process; None if there is none.
    """

    def __init__(self, ring: FrameBuffer, boards: frozenset[int], *, epoch: int, last: tuple[int, int] | None) -> None:
        self._ring = ring
        self._n_boards = len(boards)
        self._epoch = epoch if last is None else max(epoch, last[0] + 1)
        self._next = FIRST_FRAME if last is None else last[1] + 1
        self._headers: NDArray[Any] = ring.headers[list(_FIELDS)]
        self._received: NDArray[np.uint64] = ring.headers["received"]

    def write(self, event: BoardEvent) -> NDArray[Any]:
        """Write the frames of an image, and return its RawMetadata, of shape (1,)."""
        frame = self._next + event.n_lost_before
        self._next = frame + 1
        packets = [(board, packet) for board, packet in enumerate(event.packets) if packet is not None]
        for board, packet in packets:
            self._write_frame(frame, board, packet)
        first = packets[0][1]
        arrivals = [packet.arrival_ns for _, packet in packets]
        n_missing = self._n_boards - len(packets)
        raw = (
            frame,
            NO_PULSE_ID,
            frame,
            first.daq_rec,
            int(ImageStatus.MISSING_MODULES if n_missing else ImageStatus.GOOD),
            0,  # the journal sets the sequence number
            first.clock,
            min(arrivals),
            max(arrivals),
            self._epoch,
            n_missing,
        )
        return np.array([raw], RAW_METADATA)

    def close(self) -> None:
        """Let go of the ring."""
        del self._headers, self._received

    def _write_frame(self, frame: int, board: int, packet: BoardPacket) -> None:
        ring = self._ring
        index = ring.index(frame, board)
        fields = _FIELDS | {
            "id": frame,
            "frame_index": frame,
            "daq_rec": packet.daq_rec,
            "timestamp": packet.clock,
            "first_arrival_ns": packet.arrival_ns,
            "last_arrival_ns": packet.arrival_ns,
            "epoch": self._epoch,
            "module_id": packet.module_id,
        }
        ring.begin(index)
        self._headers[index] = tuple(fields.values())
        self._received[index] = 1
        ring.data[index] = np.frombuffer(packet.payload, np.uint8)
        ring.end(index)
