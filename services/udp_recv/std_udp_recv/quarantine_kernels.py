"""The quarantine: packets that fit no frame wait until it is known what they are. Compiled.

A packet that fits no open or new frame is not trusted at once. A single foreign or very late packet must not end the
open frames. But many such packets mean that the detector has restarted, or that frames were lost. So these packets wait
in a quarantine until it is known what they are.

Example: a series of 21 frames is followed by another one, which also counts from 1. The packets of the new frame 1 are
duplicates, as frame 1 is known. When all its packets are in the quarantine, the frame has come a second time: the
detector has restarted, and a new epoch begins with this frame. The packets in quarantine are trusted

- when they contain a whole frame, that is, all its units; if a frame is one packet and its number is ahead, when they
  contain two frames;
- when the next frame begins after more than half of the packets of one frame have come, and the others are lost;
- when a unit comes a second time, there is no more room, or a pause begins, if they are *credible*: see
  `_is_quarantine_credible`.

They are refused if the frames go on as before: if a new frame begins that fits, or more than a few packets fit. A few
may be stragglers from the end of a series.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from std_udp_recv.frame_kernels import (
    begin_epoch,
    end_all,
    is_known,
    slot_of,
)
from std_udp_recv.libc_kernels import compilable, memcpy
from std_udp_recv.packet_kernels import field, packets_in_frame, unwrapped
from std_udp_recv.placement_kernels import may_follow, place, refusal_of, suggests_restart
from std_udp_recv.records import (
    BATCH_ROWS,
    DUPLICATE,
    FITS,
    IMPLAUSIBLE,
    LATE,
    MAX_COPY_DELAY_NS,
    MAX_PACKETS_TO_COMPARE,
    REFUSED,
)
from std_udp_recv.refusal_kernels import mark_open_frame, refuse

if TYPE_CHECKING:
    from std_udp_recv.port import Port


@compilable
def place_or_quarantine(port: "Port", index: int, now_ns: int) -> None:
    """Place a packet, refuse it, or put it into quarantine."""
    state, row = port.state, port.rows[index]
    row.key = unwrapped(port, row.key)
    if not state.has_newest:
        begin_epoch(port, row.key)
    reason = refusal_of(port, index)
    if state.n_quarantined > 0 and _decides(port, index, reason):
        row.key = unwrapped(port, row.key & port.layout.key_mask)
        reason = refusal_of(port, index)
    if reason == FITS and not (state.n_quarantined > 0 and _belongs_to_quarantined(port, index)):
        state.is_idle = 0
        place(port, index, now_ns)
    elif reason == DUPLICATE and _is_copy(port, index, now_ns):
        refuse(port, index, DUPLICATE)
    else:
        _quarantine(port, index, now_ns)
        if _is_confirmed(port):
            _trust_quarantined(port)
        elif state.n_quarantined == port.layout.max_quarantined:
            decide_on_quarantined(port)


@compilable
def _decides(port: "Port", index: int, reason: int) -> bool:
    """Trust or refuse the packets in quarantine if this packet tells what they are; return whether it does."""
    state, key = port.state, port.rows[index].key
    if reason != FITS:
        if not _is_in_quarantine(port, index):
            return False
        decide_on_quarantined(port)
        return True
    if key <= state.newest:
        if not _belongs_to_quarantined(port, index):
            state.n_fitting += 1
            if state.n_fitting > _max_stragglers(port):
                _refuse_quarantined(port)
        return False
    if _is_frame_repeated(port):
        _trust_quarantined(port)
        _refuse_quarantined(port)
        return True
    _refuse_quarantined(port)
    return False


@compilable
def decide_on_quarantined(port: "Port") -> None:
    """Trust or refuse the packets in quarantine."""
    if _is_quarantine_credible(port):
        _trust_quarantined(port)
    _refuse_quarantined(port)


@compilable
def _quarantine(port: "Port", index: int, now_ns: int) -> None:
    """Copy a packet into the next row of the quarantine."""
    state = port.state
    kept = BATCH_ROWS + state.n_quarantined
    if state.n_quarantined == 0:
        state.n_fitting = 0
    state.n_quarantined += 1
    state.n_doubtful += 1
    memcpy(port.headers[kept].ctypes.data, port.headers[index].ctypes.data, port.headers.strides[0])
    memcpy(port.scratch[kept].ctypes.data, port.scratch[index].ctypes.data, port.scratch.shape[1])
    row, copy = port.rows[index], port.rows[kept]
    copy.key, copy.unit, copy.n_units, copy.arrival_ns = row.key, row.unit, row.n_units, now_ns
    mark_open_frame(port, kept)


@compilable
def _max_stragglers(port: "Port") -> int:
    """Return how many packets may fit although those in quarantine are right."""
    return max(1, packets_in_frame(port) // 8)


@compilable
def _n_quarantined_of(port: "Port", key: int) -> tuple[int, int]:
    """Return how many packets and how many units of a frame are in quarantine, as far as they may not be late."""
    n_packets = n_units = 0
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        if port.rows[index].key == key:
            n_packets += 1
            n_units += port.rows[index].n_units
    return n_packets, n_units


@compilable
def _is_in_quarantine(port: "Port", index: int) -> bool:
    """Return whether the quarantine has a unit of a packet already."""
    row = port.rows[index]
    for kept in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        other = port.rows[kept]
        if other.key == row.key and other.unit < row.unit + row.n_units and row.unit < other.unit + other.n_units:
            return True
    return False


@compilable
def _is_copy(port: "Port", index: int, now_ns: int) -> bool:
    """Return whether the network has doubled a packet of a frame that has so few packets that two make a frame.

    Its time stamp is the same, and it comes soon. A capture that is replayed again has the same time stamps, too.
    """
    slot = port.slots[slot_of(port, port.rows[index].key)]
    timestamp = field(port, port.fields.timestamp, index)
    if packets_in_frame(port) > MAX_PACKETS_TO_COMPARE or timestamp == 0 or timestamp != slot.timestamp:
        return False
    return bool(now_ns - np.int64(slot.last_arrival_ns) <= MAX_COPY_DELAY_NS)


@compilable
def _belongs_to_quarantined(port: "Port", index: int) -> bool:
    """Return whether a packet that fits an open frame belongs to the same frame in quarantine, which has come again.

    The header fields tell, if the detector fills them. Otherwise the quarantine has more than half of the frame.
    """
    key = port.rows[index].key
    last = BATCH_ROWS + port.state.n_quarantined - 1
    if port.rows[last].key != key or not is_known(port, key):
        return False
    slot = port.slots[slot_of(port, key)]
    timestamp, pulse_id = field(port, port.fields.timestamp, index), field(port, port.fields.pulse_id, index)
    is_of_slot = timestamp == slot.timestamp and pulse_id == slot.pulse_id
    is_of_quarantine = timestamp == field(port, port.fields.timestamp, last) and pulse_id == field(
        port, port.fields.pulse_id, last
    )
    if is_of_slot != is_of_quarantine:
        return is_of_quarantine
    return 2 * _n_quarantined_of(port, key)[0] > packets_in_frame(port)


@compilable
def _is_confirmed(port: "Port") -> bool:
    """Return whether the last packet in quarantine completes a frame there, or begins one after most of another."""
    last = BATCH_ROWS + port.state.n_quarantined - 1
    key, n_in_frame = port.rows[last].key, packets_in_frame(port)
    if _n_suggesting(port, key) == 0:
        return False
    n_packets, n_units = _n_quarantined_of(port, key)
    if n_units >= port.layout.n_units and (n_packets > 1 or key <= port.state.newest):
        return 2 * _n_suggesting(port, key) >= n_packets
    for index in range(BATCH_ROWS, last):
        other = port.rows[index].key
        if other < key and _is_near(port, other, key) and 2 * _n_suggesting(port, other) > n_in_frame:
            return True
    return False


@compilable
def _n_suggesting(port: "Port", key: int) -> int:
    """Return how many packets of a frame in quarantine suggest a restart or lost frames."""
    n = 0
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        n += port.rows[index].key == key and suggests_restart(port, index, refusal_of(port, index))
    return n


@compilable
def _is_frame_repeated(port: "Port") -> bool:
    """Return whether the quarantine has more than half of the packets of a frame that is not ahead."""
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        key = port.rows[index].key
        if key <= port.state.newest and 2 * _n_suggesting(port, key) > packets_in_frame(port):
            return True
    return False


@compilable
def _is_near(port: "Port", key: int, other: int) -> bool:
    """Return whether two frames in quarantine may belong to the same series."""
    layout = port.layout
    return abs(key - other) <= layout.window + layout.max_quarantined * layout.key_step


@compilable
def _is_quarantine_credible(port: "Port") -> bool:
    """Return whether the packets in quarantine tell of lost frames or of a restart.

    They do if there are half of the packets of a frame, or if there are packets of two frames whose numbers are close
    or follow the newest frame.
    """
    end = BATCH_ROWS + port.state.n_quarantined
    for index in range(BATCH_ROWS, end):
        key = port.rows[index].key
        n = _n_suggesting(port, key)
        if n == 0:
            continue
        if 2 * n >= packets_in_frame(port) and (n > 1 or key <= port.state.newest):
            return True
        for other in range(index + 1, end):
            later = port.rows[other].key
            follows = may_follow(port, key) and may_follow(port, later)
            if later > key and (follows or _is_near(port, key, later)) and _n_suggesting(port, later) > 0:
                return True
    return False


@compilable
def _refuse_quarantined(port: "Port") -> None:
    """Count the packets in quarantine as refused."""
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        reason = refusal_of(port, index)
        # Newer frames may have begun meanwhile, so that the packet would fit now. But it was sent before them.
        refuse(port, index, IMPLAUSIBLE if reason == FITS else reason)
    port.state.n_quarantined = 0


@compilable
def _trust_quarantined(port: "Port") -> None:
    """Place the packets in quarantine, either after lost frames or in a new epoch.

    The frame with most packets tells which. Frames whose numbers have nothing to do with it are refused.
    """
    state, rows, window = port.state, port.rows, port.layout.window
    end = BATCH_ROWS + state.n_quarantined
    key = _key_of_most(port)
    last = end - 1
    while rows[last].key != key:
        last -= 1
    is_restart = not may_follow(port, key)
    if is_restart:
        key -= _begin_epoch_in_quarantine(port, key)
    state.n_quarantined = 0
    state.is_idle = 0
    for index in range(BATCH_ROWS, end):
        other = rows[index].key
        if other == REFUSED:
            continue
        reason = refusal_of(port, index)
        if index < last and other > key + window:
            reason = IMPLAUSIBLE  # a stray packet from far ahead, as packets of the trusted frame came after it
        elif reason == IMPLAUSIBLE and may_follow(port, other) and (not is_restart or _is_near(port, other, key)):
            reason = FITS
        if reason == FITS:
            place(port, index, rows[index].arrival_ns)
        else:
            refuse(port, index, reason)


@compilable
def _key_of_most(port: "Port") -> Any:
    """Return the number of the frame with most packets in quarantine."""
    rows = port.rows
    best, n_best = BATCH_ROWS, 0
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        n = _n_suggesting(port, rows[index].key)
        if n > n_best:
            best, n_best = index, n
    return rows[best].key


@compilable
def _begin_epoch_in_quarantine(port: "Port", key: int) -> Any:
    """End all frames, and begin an epoch with the lowest frame in quarantine that is near the frame with a key.

    Returns
    -------
    How much lower the keys in quarantine are now: frame numbers that had begun again with 0 count from there.
    """
    rows, state = port.rows, port.state
    end = BATCH_ROWS + state.n_quarantined
    lowest = key
    for index in range(BATCH_ROWS, end):
        other = rows[index].key
        if _is_near(port, key, other) and suggests_restart(port, index, refusal_of(port, index)):
            lowest = min(lowest, other)
    first = BATCH_ROWS
    while rows[first].key != lowest:
        # A late packet of a known frame that came before the restart does not belong to the new epoch.
        if not suggests_restart(port, first, refusal_of(port, first)):
            refuse(port, first, LATE)
            rows[first].key = REFUSED
        first += 1
    end_all(port)
    state.epoch += 1
    port.counters.restarts += 1
    turn = 0
    if port.layout.key_span > 0 and lowest <= state.newest:
        turn = lowest - lowest % port.layout.key_span
        for index in range(BATCH_ROWS, end):
            if rows[index].key != REFUSED:
                rows[index].key -= turn
    begin_epoch(port, lowest - turn)
    return turn
