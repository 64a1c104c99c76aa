"""Reads a merged file with attpc_spyral's own reader; runs in the environment of attpc_spyral.

``python spyral_reader.py FILE OUTPUT``: the traces of each event that the reader finds, ``event_<n>`` in an npz file.
"""

import sys
from pathlib import Path

import numpy as np
from spyral.trace.trace_reader import create_reader

reader = create_reader(Path(sys.argv[1]), 1)
if reader is None:
    sys.exit("attpc_spyral does not know this file")
events = {}
for number in reader.event_range():
    traces = reader.read_raw_get_event(number)
    if traces is not None:
        events[f"event_{number}"] = np.asarray(traces)
reader.read_scalers()
np.savez(sys.argv[2], **events)
