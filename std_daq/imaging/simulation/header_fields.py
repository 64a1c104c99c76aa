"""Reading and writing of a header field in many packets at once."""

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors.packet_layout import HeaderField


def read_field(field: HeaderField, raw: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Read a header field of many packets.

    Parameters
    ----------
    field
        The header field.
    raw
        Bytes of the field alone: u8, shape (n, field.width).
    """
    raw = np.ascontiguousarray(raw)
    if field.kind == "float64":
        with np.errstate(invalid="ignore"):
            return raw.view("<f8")[:, 0].astype(np.uint64)
    numbers = raw.view(f"<u{field.width}")[:, 0].astype(np.uint64)
    return (numbers >> np.uint64(field.shift)) & np.uint64(field.mask)


def write_field(field: HeaderField, packets: NDArray[np.uint8], number: int) -> None:
    """Write the same number into a header field of all packets; other bits of the same bytes stay unchanged.

    Parameters
    ----------
    field
        The header field; bits of the number that do not fit its mask are cut off.
    packets
        Packets: u8, shape (n, packet_bytes).
    number
        Number to write, not negative.
    """
    place = slice(field.offset, field.offset + field.width)
    if field.kind == "float64":
        packets[:, place] = np.frombuffer(np.float64(number).astype("<f8").tobytes(), np.uint8)
        return
    mask = (field.mask << field.shift) & (2 ** (8 * field.width) - 1)
    word = (number << field.shift) & mask
    old = np.ascontiguousarray(packets[:, place]).view(f"<u{field.width}")
    kept = old & old.dtype.type(mask ^ (2 ** (8 * field.width) - 1))
    packets[:, place] = (kept | old.dtype.type(word)).view(np.uint8)
