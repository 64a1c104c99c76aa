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

A frame is open from its first packet until it and those before it are full, until the window has moved past it, or
until nothing has come for a while. Its slot's generation is odd meanwhile. `PASSED` is the highest key whose frame can
no longer be open.

Packets that fit in nowhere are not believed at once: one foreign or very late packet must neither end the open frames
nor hide that the detector has started again. They wait in a quarantine. If a packet that fits in comes first, they are
counted as refused; if the quarantine fills up, they are true: frames before them were lost, or the detector has
restarted and a new epoch begins with them.

All functions take a `Port` (placing/port.py). Keys are handled as signed numbers; those beyond are refused.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from std_daq.shm.atomics import begin_write, end_write, load_acquire, store_release

if TYPE_CHECKING:
    from std_udp_recv.placing.port import Port

# Without numba's run-time (`_nrt`) nothing can be allocated here, and no references are counted. Counting them for all
# arrays of a Port in every call took ten times as long as the work itself: 1.4 us a packet instead of 0.14.
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "_nrt": False}
compiled: Any = njit(**_OPTIONS)

BATCH = 128
"""Rows of a batch: the most datagrams that are received at once."""
QUARANTINE = 16
"""Packets that fit in nowhere, after which the detector is taken to have restarted."""
FORWARD = 1024
"""How many frames may be lost in a row within an epoch; those further ahead begin another."""
LARGEST_KEY = 2**62
"""So that sums of keys do not overflow."""
NO_FRAME = 2**64 - 1
"""Frame index in the header of a slot that was opened in vain."""

# Port.layout
HEADER_BYTES, UNIT_BYTES, N_UNITS, MAX_UNITS, MAX_PADDING, IS_FIXED_SIZE = range(6)
WINDOW, KEY_STEP, MODULE, N_MODULES, N_SLOTS, SLOT_WORDS, DATA_STRIDE, N_LAYOUT = range(6, 14)

# Port.fields
KEY, UNIT, IMAGE_ID, PULSE_ID, TIMESTAMP, DAQ_REC, MODULE_ID, ROW, COLUMN, IDENTITY = range(10)

# Port.state; HIGHEST is the unit behind the last one received of the newest frame, FIRST the first key of the epoch.
HAS_NEWEST, NEWEST, HIGHEST, PASSED, FIRST, EPOCH, IS_IDLE, UNITS_IN_PACKET = range(8)
N_OPEN, N_QUARANTINED, HAS_IDENTITY, LEARNED_IDENTITY, N_MISMATCHED, HAS_ENDED, AIMED_KEY, N_STATE = range(8, 16)

# Port.counters: received = placed + the nine refusals + what is in quarantine.
RECEIVED, PLACED = range(2)
WRONG_LENGTH, FOREIGN_DETECTOR, FOREIGN_VERSION, FOREIGN_MODULE, UNIT_OUT_OF_RANGE = range(2, 7)
DUPLICATE, LATE, IMPLAUSIBLE, SLOT_TAKEN = range(7, 11)
LOST, FRAMES_COMPLETE, FRAMES_INCOMPLETE, FRAMES_UNANNOUNCED, RESTARTS, DISPLACED, N_COUNTERS = range(11, 18)
REASONS = {
    "wrong_length": WRONG_LENGTH,
    "foreign_detector": FOREIGN_DETECTOR,
    "foreign_version": FOREIGN_VERSION,
    "foreign_module": FOREIGN_MODULE,
    "unit_out_of_range": UNIT_OUT_OF_RANGE,
    "duplicate": DUPLICATE,
    "late": LATE,
    "implausible": IMPLAUSIBLE,
    "slot_taken": SLOT_TAKEN,
}
"""Why a packet is refused, and the counter of it."""

# Columns of Port.parsed and Port.aims
P_KEY, P_UNIT, P_COUNT, P_REASON = range(4)
FITS = -1

# Port.cursors, on two cache lines
TO_WRITE, TO_READ = 0, 8

