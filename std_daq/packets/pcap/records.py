"""Records of captured packets, which pcap and pcapng files have in common."""

import mmap
from dataclasses import dataclass
from pathlib import Path

from std_daq.errors import CaptureError

# the largest snapshot length that libpcap accepts
MAX_RECORD_BYTES = 262144


@dataclass(frozen=True, slots=True)
class CapturedRecord:
    """One packet as it was captured on a link.

    Attributes
    ----------
    offset
        Offset of the record in the file, in bytes.
    time_ns
        Time of the capture, in nanoseconds since 1970.
    link_type
        Number of the link layer (``LINKTYPE_...``).
    data
        The captured bytes; fewer than on the link if the capture cut the packet short.
    """

    offset: int
    time_ns: int
    link_type: int
    data: bytes


def take(path: Path, data: mmap.mmap, offset: int, n_bytes: int, what: str) -> bytes:
    """Return `n_bytes` of a file's `data` from `offset` on.

    Raises
    ------
    CaptureError
        The file ends before this.
    """
    taken = data[offset : offset + n_bytes]
    if len(taken) < n_bytes:
        raise CaptureError(f"{path}: byte {offset}: the file ends within the {what} ({len(taken)} of {n_bytes} bytes)")
    return taken
