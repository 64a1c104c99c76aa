"""Checksums in a merged file: of the traces of each event, and of the texts about the run."""

import h5py
import numpy as np

from std_daq.checksums import checksum_of_parts
from std_daq.tpc.merged import layout
from std_daq.tpc.merged.event import MergedEvent


def checksum_of_event(event: MergedEvent) -> int:
    """Return the checksum of the traces of an event, of its datasets one behind the other."""
    parts = (event.traces, *(event.silicon[name] for name in layout.SILICON if name in event.silicon))
    return checksum_of_parts(np.ascontiguousarray(part, "<i2") for part in parts)


def checksum_of_texts(file: h5py.File) -> int:
    """Return the checksum of the texts about the run, and of the versions of both groups."""
    texts = [file.attrs[name] for name in layout.TEXTS]
    texts += [file[group].attrs["version"] for group in (layout.EVENTS, layout.SCALERS)]
    return checksum_of_parts(text.encode(errors="surrogateescape") + b"\0" for text in texts)