# ModuleFrame: name, index in words of `size` bytes, size; checked against the struct when the Port is made.
SLOT_FIELDS = (
    ("generation", 0, 8), ("id", 1, 8), ("pulse_id", 2, 8), ("frame_index", 3, 8), ("daq_rec", 4, 8),
    ("timestamp", 5, 8), ("first_arrival_ns", 6, 8), ("last_arrival_ns", 7, 8),
    ("n_received_packets", 16, 4), ("n_missing_packets", 17, 4), ("n_received_units", 18, 4), ("epoch", 19, 4),
    ("module_id", 40, 2), ("pos_y", 41, 2), ("pos_x", 42, 2), ("received", 11, 8),
)  # fmt: skip
S_ID, S_PULSE_ID, S_FRAME_INDEX, S_DAQ_REC, S_TIMESTAMP, S_FIRST_ARRIVAL, S_LAST_ARRIVAL = range(1, 8)
S_N_PACKETS, S_N_MISSING, S_N_UNITS, S_EPOCH = range(16, 20)
S_MODULE_ID, S_POS_Y, S_POS_X = range(40, 43)
S_RECEIVED = 11


# --- reading a packet -------------------------------------------------------------------------------------------


@compiled
def _field(port: "Port", spec: np.ndarray, row: int) -> np.uint64:
    """Read a header field; 0 where the detector has none."""
    kind = spec[3]
    if kind == 0:
        return np.uint64(0)
    word = np.int64(spec[0])
    if kind == 2:
        number = port.doubles[row, word]
        return np.uint64(number) if 0 <= number < 2.0**63 else np.uint64(0)
    return (port.headers[row, word] >> spec[1]) & spec[2]


@compiled
def _parse(port: "Port", row: int) -> None:
    """Check a packet by itself; leaves key, units and the reason of refusal in `parsed`."""
    layout = port.layout
    parsed = port.parsed[row]
    payload = port.lengths[row] - layout[HEADER_BYTES]
    count = payload // layout[UNIT_BYTES]
    fixed = port.state[UNITS_IN_PACKET]
    if (
        payload <= 0
        or count < 1
        or count > layout[MAX_UNITS]
        or (layout[IS_FIXED_SIZE] and count != fixed)
        or payload - count * layout[UNIT_BYTES] > layout[MAX_PADDING]
    ):
        parsed[P_REASON] = WRONG_LENGTH
        return
    for index in range(port.checks.shape[0]):
        if _field(port, port.checks[index], row) != port.checks[index, 4]:
            parsed[P_REASON] = np.int64(port.checks[index, 5])
            return
    key = np.int64(_field(port, port.fields[KEY], row))
    unit = np.int64(_field(port, port.fields[UNIT], row))
    if unit < 0 or unit > layout[N_UNITS] - count:
        parsed[P_REASON] = UNIT_OUT_OF_RANGE
    elif not _is_own_module(port, row):
        parsed[P_REASON] = FOREIGN_MODULE
    elif key < 0 or key > LARGEST_KEY:
        parsed[P_REASON] = IMPLAUSIBLE
    else:
        parsed[P_KEY], parsed[P_UNIT], parsed[P_COUNT], parsed[P_REASON] = key, unit, count, FITS


@compiled
def _is_own_module(port: "Port", row: int) -> bool:
    """Compare the sender's identity with the learned one; learns another after a frame's worth of only mismatches."""
    if port.fields[IDENTITY, 3] == 0:
        return True
    state = port.state
    identity = np.int64(_field(port, port.fields[IDENTITY], row))
    if state[HAS_IDENTITY] == 0 or state[N_MISMATCHED] >= _packets_in_frame(port):
        state[HAS_IDENTITY] = 1
        state[LEARNED_IDENTITY] = identity
    if identity == state[LEARNED_IDENTITY]:
        state[N_MISMATCHED] = 0
        return True
    state[N_MISMATCHED] += 1
    return False


@compiled
def _packets_in_frame(port: "Port") -> int:
    size = port.state[UNITS_IN_PACKET]
    return (port.layout[N_UNITS] + size - 1) // size


# --- frames -----------------------------------------------------------------------------------------------------


@compiled
def _slot(port: "Port", key: int) -> int:
    layout = port.layout
    return (key % layout[N_SLOTS]) * layout[N_MODULES] + layout[MODULE]


@compiled
def _is_remembered(port: "Port", key: int) -> bool:
    """Whether the slot holds the frame of this key and epoch, open or ended."""
    words = port.layout[SLOT_WORDS]
    slot = _slot(port, key)
    return (
        port.frames[slot * words + S_FRAME_INDEX] == np.uint64(key)
        and port.frames_32[2 * slot * words + S_EPOCH] == port.state[EPOCH]
    )


