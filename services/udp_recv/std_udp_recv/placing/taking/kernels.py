"""Taking packets, one after the other: each is placed, refused, or put into quarantine. Compiled.

Packets that fit in nowhere are not believed at once: one foreign or very late packet must neither end the open frames
nor hide that the detector has started again. They wait in a quarantine. If a packet that fits in comes first, they are
counted as refused; if the quarantine fills up, they are true: frames before them were lost, or the detector has
restarted and a new epoch begins with them.
"""

from typing import TYPE_CHECKING

import numpy as np

from std_udp_recv.placing.frames.kernels import (
    begin_epoch,
    end_all,
    end_complete,
    has_any,
    is_complete,
    is_remembered,
    is_writing,
    mark_units,
    open_frame,
    pass_frames,
    slot_of,
)
from std_udp_recv.placing.indices import (
    BATCH,
    COLUMN,
    DAQ_REC,
    DATA_STRIDE,
    DISPLACED,
    DUPLICATE,
    EPOCH,
    FITS,
    FORWARD,
    HAS_NEWEST,
    HIGHEST,
    IMAGE_ID,
    IMPLAUSIBLE,
    IS_FIXED_SIZE,
    IS_IDLE,
    KEY_STEP,
    LATE,
    MODULE_ID,
    N_QUARANTINED,
    N_UNITS,
    NEWEST,
    P_COUNT,
    P_KEY,
    P_UNIT,
    PASSED,
    PLACED,
    PULSE_ID,
    QUARANTINE,
    RESTARTS,
    ROW,
    S_DAQ_REC,
    S_FIRST_ARRIVAL,
    S_ID,
    S_LAST_ARRIVAL,
    S_MODULE_ID,
    S_N_PACKETS,
    S_POS_X,
    S_POS_Y,
    S_PULSE_ID,
    S_TIMESTAMP,
    SLOT_TAKEN,
    SLOT_WORDS,
    TIMESTAMP,
    UNIT_BYTES,
    UNITS_IN_PACKET,
    WINDOW,
)
from std_udp_recv.placing.packets.kernels import (
    compiled,
    field,
)

if TYPE_CHECKING:
    from std_udp_recv.placing.port import Port


@compiled
def _refusal(port: "Port", row: int) -> int:
    """Return FITS for a packet of an open or new frame of this epoch, else the reason."""
    state = port.state
    key, unit, count = port.parsed[row, P_KEY], port.parsed[row, P_UNIT], port.parsed[row, P_COUNT]
    step = port.layout[KEY_STEP]
    if key > state[NEWEST] + port.layout[WINDOW] or (key - state[PASSED]) % step != 0:
        return IMPLAUSIBLE
    if is_remembered(port, key):
        if is_writing(port, key):
            return FITS
        return DUPLICATE if has_any(port, key, unit, count) else LATE
    return LATE if key <= state[PASSED] else FITS


@compiled
def _tells_of_restart(port: "Port", row: int, reason: int) -> bool:
    """Whether a refused packet speaks for a restart: anything but the missing part of a frame that has ended."""
    return reason != LATE or not is_remembered(port, port.parsed[row, P_KEY])


@compiled
def _place(port: "Port", row: int, now_ns: int) -> None:
    """Place a packet that fits."""
    state = port.state
    key, unit, count = port.parsed[row, P_KEY], port.parsed[row, P_UNIT], port.parsed[row, P_COUNT]
    if is_remembered(port, key) and has_any(port, key, unit, count):
        port.counters[DUPLICATE] += 1
        return
    if key > state[NEWEST]:
        state[NEWEST] = key
        state[HIGHEST] = 0
        pass_frames(port, key - port.layout[WINDOW])
        end_complete(port)
    if not is_remembered(port, key):
        if is_writing(port, key):
            port.counters[SLOT_TAKEN] += 1
            return
        open_frame(port, key)
    if port.targets[row] < 0:
        n_bytes = count * port.layout[UNIT_BYTES]
        start = slot_of(port, key) * port.layout[DATA_STRIDE] + unit * port.layout[UNIT_BYTES]
        copy(port.scratch[row], port.data[start : start + n_bytes])
        port.counters[DISPLACED] += 1
    port.counters[PLACED] += 1
    _mark(port, row, now_ns)
    if key == state[NEWEST]:
        state[HIGHEST] = max(state[HIGHEST], unit + count)
    if not port.layout[IS_FIXED_SIZE] and unit + count < port.layout[N_UNITS]:
        state[UNITS_IN_PACKET] = count
    if is_complete(port, key):
        end_complete(port)


