"""Placing packets batch by batch: from datagrams to frames in the FrameBuffer. Compiled, without sockets.

A batch has two steps. First `aim_batch` predicts which units come next: the rest of the newest frame, or the frame
after it, whose slot is opened in advance. It points the rows of the batch at the memory of these units, and Linux
copies the payloads there. Then `place_batch` looks at the packets that really came. A row is *in place* if it holds
exactly the packet that was expected there. All other packets are *displaced*, because of loss, reordering or a foreign
sender. Each of them has overwritten the memory of another packet.

An example: units 4, 5 and 6 are expected, and units 4, 6 and 7 come. Unit 4 is in place. Unit 6 lies where unit 5
belongs, and unit 7 lies where unit 6 belongs. Both are copied out first, and then copied to their places.

Three rules make sure that this loses no data:

1. Rows are aimed only at units that are not received yet: those behind the highest received unit of the newest frame.
   No two rows are aimed at the same unit.
2. Before any packet is placed, all displaced payloads of the batch are copied out to scratch.
3. Then the packets are placed in the order of their arrival. A unit is written only while it is not marked as
   received, and it is marked at once.

So a marked unit holds the packet that marked it. The content of unmarked units does not matter, because they are zeroed
when the frame ends. A packet in place is still treated as displaced in two cases: if it comes after a displaced packet
of its batch, because that packet may be the same unit, or may end the frame; and if packets are in quarantine, because
this packet may show that they come from a restart. Therefore, when a row in place has its turn, its frame is still open
and lacks the unit, so that the packet fits.

All functions work on a `Port` (port.py). Keys are signed numbers; packets with a key above `MAX_KEY` are refused.
"""

from typing import TYPE_CHECKING

import numpy as np

from std_udp_recv.frame_kernels import (
    end_all,
    end_complete,
    is_complete,
    is_known,
    is_writing,
    mark_units,
    open_frame,
    slot_of,
)
from std_udp_recv.libc_kernels import compilable, memcpy
from std_udp_recv.packet_kernels import field, parse, reason_of_checks
from std_udp_recv.placement_kernels import advance_to, describe_frame
from std_udp_recv.quarantine_kernels import decide_in_pause, decide_on_quarantined, place_or_quarantine
from std_udp_recv.records import ABSENT, FITS, FOREIGN_SENDER, NO_KEY
from std_udp_recv.refusal_kernels import refuse
from std_udp_recv.sender_kernels import BELIEVED, has_believed, is_believed, standing_of

if TYPE_CHECKING:
    from std_udp_recv.port import Port


@compilable
def aim_batch(port: "Port", limit: int) -> int:
    """Point the rows of the next batch at the memory of the units that are expected next.

    Parameters
    ----------
    port
        State of the port.
    limit
        Largest number of rows to aim, at most `BATCH_ROWS`.

    Returns
    -------
    Number of rows to receive.
    """
    state, layout = port.state, port.layout
    key, unit = state.newest, state.next_unit
    if unit >= layout.n_units:
        key, unit = key + layout.key_step, 0
    if not state.has_newest or state.is_idle or not _is_ready_for(port, key):
        for index in range(limit):
            port.rows[index].target = -1
            port.rows[index].n_aimed = 0
        return limit
    start = slot_of(port, key) * layout.frame_stride
    n_rows = 0
    while unit < layout.n_units and n_rows < limit:
        row = port.rows[n_rows]
        row.target = start + unit * layout.unit_bytes
        row.aimed_unit = unit
        row.n_aimed = min(state.units_in_packet, layout.n_units - unit)
        unit += row.n_aimed
        n_rows += 1
    state.aimed_key = key
    return n_rows


@compilable
def _is_ready_for(port: "Port", key: int) -> bool:
    """Return whether a frame is open; open it in advance if that is possible."""
    if is_known(port, key):
        return is_writing(port, key)
    if key <= port.state.newest or is_writing(port, key):
        return False
    open_frame(port, key)
    return True