@compiled
def _is_writing(port: "Port", key: int) -> bool:
    return port.frames[_slot(port, key) * port.layout[SLOT_WORDS]] % np.uint64(2) == 1


@compiled
def _has_any(port: "Port", key: int, unit: int, count: int) -> bool:
    """Whether any of some units has been received."""
    first = _slot(port, key) * port.layout[SLOT_WORDS] + S_RECEIVED
    for i in range(unit, unit + count):  # noqa: SIM110 - a generator would not compile
        if (port.frames[first + (i >> 6)] >> np.uint64(i & 63)) & np.uint64(1):
            return True
    return False


@compiled
def _open_frame(port: "Port", key: int) -> None:
    words = port.layout[SLOT_WORDS]
    base = _slot(port, key) * words
    begin_write(port.frames, base)
    port.frames[base + 1 : base + words] = 0
    port.frames[base + S_FRAME_INDEX] = key
    port.frames_32[2 * base + S_EPOCH] = port.state[EPOCH]
    port.open_keys[port.state[N_OPEN]] = key
    port.state[N_OPEN] += 1


@compiled
def _end_frame(port: "Port", key: int) -> None:
    """Close a frame: zero what is missing, make it whole, put it into the queue; a frame without packets vanishes."""
    state = port.state
    for i in range(state[N_OPEN]):
        if port.open_keys[i] == key:
            state[N_OPEN] -= 1
            port.open_keys[i] = port.open_keys[state[N_OPEN]]
            break
    base = _slot(port, key) * port.layout[SLOT_WORDS]
    n_received = np.int64(port.frames_32[2 * base + S_N_PACKETS])
    if n_received == 0:
        port.frames[base + S_FRAME_INDEX] = np.uint64(NO_FRAME)
        end_write(port.frames, base)
        _count_lost(port, key)
        return
    n_missing = 0
    if port.frames_32[2 * base + S_N_UNITS] < port.layout[N_UNITS]:
        n_missing = max(1, int(_packets_in_frame(port) - n_received))
        _zero_missing(port, key)
        port.counters[FRAMES_INCOMPLETE] += 1
        port.counters[LOST] += n_missing
    else:
        port.counters[FRAMES_COMPLETE] += 1
    port.frames_32[2 * base + S_N_MISSING] = n_missing
    end_write(port.frames, base)
    _announce(port, base, n_missing)


@compiled
def _zero_missing(port: "Port", key: int) -> None:
    n_bytes = port.layout[UNIT_BYTES]
    start = _slot(port, key) * port.layout[DATA_STRIDE]
    for unit in range(port.layout[N_UNITS]):
        if not _has_any(port, key, unit, 1):
            port.data[start + unit * n_bytes : start + (unit + 1) * n_bytes] = 0


@compiled
def _announce(port: "Port", base: int, n_missing: int) -> None:
    """Put an ended frame into the queue of the main thread; never waits for it."""
    port.state[HAS_ENDED] = 1
    written = port.cursors[TO_WRITE]
    if written - load_acquire(port.cursors, TO_READ) >= np.uint64(port.records.shape[0]):
        port.counters[FRAMES_UNANNOUNCED] += 1
        return
    record = port.records[np.int64(written) % port.records.shape[0]]
    frame = port.frames
    record[0] = frame[base + S_FRAME_INDEX]
    record[1] = port.frames_32[2 * base + S_EPOCH]
    record[2] = frame[base + S_ID]
    record[3] = frame[base + S_PULSE_ID]
    record[4] = frame[base + S_DAQ_REC]
    record[5] = frame[base + S_TIMESTAMP]
    record[6] = frame[base + S_FIRST_ARRIVAL]
    record[7] = frame[base + S_LAST_ARRIVAL]
    record[8] = n_missing
    store_release(port.cursors, TO_WRITE, written + np.uint64(1))


@compiled
def _count_lost(port: "Port", key: int) -> None:
    """Count a frame of which nothing came, if the detector has already begun and has gone on since."""
    if port.state[FIRST] <= key <= port.state[NEWEST]:
        port.counters[LOST] += _packets_in_frame(port)


