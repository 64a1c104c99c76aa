"""The ring of events: how large it has to be for the boards of a chamber."""

from collections.abc import Collection

from std_daq.shm.ring import RingGeometry
from std_daq.tpc.boards import expected_boards
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.electronics import Board
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.frames.records import FULL_FRAME_BYTES
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.pads.plane import PadPlane


def plan_ring(config: TpcConfig, plane: PadPlane | None = None) -> RingGeometry:
    """Return the geometry of the ring.

    Parameters
    ----------
    plane
        The pad plane, if it is loaded already.

    Raises
    ------
    ConfigError
        The ring is too small for four of the largest events, or a file of the pads is wrong.
    """
    plane = plane or load_pads(config.pads)
    boards: Collection[Board] | None = expected_boards(config.boards, plane)
    channels = None if boards is None else [plane.board_channels(board).ranks >= 0 for board in boards]
    return EventBuffer.plan(
        buffer_bytes=int(config.builder.ram_buffer_gb * 1e9),
        max_traces=plane.n_ranks if channels is None else sum(int(ranked.sum()) for ranked in channels),
        frame_bytes=FULL_FRAME_BYTES * len(boards or ()) if config.builder.keep_frames else 0,
    )
