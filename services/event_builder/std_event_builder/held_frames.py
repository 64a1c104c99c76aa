"""Frames that wait long are held apart from the memory in which they came."""

from std_daq.tpc.frames.frame import Frame


def keep_frame(frame: Frame) -> Frame:
    """Return a frame in memory of its own, so that it does not hold a whole chunk of a stream in memory."""
    return frame._replace(data=frame.data.copy())
