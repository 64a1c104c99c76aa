"""Frames in the slots of the ring: opens and ends frames, and puts them into the queue of the main thread. Compiled.

A frame is open from its first packet on. It ends when it and all frames before it are complete, when the window has
moved past it, or when no packet has come for a while. While a frame is open, the generation of its slot is odd.
`last_passed` is the highest key whose frame can no longer be open.
"""

from typing import TYPE_CHECKING

import numpy as np

from std_daq.native.atomics import begin_write, end_write, load_acquire, store_release
from std_udp_recv.libc_kernels import compilable, memset
from std_udp_recv.packet_kernels import packets_in_frame
from std_udp_recv.records import CLAIM_NS, CLAIM_SLOTS, NO_FRAME, NO_KEY

if TYPE_CHECKING:
    from std_udp_recv.port import Port

_GENERATION_BYTES = 8


@compilable
def slot_of(port: "Port", key: int) -> int:
    """Return the index of the slot for this module's frame with a key."""
    layout = port.layout
    return ((key + port.state.slot_shift) % layout.n_slots) * layout.n_modules + layout.module


@compilable
def is_known(port: "Port", key: int) -> bool:
    """Return whether the slot holds the frame with this key and the present epoch, open or ended."""
    slot = port.slots[slot_of(port, key)]
    return np.int64(slot.frame_index) == key and slot.epoch == port.state.epoch


@compilable
def is_writing(port: "Port", key: int) -> bool:
    """Return whether the slot of a frame is open, for this frame or another."""
    return port.slots[slot_of(port, key)].generation % np.uint64(2) == 1


@compilable
def has_any(port: "Port", key: int, unit: int, n_units: int) -> bool:
    """Return whether any of these units has been received."""
    slot = slot_of(port, key)
    for i in range(unit, unit + n_units):  # noqa: SIM110 - a generator would not compile
        if (port.bitmaps[slot, i >> 6] >> np.uint64(i & 63)) & np.uint64(1):
            return True
    return False


@compilable
def open_frame(port: "Port", key: int) -> None:
    """Open a frame: clear the header of its slot, and mark the slot as being written."""
    slots, index = port.slots, slot_of(port, key)
    begin_write(slots.generation, index)
    stride = slots.strides[0]
    memset(slots.ctypes.data + index * stride + _GENERATION_BYTES, np.int32(0), stride - _GENERATION_BYTES)
    slots[index].frame_index = key
    slots[index].epoch = port.state.epoch
    port.open_keys[port.state.n_open] = key
    port.state.n_open += 1


@compilable
def _end_frame(port: "Port", key: int) -> None:
    """End a frame: zero missing units, mark the slot as whole, and queue the frame; without packets, discard it."""
    state, counters = port.state, port.counters
    for i in range(state.n_open):
        if port.open_keys[i] == key:
            state.n_open -= 1
            port.open_keys[i] = port.open_keys[state.n_open]
            break
    index = slot_of(port, key)
    slot = port.slots[index]
    if slot.n_received_packets == 0:
        slot.frame_index = np.uint64(NO_FRAME)
        end_write(port.slots.generation, index)
        _count_lost(port, key)
        return
    if slot.n_received_units < port.layout.n_units:
        n_missing = max(1, packets_in_frame(port) - np.int64(slot.n_received_packets))
        _zero_missing(port, key)
        slot.n_missing_packets = n_missing
        counters.frames_incomplete += 1
        state.last_incomplete = slot.n_received_packets
        counters.lost += n_missing
    else:
        counters.frames_complete += 1
    slot.n_refused_packets = _n_refused(port, key, slot.first_arrival_ns, slot.last_arrival_ns)
    if slot.n_refused_packets > 0:
        counters.frames_refused += 1
    end_write(port.slots.generation, index)
    _announce(port, index)


@compilable
def _n_refused(port: "Port", key: int, first_ns: int, last_ns: int) -> int:
    """Return how many refused packets claim a frame of the present epoch whose packets came in this interval."""
    claim = port.claims[key % CLAIM_SLOTS]
    is_claimed = claim.key == key and claim.epoch == port.state.epoch and is_near(claim.at_ns, first_ns, last_ns)
    n = claim.n if is_claimed else 0
    return max(n, 1) if key == port.state.surplus_key else n


