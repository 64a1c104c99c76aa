"""Assignment of the packets of a capture to steps, in which they are sent: one step per frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESTART_FRAMES = 32
"""If a frame number is at least this much below the highest one before it, the detector has restarted; if it is less
below, the packet is late."""


def frame_steps(keys: Sequence[NDArray[np.uint64]]) -> tuple[list[NDArray[np.int64]], int]:
    """Return the steps in which the packets of several ports are sent.

    The packets of a port keep their order: a packet that was captured late belongs to the step of the frame during
    which it came. A frame has the same step on all ports, even if some ports have lost earlier frames.

    Parameters
    ----------
    keys
        For each port, the frame numbers of its packets in the order of the capture. There is at least one port.

    Returns
    -------
    tuple
        For each port the step of each packet, never decreasing; and the number of steps.
    """
    followed = [_follow(port_keys) for port_keys in keys]
    known = np.unique(np.concatenate([highest for highest, _ in followed]))
    # codes sort all frames of an epoch before those of the next
    codes = [epochs * len(known) + np.searchsorted(known, highest) for highest, epochs in followed]
    steps = np.unique(np.concatenate(codes))
    return [np.searchsorted(steps, port_codes) for port_codes in codes], len(steps)


def _follow(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    from std_daq.packets.kernels import follow_frames

    highest, epochs = np.empty(len(keys), np.uint64), np.empty(len(keys), np.int64)
    follow_frames(keys, RESTART_FRAMES, highest, epochs)
    return highest, epochs