@compilable
def place_batch(port: "Port", n_rows: int, now_ns: int) -> None:
    """Place the datagrams in the first rows of a batch, in the order of their arrival.

    Parameters
    ----------
    port
        State of the port; `rows`, `headers` and payloads hold the datagrams as `aim_batch` has directed them.
    n_rows
        Number of datagrams that came.
    now_ns
        Time of arrival, in nanoseconds since 1970.
    """
    port.state.batch_ns = now_ns
    first = _place_as_aimed(port, n_rows, now_ns)
    aimed_number = port.state.aimed_key & port.layout.key_mask
    is_regular = port.state.n_quarantined == 0
    for index in range(first, n_rows):
        parse(port, index)
        row = port.rows[index]
        if row.reason != FITS:
            continue
        is_regular &= is_believed(port, row.sender)
        is_regular &= row.key == aimed_number and row.n_units == row.n_aimed and row.unit == row.aimed_unit
        if row.target >= 0 and not is_regular:
            n_bytes = row.n_aimed * port.layout.unit_bytes
            memcpy(port.scratch[index].ctypes.data, port.data.ctypes.data + row.target, n_bytes)
            row.target = -1
    for index in range(first, n_rows):
        port.counters.received += 1
        if port.rows[index].reason == FITS:
            place_or_quarantine(port, index, now_ns)
        elif has_believed(port) and standing_of(port, port.rows[index].sender) != BELIEVED:
            refuse(port, index, FOREIGN_SENDER)
        else:
            refuse(port, index, port.rows[index].reason)


@compilable
def _place_as_aimed(port: "Port", n_rows: int, now_ns: int) -> int:
    """Place all packets at the head of a batch that came as expected, in one step; return their number.

    They are in place in the newest frame, or in the frame that the first of them begins. No pixel has to be moved.
    """
    state = port.state
    if port.rows[0].target < 0 or state.n_quarantined:
        return 0
    slot_index = slot_of(port, state.aimed_key)
    slot = port.slots[slot_index]
    pulse_id = field(port, port.fields.pulse_id, 0) if slot.n_received_packets == 0 else slot.pulse_id
    n = 0
    while n < n_rows and _is_as_aimed(port, n, pulse_id):
        n += 1
    if n == 0:
        return 0
    port.counters.received += n
    state.n_mismatched = max(0, state.n_mismatched - n)
    state.believed_ns = max(state.believed_ns, now_ns)
    port.counters.placed += n
    key, last = state.aimed_key, port.rows[n - 1]
    if slot.n_received_packets == 0:
        state.is_idle = 0
        advance_to(port, key)
        describe_frame(port, slot, 0, key, now_ns)
    slot.n_received_packets += np.uint32(n)
    slot.last_arrival_ns = now_ns
    state.next_unit = last.aimed_unit + last.n_aimed
    mark_units(port, slot_index, port.rows[0].aimed_unit, state.next_unit)
    if is_complete(port, key):
        end_complete(port)
    return n


@compilable
def _is_as_aimed(port: "Port", index: int, pulse_id: int) -> bool:
    """Return whether a row has exactly the packet that was expected, and the packet passes all checks of `parse`."""
    layout, state, fields, row = port.layout, port.state, port.fields, port.rows[index]
    if row.sender != state.sender:
        return False
    padding = row.length - layout.header_bytes - row.n_aimed * layout.unit_bytes
    if padding < 0 or padding > layout.max_padding_bytes or padding >= layout.unit_bytes:
        return False
    if layout.is_fixed_size and row.n_aimed != state.units_in_packet:
        return False
    if np.int64(field(port, fields.key, index)) != state.aimed_key & layout.key_mask:
        return False
    if np.int64(field(port, fields.unit, index)) != row.aimed_unit + layout.first_unit:
        return False
    if field(port, fields.pulse_id, index) != pulse_id:
        return False
    if reason_of_checks(port, index) != FITS:
        return False
    return fields.identity.kind == ABSENT or (
        state.has_identity == 1 and np.int64(field(port, fields.identity, index)) == state.identity
    )


@compilable
def end_acquisition(port: "Port", is_last: bool) -> None:
    """End all frames, because no packet has come for a while, or because the service ends: `is_last`.

    Packets in quarantine may be all that has come of a restart or behind lost frames. They are placed if they are
    credible, otherwise refused. In a pause, a first frame of one packet may wait.
    """
    if is_last:
        decide_on_quarantined(port)
    else:
        decide_in_pause(port)
    end_open_frames(port)


@compilable
def end_open_frames(port: "Port") -> None:
    """End all frames, because no packet of them has come for a while; packets in quarantine are left there."""
    end_all(port)
    port.state.surplus_key = NO_KEY
    port.state.is_idle = port.state.has_newest
