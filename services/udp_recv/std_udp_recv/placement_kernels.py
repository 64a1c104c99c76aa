"""Placing single packets: where a packet belongs, and into which frame it is placed. Compiled."""

from typing import TYPE_CHECKING, Any

import numpy as np

from std_udp_recv.frame_kernels import (
    end_complete,
    end_frames_up_to,
    has_any,
    is_complete,
    is_known,
    is_writing,
    mark_units,
    open_frame,
    slot_of,
)
from std_udp_recv.libc_kernels import compilable, memcpy
from std_udp_recv.packet_kernels import field
from std_udp_recv.records import (
    ABSENT,
    DUPLICATE,
    FITS,
    IMPLAUSIBLE,
    LATE,
    MAX_FRAMES_AHEAD,
    OTHER_EXPOSURE,
    SLOT_TAKEN,
)
from std_udp_recv.refusal_kernels import refuse
from std_udp_recv.sender_kernels import note_frame

if TYPE_CHECKING:
    from std_udp_recv.port import Port


@compilable
def refusal_of(port: "Port", index: int) -> int:
    """Return FITS for a packet of an open or new frame of this epoch, otherwise the reason for refusal."""
    state, row = port.state, port.rows[index]
    if not state.has_newest:
        return IMPLAUSIBLE
    key = row.key
    if key > state.newest + port.layout.window or (key - state.last_passed) % port.layout.key_step != 0:
        return IMPLAUSIBLE
    if is_known(port, key):
        if has_any(port, key, row.unit, row.n_units):
            return DUPLICATE
        return FITS if is_writing(port, key) else LATE
    return LATE if key <= state.last_passed else FITS


@compilable
def suggests_restart(port: "Port", index: int, reason: int) -> bool:
    """Return whether a refused packet suggests a restart: all do, except a late packet of a known frame."""
    return reason != LATE or not is_known(port, port.rows[index].key)


@compilable
def place(port: "Port", index: int, now_ns: int) -> None:
    """Place a packet that fits."""
    state, layout, row = port.state, port.layout, port.rows[index]
    key, unit, n_units = row.key, row.unit, row.n_units
    if is_known(port, key) and has_any(port, key, unit, n_units):
        refuse(port, index, DUPLICATE)
        return
    advance_to(port, key)
    if not is_known(port, key):
        if is_writing(port, key):
            refuse(port, index, SLOT_TAKEN)
            return
        open_frame(port, key)
    if _is_of_other_exposure(port, index):
        refuse(port, index, OTHER_EXPOSURE)
        return
    if state.has_identity == 0:
        state.has_identity = 1
        state.identity = np.int64(field(port, port.fields.identity, index))
    if row.target < 0:
        start = slot_of(port, key) * layout.frame_stride + unit * layout.unit_bytes
        memcpy(port.data.ctypes.data + start, port.scratch[index].ctypes.data, n_units * layout.unit_bytes)
        port.counters.displaced += 1
    port.counters.placed += 1
    state.sender = row.sender
    state.believed_ns = max(state.believed_ns, now_ns)
    slot_index = slot_of(port, key)
    slot = port.slots[slot_index]
    if slot.n_received_packets == 0:
        describe_frame(port, slot, index, key, now_ns)
    slot.n_received_packets += np.uint32(1)
    slot.last_arrival_ns = now_ns
    mark_units(port, slot_index, unit, unit + n_units)
    if key == state.newest:
        state.next_unit = max(state.next_unit, unit + n_units)
    if not layout.is_fixed_size and unit + n_units < layout.n_units:
        state.units_in_packet = n_units
    if is_complete(port, key):
        end_complete(port)


@compilable
def _is_of_other_exposure(port: "Port", index: int) -> bool:
    """Return whether a packet has another pulse id than the open frame with its number; 0 stands for no pulse id."""
    if port.fields.pulse_id.kind == ABSENT:
        return False
    slot = port.slots[slot_of(port, port.rows[index].key)]
    pulse_id = field(port, port.fields.pulse_id, index)
    return slot.n_received_packets > 0 and pulse_id != slot.pulse_id and pulse_id != 0 and slot.pulse_id != 0


@compilable
def advance_to(port: "Port", key: int) -> None:
    """Move the window to a frame, if it is newer than all others."""
    state = port.state
    if key > state.newest:
        note_frame(port)
        state.newest = key
        state.next_unit = 0
        end_frames_up_to(port, key - port.layout.window)
        end_complete(port)


@compilable
def describe_frame(port: "Port", slot: Any, index: int, key: int, now_ns: int) -> None:
    """Write the header fields of a frame's first packet, which lies in a row, into the header of its slot."""
    fields = port.fields
    slot.id = np.uint64(key) if fields.image_id.kind == ABSENT else field(port, fields.image_id, index)
    slot.pulse_id = field(port, fields.pulse_id, index)
    slot.daq_rec = field(port, fields.daq_rec, index)
    slot.timestamp = field(port, fields.timestamp, index)
    slot.exposure_length = field(port, fields.exposure_length, index)
    slot.storage_cell = field(port, fields.storage_cell, index)
    slot.first_arrival_ns = now_ns
    slot.module_id = field(port, fields.module_id, index)
    slot.pos_y = field(port, fields.row, index)
    slot.pos_x = field(port, fields.column, index)


@compilable
def may_follow(port: "Port", key: int) -> bool:
    """Return whether a frame may follow the newest one, with lost frames in between."""
    ahead = key - port.state.newest
    step = port.layout.key_step
    return port.state.has_newest == 1 and 0 < ahead <= MAX_FRAMES_AHEAD * step and ahead % step == 0