@compiled
def _mark(port: "Port", row: int, now_ns: int) -> None:
    """Note in the slot header that a packet's units have arrived."""
    base = slot_of(port, port.parsed[row, P_KEY]) * port.layout[SLOT_WORDS]
    frame, frame_32 = port.frames, port.frames_32
    if frame_32[2 * base + S_N_PACKETS] == 0:
        frame[base + S_ID] = field(port, port.fields[IMAGE_ID], row)
        frame[base + S_PULSE_ID] = field(port, port.fields[PULSE_ID], row)
        frame[base + S_DAQ_REC] = field(port, port.fields[DAQ_REC], row)
        frame[base + S_TIMESTAMP] = field(port, port.fields[TIMESTAMP], row)
        frame[base + S_FIRST_ARRIVAL] = now_ns
        port.frames_16[4 * base + S_MODULE_ID] = field(port, port.fields[MODULE_ID], row)
        port.frames_16[4 * base + S_POS_Y] = field(port, port.fields[ROW], row)
        port.frames_16[4 * base + S_POS_X] = field(port, port.fields[COLUMN], row)
    frame[base + S_LAST_ARRIVAL] = now_ns
    frame_32[2 * base + S_N_PACKETS] += np.uint32(1)
    unit = port.parsed[row, P_UNIT]
    mark_units(port, base, unit, unit + port.parsed[row, P_COUNT])


@compiled
def take(port: "Port", row: int, now_ns: int) -> None:
    """Place a packet, refuse it, or put it into quarantine."""
    state = port.state
    if not state[HAS_NEWEST]:
        begin_epoch(port, port.parsed[row, P_KEY])
    reason = _refusal(port, row)
    if reason == FITS:
        refuse_quarantined(port)
        state[IS_IDLE] = 0
        _place(port, row, now_ns)
        return
    _quarantine(port, row)
    if state[IS_IDLE] and _tells_of_restart(port, row, reason):
        believe(port, now_ns)
    elif state[N_QUARANTINED] == QUARANTINE:
        if is_believable(port):
            believe(port, now_ns)
        else:
            refuse_quarantined(port)


@compiled
def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy as much as both have room for; an assignment of slices would provide for overlaps, and allocate."""
    for i in range(min(source.size, target.size)):
        target[i] = source[i]


@compiled
def _quarantine(port: "Port", row: int) -> None:
    kept = BATCH + port.state[N_QUARANTINED]
    port.state[N_QUARANTINED] += 1
    copy(port.headers[row], port.headers[kept])
    copy(port.scratch[row], port.scratch[kept])
    copy(port.parsed[row], port.parsed[kept])


@compiled
def is_believable(port: "Port") -> bool:
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
def refuse_quarantined(port: "Port") -> None:
    """Count the packets in quarantine as refused."""
    for row in range(BATCH, BATCH + port.state[N_QUARANTINED]):
        reason = _refusal(port, row)
        # It may fit by now, if the frames have moved on; but it is from before.
        port.counters[IMPLAUSIBLE if reason == FITS else reason] += 1
    port.state[N_QUARANTINED] = 0


@compiled
def believe(port: "Port", now_ns: int) -> None:
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
    end_all(port)
    state = port.state
    n = state[N_QUARANTINED]
    state[N_QUARANTINED] = 0
    state[EPOCH] += 1
    state[IS_IDLE] = 0
    port.counters[RESTARTS] += 1
    begin_epoch(port, port.parsed[BATCH, P_KEY])
    for row in range(BATCH, BATCH + n):
        reason = _refusal(port, row)
        if reason == FITS:
            _place(port, row, now_ns)
        else:
            port.counters[reason] += 1
