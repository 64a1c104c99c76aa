"""Compiles, before a socket is opened, what the first frames need."""

import numpy as np

from std_daq.tpc.electronics import N_AGETS, N_CHANNELS, N_TIME_BUCKETS
from std_daq.tpc.frames.encode import EventHeader, encode_full, encode_message, encode_partial
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.splitter import FrameSplitter
from std_daq.tpc.pads.plane import PadPlane


def compile_kernels() -> None:
    """Send one small frame of each readout through all kernels."""
    header = EventHeader(event_id=0, event_time=0, board=(0, 0))
    samples = np.zeros((N_AGETS, N_CHANNELS, N_TIME_BUCKETS), np.int16)
    messages = b"".join(encode_message(encode(header, samples)) for encode in (encode_partial, encode_full))
    splitter = FrameSplitter(len(messages))
    splitter.memory()[: len(messages)] = messages
    splitter.received(len(messages))
    decoder = EventDecoder(PadPlane())
    for frame in splitter.frames():
        decoder.decode([frame])
