"""Refusing packets: counts each by its reason, and marks the frame that it claims to belong to. Compiled.

A frame can be complete although packets that claim to belong to it were refused. An example: the detector sends 32 bits
a pixel, and 16 are configured. The first half of the packets fills the frame, and the second half is refused, because a
frame has no such packets. The pixels are garbage. So a refused packet marks its frame, if the header is believable: it
passes the checks of the detector, and its frame is open, has just ended, or comes within `CLAIM_NS`.

========================================  =========================================================================
reason                                    mark
========================================  =========================================================================
wrong_length, foreign_module,             the frame that the header names
unit_out_of_range, other_exposure
unit_out_of_range, after the frame ended  also the next frame of the port, because a reader may have used this one
duplicate                                 the frame, if the pixels differ from those that came first
late, implausible, slot_taken             none: the frame lacks this packet, and says so
foreign_detector, foreign_version,        none: the packet is not this detector's
foreign_sender
========================================  =========================================================================
"""

from typing import TYPE_CHECKING

import numpy as np

from std_udp_recv.frame_kernels import has_any, is_known, is_near, is_writing, slot_of
from std_udp_recv.libc_kernels import compilable, memcmp
from std_udp_recv.packet_kernels import field, reason_of_checks, unwrapped
from std_udp_recv.records import (
    CLAIM_NS,
    CLAIM_SLOTS,
    DUPLICATE,
    FITS,
    FOREIGN_MODULE,
    FOREIGN_SENDER,
    LENGTHS,
    MAX_KEY,
    OTHER_EXPOSURE,
    UNIT_OUT_OF_RANGE,
    WRONG_LENGTH,
)
from std_udp_recv.sender_kernels import note_stranger

if TYPE_CHECKING:
    from std_udp_recv.port import Port


@compilable
def refuse(port: "Port", index: int, reason: int) -> None:
    """Count a packet as refused, and mark the frame that it claims."""
    port.counters.rejected[reason] += 1
    if reason == WRONG_LENGTH:
        _count_length(port, port.rows[index].length)
    elif reason == FOREIGN_SENDER:
        note_stranger(port, port.rows[index].sender)
        return
    elif reason == UNIT_OUT_OF_RANGE:
        port.state.highest_unit = max(port.state.highest_unit, port.rows[index].unit)
    if not port.rows[index].is_claimed and _is_believable(port, index, reason):
        _claim(port, unwrapped(port, np.int64(field(port, port.fields.key, index))), reason)


@compilable
def mark_open_frame(port: "Port", index: int) -> None:
    """Mark the open frame of a duplicate in quarantine, if its pixels differ: the frame may end before the quarantine.

    If the duplicate comes from a restart, the frame lacks packets, so that it is not good in any case.
    """
    row = port.rows[index]
    row.is_claimed = is_known(port, row.key) and is_writing(port, row.key) and _has_other_pixels(port, index)
    if row.is_claimed:
        _claim(port, row.key, DUPLICATE)


@compilable
def _count_length(port: "Port", n_bytes: int) -> None:
    """Count a packet of a length that is refused; the first few lengths are counted one by one."""
    for i in range(LENGTHS):
        length = port.lengths[i]
        if length.n == 0 or length.n_bytes == n_bytes:
            length.n_bytes = n_bytes
            length.n += 1
            return


@compilable
def _is_believable(port: "Port", index: int, reason: int) -> bool:
    """Return whether a refused packet belongs to the frame that its header names."""
    if reason == WRONG_LENGTH:
        if port.rows[index].length < port.layout.header_bytes:
            return False
        failed = reason_of_checks(port, index)
        return failed in (FITS, FOREIGN_MODULE)
    if reason == DUPLICATE:
        return _has_other_pixels(port, index)
    return reason in (FOREIGN_MODULE, UNIT_OUT_OF_RANGE, OTHER_EXPOSURE)


@compilable
def _has_other_pixels(port: "Port", index: int) -> bool:
    """Return whether a duplicate, whose payload lies in scratch, differs from the units that came first."""
    layout, row = port.layout, port.rows[index]
    frame = port.data.ctypes.data + slot_of(port, row.key) * layout.frame_stride
    payload = port.scratch[index].ctypes.data
    for i in range(row.n_units):
        stored, came = frame + (row.unit + i) * layout.unit_bytes, payload + i * layout.unit_bytes
        if has_any(port, row.key, row.unit + i, 1) and memcmp(stored, came, layout.unit_bytes) != 0:
            return True
    return False


@compilable
def _claim(port: "Port", key: int, reason: int) -> None:
    """Remember a refused packet for the frame that it claims; mark the frame at once if it has ended already."""
    if key < 0 or key > MAX_KEY:
        return
    state = port.state
    claim = port.claims[key % CLAIM_SLOTS]
    if claim.key != key or claim.epoch != state.epoch or state.batch_ns - claim.at_ns > CLAIM_NS:
        claim.n = 0
    claim.epoch = state.epoch
    claim.at_ns = state.batch_ns
    claim.n += 1
    claim.key = key
    slot = port.slots[slot_of(port, key)]
    has_ended = is_known(port, key) and not is_writing(port, key)
    if has_ended and is_near(claim.at_ns, slot.first_arrival_ns, slot.last_arrival_ns):
        if slot.n_refused_packets == 0:
            port.counters.frames_refused += 1
        slot.n_refused_packets = claim.n
        if reason == UNIT_OUT_OF_RANGE:
            state.surplus_key = key + port.layout.key_step