@compilable
def is_near(at_ns: int, first_ns: int, last_ns: int) -> bool:
    """Return whether a refused packet came near the arrivals of a frame."""
    return not (at_ns < np.int64(first_ns) - CLAIM_NS or at_ns > np.int64(last_ns) + CLAIM_NS)


@compilable
def _zero_missing(port: "Port", key: int) -> None:
    """Zero the units of a frame that were not received."""
    n_bytes = port.layout.unit_bytes
    start = port.data.ctypes.data + slot_of(port, key) * port.layout.frame_stride
    for unit in range(port.layout.n_units):
        if not has_any(port, key, unit, 1):
            memset(start + unit * n_bytes, np.int32(0), n_bytes)


@compilable
def _announce(port: "Port", index: int) -> None:
    """Put an ended frame into the queue of the main thread; if the queue is full, count the frame and go on."""
    port.state.has_ended = 1
    n_queued = port.n_queued[0]
    if n_queued - load_acquire(port.n_dequeued, 0) >= np.uint64(port.queue.shape[0]):
        port.counters.frames_unannounced += 1
        return
    slot, ended = port.slots[index], port.queue[np.int64(n_queued) % port.queue.shape[0]]
    ended.key = slot.frame_index
    ended.epoch = slot.epoch
    ended.id = slot.id
    ended.pulse_id = slot.pulse_id
    ended.daq_rec = slot.daq_rec
    ended.timestamp = slot.timestamp
    ended.first_arrival_ns = slot.first_arrival_ns
    ended.last_arrival_ns = slot.last_arrival_ns
    ended.n_missing_packets = slot.n_missing_packets
    ended.n_refused_packets = slot.n_refused_packets
    store_release(port.n_queued, 0, n_queued + np.uint64(1))


@compilable
def _count_lost(port: "Port", key: int) -> None:
    """Count the packets of a frame without packets as lost, if frames before and after it have come in this epoch."""
    if port.state.first <= key <= port.state.newest:
        port.counters.lost += packets_in_frame(port)


@compilable
def end_frames_up_to(port: "Port", last: int) -> None:
    """End all frames up to and including ``last``."""
    step = port.layout.key_step
    for key in range(port.state.last_passed + step, last + 1, step):
        if not is_known(port, key):
            _count_lost(port, key)
        elif is_writing(port, key):
            _end_frame(port, key)
    port.state.last_passed = max(port.state.last_passed, last)


@compilable
def end_all(port: "Port") -> None:
    """End all frames, including the frame that was opened in advance."""
    if port.state.has_newest:
        end_frames_up_to(port, port.state.newest)
    while port.state.n_open > 0:
        _end_frame(port, port.open_keys[0])


@compilable
def begin_epoch(port: "Port", key: int) -> None:
    """Begin an epoch with its first frame, whose slot is the one behind the newest frame's.

    So short series, which all count from the same number, use the whole ring one after the other.
    """
    state, step = port.state, port.layout.key_step
    if state.has_newest:
        shift = state.slot_shift + state.newest + step - key
        # Ports of one module have alternate slots. If a port has all slots, its frames use them in turn.
        state.slot_shift = (shift - shift % port.layout.slot_step) % port.layout.n_slots
    state.has_newest = 1
    state.newest = key
    state.first = key
    state.last_passed = key - port.layout.window
    state.next_unit = 0
    state.surplus_key = NO_KEY


@compilable
def is_complete(port: "Port", key: int) -> bool:
    """Return whether all units of a frame have been received."""
    return port.slots[slot_of(port, key)].n_received_units == port.layout.n_units


@compilable
def end_complete(port: "Port") -> None:
    """End complete frames up to the first frame that may still become complete.

    So frames are announced in ascending order.
    """
    state, step = port.state, port.layout.key_step
    for key in range(state.last_passed + step, state.newest + 1, step):
        if not is_known(port, key):
            if key >= state.first:
                return  # its first packet may still come
        elif is_writing(port, key):
            if not is_complete(port, key):
                return
            _end_frame(port, key)


@compilable
def mark_units(port: "Port", slot: int, first: int, end: int) -> None:
    """Mark the units from ``first`` to ``end`` (exclusive) as received; none of them may be marked before."""
    port.slots[slot].n_received_units += np.uint32(end - first)
    while first < end:
        bit = first & 63
        n = min(64 - bit, end - first)
        bits = (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - n)) << np.uint64(bit)
        port.bitmaps[slot, first >> 6] |= bits
        first += n
