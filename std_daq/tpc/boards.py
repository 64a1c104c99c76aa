"""Which boards make an event complete."""

from collections.abc import Sequence

from std_daq.tpc.electronics import Board
from std_daq.tpc.pads.plane import PadPlane


def expected_boards(boards: Sequence[Board] | str, plane: PadPlane) -> frozenset[Board] | None:
    """Return the boards of an event; None: those that topology frames announce.

    Parameters
    ----------
    boards
        ``boards`` of the configuration: a list, ``"map"`` or ``"topology"``.
    """
    if boards == "topology":
        return None
    return frozenset(plane.boards if boards == "map" else (tuple(board) for board in boards))  # type: ignore[misc]
