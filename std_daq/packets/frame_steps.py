"""Which packets of a capture are sent in one step: those of one frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESTART_FRAMES = 32
"""A frame number this far below the highest one before it is no late packet: the detector was started again."""


def frame_steps(keys: Sequence[NDArray[np.uint64]]) -> tuple[list[NDArray[np.int64]], int]:
    """Find the steps in which the packets of several ports are to be sent.

    Each port's packets keep their order: a packet that was captured late goes with the frame during which it came. A
    frame goes out in the same step on all ports, also if some of them have lost frames before.

    Parameters
    ----------
    keys
        For each port, at least one, the frame numbers of its packets, in the order of the capture.

    Returns
    -------
    tuple
        For each port the step of each packet, never decreasing, and the number of steps.
    """
    followed = [_follow(port_keys) for port_keys in keys]
    known = np.unique(np.concatenate([highest for highest, _ in followed]))
    # all frames of one epoch before those of the next
    codes = [epochs * len(known) + np.searchsorted(known, highest) for highest, epochs in followed]
    steps = np.unique(np.concatenate(codes))
    return [np.searchsorted(steps, port_codes) for port_codes in codes], len(steps)


def _follow(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    from std_daq.packets.kernels import follow_frames

    highest, epochs = np.empty(len(keys), np.uint64), np.empty(len(keys), np.int64)
    follow_frames(keys, RESTART_FRAMES, highest, epochs)
    return highest, epochs
