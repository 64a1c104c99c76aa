"""Placing packets: from a batch of datagrams to frames in the FrameBuffer. Compiled, without sockets.

How a batch goes. `aim_batch` points the rows of the next batch at the units that should come next: the rest of the
newest frame, or the frame after it, whose slot is opened for that in advance. The kernel copies the payloads there.
`place_batch` then looks at what really came. A row is *in place* if it is the very packet that was expected there.
All others are displaced, by loss, reordering or a foreign sender, and have overwritten the area of another packet.
Nothing is lost by that, because of three rules:

1. Rows are aimed only at units that have not been received, each row at units of its own: those behind the highest
   that has come of the newest frame.
2. Before anything is placed, all displaced payloads of the batch are copied out to scratch.
3. Then the packets are taken in the order of their arrival, and a unit is written only while it is not marked as
   received, and marked at once.

So a marked unit holds the packet that marked it, and what lies in unmarked units does not matter: they are zeroed when
the frame ends. What comes behind the first packet of another frame is treated as displaced even if it is in place,
because that packet may end the frame; the same goes for what comes behind a packet of another size. So before the
turn of a row in place comes, fewer units have come than are missing, and its frame is still open.

All functions take a `Port` (placing/port.py). Keys are handled as signed numbers; those beyond are refused.
"""

from typing import TYPE_CHECKING

import numpy as np

from std_udp_recv.placing.frames.kernels import (
    end_all,
    end_complete,
    is_complete,
    is_remembered,
    is_writing,
    mark_units,
    open_frame,
    slot_of,
)
from std_udp_recv.placing.indices import (
    AIMED_KEY,
    BATCH,
    DATA_STRIDE,
    DISPLACED,
    FITS,
    FORWARD,
    FRAMES_COMPLETE,
    FRAMES_UNANNOUNCED,
    HAS_IDENTITY,
    HAS_NEWEST,
    HEADER_BYTES,
    HIGHEST,
    IDENTITY,
    IS_FIXED_SIZE,
    IS_IDLE,
    KEY,
    KEY_STEP,
    LEARNED_IDENTITY,
    LOST,
    MAX_PADDING,
    N_MISMATCHED,
    N_QUARANTINED,
    N_UNITS,
    NEWEST,
    P_COUNT,
    P_KEY,
    P_REASON,
    P_UNIT,
    PLACED,
    QUARANTINE,
    REASONS,
    RECEIVED,
    RESTARTS,
    S_LAST_ARRIVAL,
    S_N_PACKETS,
    SLOT_WORDS,
    TO_READ,
    TO_WRITE,
    UNIT,
    UNIT_BYTES,
    UNITS_IN_PACKET,
)
from std_udp_recv.placing.packets.kernels import (
    compiled,
    field,
    parse,
    reason_of_checks,
)
from std_udp_recv.placing.taking.kernels import (
    believe,
    copy,
    is_believable,
    refuse_quarantined,
    take,
)

if TYPE_CHECKING:
    from std_udp_recv.placing.port import Port

__all__ = [
    "BATCH",
    "DISPLACED",
    "FORWARD",
    "FRAMES_COMPLETE",
    "FRAMES_UNANNOUNCED",
    "LOST",
    "PLACED",
    "QUARANTINE",
    "REASONS",
    "RECEIVED",
    "RESTARTS",
    "TO_READ",
    "TO_WRITE",
    "aim_batch",
    "aim_rows",
    "end_acquisition",
    "place_batch",
]


@compiled
def aim_batch(port: "Port") -> int:
    """Point the rows of the next batch at where their payloads should go; returns how many rows to receive."""
    return aim_rows(port, BATCH)


@compiled
def aim_rows(port: "Port", limit: int) -> int:
    """As `aim_batch`, for a batch of at most so many rows."""
    state, layout = port.state, port.layout
    key, unit = state[NEWEST], state[HIGHEST]
    if unit >= layout[N_UNITS]:
        key, unit = key + layout[KEY_STEP], 0
    if not state[HAS_NEWEST] or state[IS_IDLE] or not _is_ready_for(port, key):
        port.targets[:limit] = -1
        port.aims[:limit] = 0
        return limit
    start = slot_of(port, key) * layout[DATA_STRIDE]
    n_rows = 0
    while unit < layout[N_UNITS] and n_rows < limit:
        count = min(state[UNITS_IN_PACKET], layout[N_UNITS] - unit)
        port.targets[n_rows] = start + unit * layout[UNIT_BYTES]
        port.aims[n_rows, 0] = unit
        port.aims[n_rows, 1] = count
        unit += count
        n_rows += 1
    state[AIMED_KEY] = key
    return n_rows