@compiled
def _pass_frames(port: "Port", last: int) -> None:
    """End all frames up to ``last``, inclusive."""
    step = port.layout[KEY_STEP]
    for key in range(port.state[PASSED] + step, last + 1, step):
        is_remembered = _is_remembered(port, key)
        if is_remembered and _is_writing(port, key):
            _end_frame(port, key)
        elif not is_remembered:
            _count_lost(port, key)
    port.state[PASSED] = max(port.state[PASSED], last)


@compiled
def _end_all(port: "Port") -> None:
    """End all frames, also the one that was opened in advance."""
    if port.state[HAS_NEWEST]:
        _pass_frames(port, port.state[NEWEST])
    while port.state[N_OPEN] > 0:
        _end_frame(port, port.open_keys[0])


@compiled
def _begin_epoch(port: "Port", key: int) -> None:
    state = port.state
    state[HAS_NEWEST] = 1
    state[NEWEST] = key
    state[FIRST] = key
    state[PASSED] = key - port.layout[WINDOW]
    state[HIGHEST] = 0


# --- taking packets ---------------------------------------------------------------------------------------------


@compiled
def _refusal(port: "Port", row: int) -> int:
    """Return FITS for a packet of an open or new frame of this epoch, else the reason."""
    state = port.state
    key, unit, count = port.parsed[row, P_KEY], port.parsed[row, P_UNIT], port.parsed[row, P_COUNT]
    step = port.layout[KEY_STEP]
    if key > state[NEWEST] + port.layout[WINDOW] or (key - state[PASSED]) % step != 0:
        return IMPLAUSIBLE
    if _is_remembered(port, key):
        if _is_writing(port, key):
            return FITS
        return DUPLICATE if _has_any(port, key, unit, count) else LATE
    return LATE if key <= state[PASSED] else FITS


@compiled
def _tells_of_restart(port: "Port", row: int, reason: int) -> bool:
    """Whether a refused packet speaks for a restart: anything but the missing part of a frame that has ended."""
    return reason != LATE or not _is_remembered(port, port.parsed[row, P_KEY])


@compiled
def _place(port: "Port", row: int, now_ns: int) -> None:
    """Place a packet that fits."""
    state = port.state
    key, unit, count = port.parsed[row, P_KEY], port.parsed[row, P_UNIT], port.parsed[row, P_COUNT]
    if _is_remembered(port, key) and _has_any(port, key, unit, count):
        port.counters[DUPLICATE] += 1
        return
    if key > state[NEWEST]:
        state[NEWEST] = key
        state[HIGHEST] = 0
        _pass_frames(port, key - port.layout[WINDOW])
        _end_complete(port)
    if not _is_remembered(port, key):
        if _is_writing(port, key):
            port.counters[SLOT_TAKEN] += 1
            return
        _open_frame(port, key)
    if port.targets[row] < 0:
        n_bytes = count * port.layout[UNIT_BYTES]
        start = _slot(port, key) * port.layout[DATA_STRIDE] + unit * port.layout[UNIT_BYTES]
        _copy(port.scratch[row], port.data[start : start + n_bytes])
        port.counters[DISPLACED] += 1
    port.counters[PLACED] += 1
    _mark(port, row, now_ns)
    if key == state[NEWEST]:
        state[HIGHEST] = max(state[HIGHEST], unit + count)
    if not port.layout[IS_FIXED_SIZE] and unit + count < port.layout[N_UNITS]:
        state[UNITS_IN_PACKET] = count
    if _is_complete(port, key):
        _end_complete(port)


@compiled
def _is_complete(port: "Port", key: int) -> bool:
    return port.frames_32[2 * _slot(port, key) * port.layout[SLOT_WORDS] + S_N_UNITS] == port.layout[N_UNITS]


@compiled
def _end_complete(port: "Port") -> None:
    """End complete frames, but none before those that were taken earlier: frames are announced in ascending order."""
    state = port.state
    for key in range(state[PASSED] + port.layout[KEY_STEP], state[NEWEST] + 1, port.layout[KEY_STEP]):
        if not _is_remembered(port, key):
            if key >= state[FIRST]:
                return  # may still come, as a frame that is not complete may
        elif _is_writing(port, key):
            if not _is_complete(port, key):
                return
            _end_frame(port, key)


