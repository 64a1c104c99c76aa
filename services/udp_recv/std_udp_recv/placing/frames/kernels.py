"""Frames in the slots of the ring: how they are opened, ended and put into the queue of the main thread. Compiled.

A frame is open from its first packet until it and those before it are full, until the window has moved past it, or
until nothing has come for a while. Its slot's generation is odd meanwhile. `PASSED` is the highest key whose frame can
no longer be open.
"""

from typing import TYPE_CHECKING

import numpy as np

from std_daq.native.atomics import begin_write, end_write, load_acquire, store_release
from std_udp_recv.placing.indices import (
    DATA_STRIDE,
    EPOCH,
    FIRST,
    FRAMES_COMPLETE,
    FRAMES_INCOMPLETE,
    FRAMES_UNANNOUNCED,
    HAS_ENDED,
    HAS_NEWEST,
    HIGHEST,
    KEY_STEP,
    LOST,
    MODULE,
    N_MODULES,
    N_OPEN,
    N_SLOTS,
    N_UNITS,
    NEWEST,
    NO_FRAME,
    PASSED,
    S_DAQ_REC,
    S_EPOCH,
    S_FIRST_ARRIVAL,
    S_FRAME_INDEX,
    S_ID,
    S_LAST_ARRIVAL,
    S_N_MISSING,
    S_N_PACKETS,
    S_N_UNITS,
    S_PULSE_ID,
    S_RECEIVED,
    S_TIMESTAMP,
    SLOT_WORDS,
    TO_READ,
    TO_WRITE,
    UNIT_BYTES,
    WINDOW,
)
from std_udp_recv.placing.packets.kernels import compiled, packets_in_frame

if TYPE_CHECKING:
    from std_udp_recv.placing.port import Port


@compiled
def slot_of(port: "Port", key: int) -> int:
    """Return the slot of this module's frame."""
    layout = port.layout
    return (key % layout[N_SLOTS]) * layout[N_MODULES] + layout[MODULE]


@compiled
def is_remembered(port: "Port", key: int) -> bool:
    """Whether the slot holds the frame of this key and epoch, open or ended."""
    words = port.layout[SLOT_WORDS]
    slot = slot_of(port, key)
    return (
        port.frames[slot * words + S_FRAME_INDEX] == np.uint64(key)
        and port.frames_32[2 * slot * words + S_EPOCH] == port.state[EPOCH]
    )


@compiled
def is_writing(port: "Port", key: int) -> bool:
    """Whether the slot of a frame is open, for this or another frame."""
    return port.frames[slot_of(port, key) * port.layout[SLOT_WORDS]] % np.uint64(2) == 1


@compiled
def has_any(port: "Port", key: int, unit: int, count: int) -> bool:
    """Whether any of some units has been received."""
    first = slot_of(port, key) * port.layout[SLOT_WORDS] + S_RECEIVED
    for i in range(unit, unit + count):  # noqa: SIM110 - a generator would not compile
        if (port.frames[first + (i >> 6)] >> np.uint64(i & 63)) & np.uint64(1):
            return True
    return False


@compiled
def open_frame(port: "Port", key: int) -> None:
    """Begin to write a frame: its slot is empty."""
    words = port.layout[SLOT_WORDS]
    base = slot_of(port, key) * words
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
    base = slot_of(port, key) * port.layout[SLOT_WORDS]
    n_received = np.int64(port.frames_32[2 * base + S_N_PACKETS])
    if n_received == 0:
        port.frames[base + S_FRAME_INDEX] = np.uint64(NO_FRAME)
        end_write(port.frames, base)
        _count_lost(port, key)
        return
    n_missing = 0
    if port.frames_32[2 * base + S_N_UNITS] < port.layout[N_UNITS]:
        n_missing = max(1, int(packets_in_frame(port) - n_received))
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
    start = slot_of(port, key) * port.layout[DATA_STRIDE]
    for unit in range(port.layout[N_UNITS]):
        if not has_any(port, key, unit, 1):
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
        port.counters[LOST] += packets_in_frame(port)


@compiled
def pass_frames(port: "Port", last: int) -> None:
    """End all frames up to ``last``, inclusive."""
    step = port.layout[KEY_STEP]
    for key in range(port.state[PASSED] + step, last + 1, step):
        is_known = is_remembered(port, key)
        if is_known and is_writing(port, key):
            _end_frame(port, key)
        elif not is_known:
            _count_lost(port, key)
    port.state[PASSED] = max(port.state[PASSED], last)


@compiled
def end_all(port: "Port") -> None:
    """End all frames, also the one that was opened in advance."""
    if port.state[HAS_NEWEST]:
        pass_frames(port, port.state[NEWEST])
    while port.state[N_OPEN] > 0:
        _end_frame(port, port.open_keys[0])


@compiled
def begin_epoch(port: "Port", key: int) -> None:
    """Begin with a frame that nothing came before."""
    state = port.state
    state[HAS_NEWEST] = 1
    state[NEWEST] = key
    state[FIRST] = key
    state[PASSED] = key - port.layout[WINDOW]
    state[HIGHEST] = 0


@compiled
def is_complete(port: "Port", key: int) -> bool:
    """Whether all units of a frame have been received."""
    return port.frames_32[2 * slot_of(port, key) * port.layout[SLOT_WORDS] + S_N_UNITS] == port.layout[N_UNITS]


@compiled
def end_complete(port: "Port") -> None:
    """End complete frames, but none before those that were taken earlier: frames are announced in ascending order."""
    state = port.state
    for key in range(state[PASSED] + port.layout[KEY_STEP], state[NEWEST] + 1, port.layout[KEY_STEP]):
        if not is_remembered(port, key):
            if key >= state[FIRST]:
                return  # may still come, as a frame that is not complete may
        elif is_writing(port, key):
            if not is_complete(port, key):
                return
            _end_frame(port, key)


@compiled
def mark_units(port: "Port", base: int, first: int, end: int) -> None:
    """Note in a slot header that the units from ``first`` on have arrived, ``end`` excluded; none had before."""
    port.frames_32[2 * base + S_N_UNITS] += np.uint32(end - first)
    while first < end:
        bit = first & 63
        n = min(64 - bit, end - first)
        bits = (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - n)) << np.uint64(bit)
        port.frames[base + S_RECEIVED + (first >> 6)] |= bits
        first += n