@compiled
def _is_ready_for(port: "Port", key: int) -> bool:
    """Whether a frame is open, or could be opened in advance."""
    if is_remembered(port, key):
        return is_writing(port, key)
    if key <= port.state[NEWEST] or is_writing(port, key):
        return False
    open_frame(port, key)
    return True


@compiled
def _displace(port: "Port", row: int) -> None:
    """Copy a payload that was received in the ring out to scratch."""
    target = port.targets[row]
    if target >= 0:
        n_bytes = port.aims[row, 1] * port.layout[UNIT_BYTES]
        copy(port.data[target : target + n_bytes], port.scratch[row])
        port.targets[row] = -1


@compiled
def place_batch(port: "Port", n_rows: int, now_ns: int) -> None:
    """Place the datagrams that lie in the first rows of a batch, in the order of their arrival.

    Parameters
    ----------
    port
        The port; `lengths`, `headers` and payloads hold the datagrams as `aim_batch` has directed them.
    n_rows
        Datagrams that came.
    now_ns
        Time of arrival, in nanoseconds since 1970.
    """
    n_taken = _take_as_aimed(port, n_rows, now_ns)
    aimed_key = port.state[AIMED_KEY]
    is_regular = True
    for row in range(n_taken, n_rows):
        parse(port, row)
        if port.parsed[row, P_REASON] != FITS:
            continue
        is_regular &= port.parsed[row, P_KEY] == aimed_key and port.parsed[row, P_COUNT] == port.aims[row, 1]
        if not is_regular or port.parsed[row, P_UNIT] != port.aims[row, 0]:
            _displace(port, row)
    for row in range(n_taken, n_rows):
        port.counters[RECEIVED] += 1
        if port.parsed[row, P_REASON] == FITS:
            take(port, row, now_ns)
        else:
            port.counters[port.parsed[row, P_REASON]] += 1


@compiled
def _take_as_aimed(port: "Port", n_rows: int, now_ns: int) -> int:
    """Take the packets at the head of a batch that came as aimed, all at one go; returns how many.

    They lie in place in the newest frame, or in one that the first of them begins: no pixel has to be moved.
    """
    state = port.state
    if port.targets[0] < 0 or state[N_QUARANTINED]:
        return 0
    n = 0
    while n < n_rows and _is_as_aimed(port, n):
        n += 1
    if n == 0:
        return 0
    port.counters[RECEIVED] += n
    state[N_MISMATCHED] = 0
    key = state[AIMED_KEY]
    base = slot_of(port, key) * port.layout[SLOT_WORDS]
    row = 0
    if port.frames_32[2 * base + S_N_PACKETS] == 0:
        parse(port, 0)
        take(port, 0, now_ns)
        row = 1
    if row < n:
        port.counters[PLACED] += n - row
        end = port.aims[n - 1, 0] + port.aims[n - 1, 1]
        mark_units(port, base, port.aims[row, 0], end)
        port.frames_32[2 * base + S_N_PACKETS] += np.uint32(n - row)
        port.frames[base + S_LAST_ARRIVAL] = now_ns
        state[HIGHEST] = end
        if is_complete(port, key):
            end_complete(port)
    return n


@compiled
def _is_as_aimed(port: "Port", row: int) -> bool:
    """Whether a row brought the very packet that was expected, and it is one that `parse` finds no fault with."""
    layout, state, count = port.layout, port.state, port.aims[row, 1]
    padding = port.lengths[row] - layout[HEADER_BYTES] - count * layout[UNIT_BYTES]
    if padding < 0 or padding > layout[MAX_PADDING] or padding >= layout[UNIT_BYTES]:
        return False
    if layout[IS_FIXED_SIZE] and count != state[UNITS_IN_PACKET]:
        return False
    if np.int64(field(port, port.fields[KEY], row)) != state[AIMED_KEY]:
        return False
    if np.int64(field(port, port.fields[UNIT], row)) != port.aims[row, 0]:
        return False
    if reason_of_checks(port, row) != FITS:
        return False
    return port.fields[IDENTITY, 3] == 0 or (
        state[HAS_IDENTITY] == 1 and np.int64(field(port, port.fields[IDENTITY], row)) == state[LEARNED_IDENTITY]
    )


@compiled
def end_acquisition(port: "Port", now_ns: int) -> None:
    """End all frames because nothing has come for a while, or because the service ends.

    What is in quarantine is a restart that broke off, unless its frames are known.
    """
    state = port.state
    is_unknown = False
    for row in range(BATCH, BATCH + state[N_QUARANTINED]):
        is_unknown |= not is_remembered(port, port.parsed[row, P_KEY])
    if is_unknown and is_believable(port):
        believe(port, now_ns)
    refuse_quarantined(port)
    end_all(port)
    state[IS_IDLE] = state[HAS_NEWEST]