@compiled
def _mark(port: "Port", row: int, now_ns: int) -> None:
    """Note in the slot header that a packet's units have arrived."""
    base = _slot(port, port.parsed[row, P_KEY]) * port.layout[SLOT_WORDS]
    frame, frame_32 = port.frames, port.frames_32
    if frame_32[2 * base + S_N_PACKETS] == 0:
        frame[base + S_ID] = _field(port, port.fields[IMAGE_ID], row)
        frame[base + S_PULSE_ID] = _field(port, port.fields[PULSE_ID], row)
        frame[base + S_DAQ_REC] = _field(port, port.fields[DAQ_REC], row)
        frame[base + S_TIMESTAMP] = _field(port, port.fields[TIMESTAMP], row)
        frame[base + S_FIRST_ARRIVAL] = now_ns
        port.frames_16[4 * base + S_MODULE_ID] = _field(port, port.fields[MODULE_ID], row)
        port.frames_16[4 * base + S_POS_Y] = _field(port, port.fields[ROW], row)
        port.frames_16[4 * base + S_POS_X] = _field(port, port.fields[COLUMN], row)
    frame[base + S_LAST_ARRIVAL] = now_ns
    frame_32[2 * base + S_N_PACKETS] += np.uint32(1)
    frame_32[2 * base + S_N_UNITS] += np.uint32(port.parsed[row, P_COUNT])
    unit = port.parsed[row, P_UNIT]
    for i in range(unit, unit + port.parsed[row, P_COUNT]):
        frame[base + S_RECEIVED + (i >> 6)] |= np.uint64(1) << np.uint64(i & 63)


@compiled
def _take(port: "Port", row: int, now_ns: int) -> None:
    """Place a packet, refuse it, or put it into quarantine."""
    state = port.state
    if not state[HAS_NEWEST]:
        _begin_epoch(port, port.parsed[row, P_KEY])
    reason = _refusal(port, row)
    if reason == FITS:
        _refuse_quarantined(port)
        state[IS_IDLE] = 0
        _place(port, row, now_ns)
        return
    _quarantine(port, row)
    if state[IS_IDLE] and _tells_of_restart(port, row, reason):
        _believe(port, now_ns)
    elif state[N_QUARANTINED] == QUARANTINE:
        if _is_believable(port):
            _believe(port, now_ns)
        else:
            _refuse_quarantined(port)


@compiled
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy as much as both have room for; an assignment of slices would provide for overlaps, and allocate."""
    for i in range(min(source.size, target.size)):
        target[i] = source[i]


@compiled
def _displace(port: "Port", row: int) -> None:
    """Copy a payload that was received in the ring out to scratch."""
    target = port.targets[row]
    if target >= 0:
        n_bytes = port.aims[row, 1] * port.layout[UNIT_BYTES]
        _copy(port.data[target : target + n_bytes], port.scratch[row])
        port.targets[row] = -1


@compiled
def _quarantine(port: "Port", row: int) -> None:
    kept = BATCH + port.state[N_QUARANTINED]
    port.state[N_QUARANTINED] += 1
    _copy(port.headers[row], port.headers[kept])
    _copy(port.scratch[row], port.scratch[kept])
    _copy(port.parsed[row], port.parsed[kept])


@compiled
def _is_believable(port: "Port") -> bool:
    """Whether the packets in quarantine come from behind a gap, or belong together and one speaks for a restart."""
    lowest = highest = port.parsed[BATCH, P_KEY]
    for row in range(BATCH, BATCH + port.state[N_QUARANTINED]):
        lowest = min(lowest, port.parsed[row, P_KEY])
        highest = max(highest, port.parsed[row, P_KEY])
    step = port.layout[KEY_STEP]
    if _is_behind_gap(port, lowest) and _is_behind_gap(port, highest):
        return True
    if highest - lowest > port.layout[WINDOW] + QUARANTINE * step:
        return False
    for row in range(BATCH, BATCH + port.state[N_QUARANTINED]):
        if _tells_of_restart(port, row, _refusal(port, row)):
            return True
    return False


@compiled
def _refuse_quarantined(port: "Port") -> None:
    for row in range(BATCH, BATCH + port.state[N_QUARANTINED]):
        reason = _refusal(port, row)
        # It may fit by now, if the frames have moved on; but it is from before.
        port.counters[IMPLAUSIBLE if reason == FITS else reason] += 1
    port.state[N_QUARANTINED] = 0


@compiled
def _believe(port: "Port", now_ns: int) -> None:
    """Place the packets in quarantine: behind a gap, or in a new epoch."""
    state = port.state
    highest = port.parsed[BATCH, P_KEY]
    for row in range(BATCH, BATCH + state[N_QUARANTINED]):
        highest = max(highest, port.parsed[row, P_KEY])
    if not _is_behind_gap(port, highest):
        _restart(port, now_ns)
        return
    n = state[N_QUARANTINED]
    state[N_QUARANTINED] = 0
    state[IS_IDLE] = 0
    for row in range(BATCH, BATCH + n):
        reason = _refusal(port, row)
        if reason == FITS or (reason == IMPLAUSIBLE and _is_behind_gap(port, port.parsed[row, P_KEY])):
            _place(port, row, now_ns)
        else:
            port.counters[reason] += 1


@compiled
def _is_behind_gap(port: "Port", key: int) -> bool:
    """Whether a frame may follow the newest one after others were lost."""
    ahead = key - port.state[NEWEST]
    step = port.layout[KEY_STEP]
    return 0 < ahead <= FORWARD * step and ahead % step == 0


@compiled
def _restart(port: "Port", now_ns: int) -> None:
    """Begin a new epoch with the packets in quarantine."""
    _end_all(port)
    state = port.state
    n = state[N_QUARANTINED]
    state[N_QUARANTINED] = 0
    state[EPOCH] += 1
    state[IS_IDLE] = 0
    port.counters[RESTARTS] += 1
    _begin_epoch(port, port.parsed[BATCH, P_KEY])
    for row in range(BATCH, BATCH + n):
        reason = _refusal(port, row)
        if reason == FITS:
            _place(port, row, now_ns)
        else:
            port.counters[reason] += 1


# --- batches ----------------------------------------------------------------------------------------------------


@compiled
def aim_batch(port: "Port") -> int:
    """Point the rows of the next batch at where their payloads should go; returns how many rows to receive."""
    state, layout = port.state, port.layout
    key, unit = state[NEWEST], state[HIGHEST]
    if unit >= layout[N_UNITS]:
        key, unit = key + layout[KEY_STEP], 0
    if not state[HAS_NEWEST] or state[IS_IDLE] or not _is_ready_for(port, key):
        port.targets[:BATCH] = -1
        port.aims[:BATCH] = 0
        return BATCH
    start = _slot(port, key) * layout[DATA_STRIDE]
    n_rows = 0
    while unit < layout[N_UNITS] and n_rows < BATCH:
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
    if _is_remembered(port, key):
        return _is_writing(port, key)
    if key <= port.state[NEWEST] or _is_writing(port, key):
        return False
    _open_frame(port, key)
    return True


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
    aimed_key = port.state[AIMED_KEY]
    is_regular = True
    for row in range(n_rows):
        _parse(port, row)
        if port.parsed[row, P_REASON] != FITS:
            continue
        is_regular &= port.parsed[row, P_KEY] == aimed_key and port.parsed[row, P_COUNT] == port.aims[row, 1]
        if not is_regular or port.parsed[row, P_UNIT] != port.aims[row, 0]:
            _displace(port, row)
    for row in range(n_rows):
        port.counters[RECEIVED] += 1
        if port.parsed[row, P_REASON] == FITS:
            _take(port, row, now_ns)
        else:
            port.counters[port.parsed[row, P_REASON]] += 1


@compiled
def end_acquisition(port: "Port", now_ns: int) -> None:
    """End all frames because nothing has come for a while, or because the service ends.

    What is in quarantine is a restart that broke off, unless its frames are known.
    """
    state = port.state
    is_unknown = False
    for row in range(BATCH, BATCH + state[N_QUARANTINED]):
        is_unknown |= not _is_remembered(port, port.parsed[row, P_KEY])
    if is_unknown and _is_believable(port):
        _believe(port, now_ns)
    _refuse_quarantined(port)
    _end_all(port)
    state[IS_IDLE] = state[HAS_NEWEST]
