"""The quarantine: packets that fit no frame wait until it is known what they are. Compiled.

A packet that fits no open or new frame is not trusted at once. A single foreign or very late packet must not end the
open frames. But many such packets mean that the detector has restarted, or that frames were lost. So these packets wait
in a quarantine until it is known what they are.

Example: a series of 21 frames is followed by another one, which also counts from 1. The packets of the new frame 1 are
duplicates, as frame 1 is known. When all its packets are in the quarantine, the frame has come a second time: the
detector has restarted, and a new epoch begins with this frame. The packets in quarantine are trusted

- when they contain a whole frame, that is, all its units; if a frame is one packet, when they contain two frames whose
  numbers are close (one is enough if who is believed begins a series, or counts again from a lower number);
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
from std_udp_recv.libc_kernels import compilable
from std_udp_recv.packet_kernels import field, has_own_identity, is_own_module, packets_in_frame, unwrapped
from std_udp_recv.placement_kernels import may_follow, place, refusal_of, suggests_restart
from std_udp_recv.quarantine_row_kernels import n_quarantined_of, quarantine, refuse_quarantined
from std_udp_recv.records import (
    BATCH_ROWS,
    DUPLICATE,
    FITS,
    FOREIGN_MODULE,
    FOREIGN_SENDER,
    IMPLAUSIBLE,
    LATE,
    MAX_COPY_DELAY_NS,
    MAX_PACKETS_TO_COMPARE,
    NO_KEY,
    NOBODY,
    REFUSED,
)
from std_udp_recv.refusal_kernels import refuse
from std_udp_recv.sender_kernels import (
    BELIEVED,
    MIN_SHARE,
    ON_TRIAL,
    STRANGER,
    believe,
    dismiss_believed,
    is_believed,
    standing_of,
)
from std_udp_recv.trial_kernels import end_trial, end_trial_in_pause, try_stranger

if TYPE_CHECKING:
    from std_udp_recv.port import Port

FRACTION_OF_SOME = 16
"""A frame of which fewer than one in this many packets are in quarantine is not believed to be one."""


@compilable
def place_or_quarantine(port: "Port", index: int, now_ns: int) -> None:
    """Place a packet, refuse it, or put it into quarantine."""
    state, row = port.state, port.rows[index]
    standing = standing_of(port, row.sender)
    if standing == STRANGER:
        refuse(port, index, FOREIGN_SENDER)
        return
    if standing == BELIEVED and not is_own_module(port, index):
        refuse(port, index, FOREIGN_MODULE)
        return
    row.key = unwrapped(port, row.key)
    if standing == ON_TRIAL:
        try_stranger(port, index, now_ns)
        return
    fits = standing == BELIEVED and refusal_of(port, index) == FITS
    if state.on_trial != NOBODY:
        end_trial(port, row.key if fits else NO_KEY)
    if state.n_quarantined > 0 and _decides(port, index, fits):
        row.key = unwrapped(port, row.key & port.layout.key_mask)
        fits = standing == BELIEVED and refusal_of(port, index) == FITS
    if fits and not (state.n_quarantined > 0 and state.on_trial == NOBODY and _belongs_to_quarantined(port, index)):
        state.is_idle = 0
        place(port, index, now_ns)
    elif standing == BELIEVED and refusal_of(port, index) == DUPLICATE and _is_copy(port, index, now_ns):
        refuse(port, index, DUPLICATE)
    else:
        quarantine(port, index, now_ns)
        if _is_confirmed(port):
            _trust_quarantined(port)
        elif state.n_quarantined == port.layout.max_quarantined:
            decide_on_quarantined(port)


@compilable
def _decides(port: "Port", index: int, fits: bool) -> bool:
    """Trust or refuse the packets in quarantine if this packet tells what they are; return whether it does."""
    state, key = port.state, port.rows[index].key
    if not state.has_newest or state.on_trial != NOBODY:
        return False
    if not fits:
        if not _is_in_quarantine(port, index):
            return False
        decide_on_quarantined(port)
        return True
    if key <= state.newest:
        if not _belongs_to_quarantined(port, index):
            state.n_fitting += 1
            if state.n_fitting > _max_stragglers(port):
                refuse_quarantined(port)
        return False
    if _is_frame_repeated(port):
        _trust_quarantined(port)
        refuse_quarantined(port)
        return True
    refuse_quarantined(port)
    return False


@compilable
def decide_in_pause(port: "Port") -> None:
    """Trust or refuse the packets in quarantine, because no packet has come for a while.

    Where a frame is one packet, a first frame waits for the second however long that takes.
    """
    if port.state.on_trial == NOBODY and packets_in_frame(port) == 1 and not _is_quarantine_credible(port):
        return
    decide_on_quarantined(port)


@compilable
def decide_on_quarantined(port: "Port") -> None:
    """Trust or refuse the packets in quarantine."""
    if port.state.on_trial != NOBODY:
        end_trial_in_pause(port)
        return
    if _is_quarantine_credible(port):
        _trust_quarantined(port)
    refuse_quarantined(port)


@compilable
def _max_stragglers(port: "Port") -> int:
    """Return how many packets may fit although those in quarantine are right."""
    return max(1, packets_in_frame(port) // 8)


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
    return 2 * n_quarantined_of(port, key)[0] > packets_in_frame(port)


@compilable
def _is_confirmed(port: "Port") -> bool:
    """Return whether the last packet in quarantine completes a frame there, or begins one after most of another."""
    last = BATCH_ROWS + port.state.n_quarantined - 1
    key, n_in_frame = port.rows[last].key, packets_in_frame(port)
    if _n_suggesting(port, key) == 0:
        return False
    if n_in_frame == 1:
        return _is_single_confirmed(port, last)
    n_packets, n_units = n_quarantined_of(port, key)
    if not port.state.has_newest and 2 * n_units > port.layout.n_units:
        return True
    if n_units >= port.layout.n_units and (n_packets > 1 or key <= port.state.newest):
        return 2 * _n_suggesting(port, key) >= n_packets
    for index in range(BATCH_ROWS, last):
        other = port.rows[index].key
        if other < key and _is_near(port, other, key) and 2 * _n_suggesting(port, other) > n_in_frame:
            return True
    return False


@compilable
def _is_single_confirmed(port: "Port", index: int) -> bool:
    """Return whether a frame of one packet is to be trusted: by who sends it, or by another frame near to it."""
    state, row = port.state, port.rows[index]
    if is_believed(port, row.sender) and (not state.has_newest or row.key <= state.newest):
        return True
    for other in range(BATCH_ROWS, BATCH_ROWS + state.n_quarantined):
        key = port.rows[other].key
        if key != row.key and _is_near(port, key, row.key) and _n_suggesting(port, key) > 0:
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
    is_single = packets_in_frame(port) == 1
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        key = port.rows[index].key
        if is_single and not _is_single_confirmed(port, index):
            continue
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

    They do if there are half of the packets of a frame, or if there are some packets of two frames whose numbers are
    close or follow the newest frame. Before the first frame, some packets of one frame are enough, if no more come. For
    frames of one packet see `_is_single_confirmed`.
    """
    state, n_in_frame = port.state, packets_in_frame(port)
    n_some = _n_some(port)
    end = BATCH_ROWS + state.n_quarantined
    for index in range(BATCH_ROWS, end):
        key = port.rows[index].key
        n = _n_suggesting(port, key)
        if n < n_some:
            continue
        if n_in_frame == 1:
            if _is_single_confirmed(port, index):
                return True
            continue
        if not state.has_newest or (2 * n >= n_in_frame and (n > 1 or key <= state.newest)):
            return True
        for other in range(index + 1, end):
            later = port.rows[other].key
            follows = may_follow(port, key) and may_follow(port, later)
            if later > key and (follows or _is_near(port, key, later)) and _n_suggesting(port, later) >= n_some:
                return True
    return False


@compilable
def _trust_quarantined(port: "Port") -> None:
    """Place the packets in quarantine, either after lost frames or in a new epoch.

    The frame with most packets tells which. Frames whose numbers have nothing to do with it are refused.
    """
    state, rows, window = port.state, port.rows, port.layout.window
    end = BATCH_ROWS + state.n_quarantined
    key = _key_of_most(port)
    _believe_senders(port, key)
    last = end - 1
    while rows[last].key != key:
        last -= 1
    is_first = state.has_newest == 0
    is_restart = not may_follow(port, key)
    if is_restart:
        key -= _begin_epoch_in_quarantine(port, key)
    state.is_idle = 0
    for index in range(BATCH_ROWS, end):
        other = rows[index].key
        if other == REFUSED:
            continue
        reason = refusal_of(port, index)
        if not is_believed(port, rows[index].sender):
            reason = FOREIGN_SENDER
        elif not has_own_identity(port, index):
            reason = FOREIGN_MODULE
        elif index < last and other > key + window:
            reason = IMPLAUSIBLE  # a stray packet from far ahead, as packets of the trusted frame came after it
        elif reason == IMPLAUSIBLE and _may_follow_trusted(port, other, key, is_restart and not is_first):
            reason = FITS
        if reason == FITS:
            place(port, index, rows[index].arrival_ns)
        else:
            refuse(port, index, reason)
    state.n_quarantined = 0


@compilable
def _believe_senders(port: "Port", key: int) -> None:
    """Believe those who have brought a share of a frame in quarantine, unless it came from those who are believed."""
    rows, end = port.rows, BATCH_ROWS + port.state.n_quarantined
    is_single = packets_in_frame(port) == 1
    n_all = n_own = 0
    for index in range(BATCH_ROWS, end):
        if rows[index].key == key:
            n_all += 1
            n_own += is_believed(port, rows[index].sender)
    if 2 * n_own >= n_all:
        if port.state.has_identity == 0:
            _learn_identity(port, key)
        return
    dismiss_believed(port)
    for index in range(BATCH_ROWS, end):
        if is_believed(port, rows[index].sender):
            continue
        if is_single and _is_near(port, key, rows[index].key):  # two interfaces may send the frames in turn
            believe(port, rows[index].sender)
        if rows[index].key != key or is_single:
            continue
        n = 0
        for other in range(index, end):
            n += rows[other].key == key and rows[other].sender == rows[index].sender
        if MIN_SHARE * n >= n_all:
            believe(port, rows[index].sender)
    _learn_identity(port, key)


@compilable
def _learn_identity(port: "Port", key: int) -> None:
    """Take the identity that most packets of a frame in quarantine have."""
    state, lead = port.state, 0
    for index in range(BATCH_ROWS, BATCH_ROWS + state.n_quarantined):
        if port.rows[index].key == key and is_believed(port, port.rows[index].sender):
            identity = np.int64(field(port, port.fields.identity, index))
            if lead == 0:
                state.identity = identity
            lead += 1 if identity == state.identity else -1
    state.has_identity = 1
    state.n_mismatched = 0


@compilable
def _may_follow_trusted(port: "Port", key: int, trusted: int, is_restart: bool) -> bool:
    """Return whether a frame in quarantine may follow, with lost frames in between, when another one is trusted.

    It does if it is near the other. If not, a single stray packet must not move the numbers ahead.
    """
    if not may_follow(port, key):
        return False
    return _is_near(port, key, trusted) or (not is_restart and n_quarantined_of(port, key)[0] >= _n_some(port))


@compilable
def _n_some(port: "Port") -> int:
    """Return how many packets have to tell of a frame that is not whole, so that they are no strays."""
    n_in_frame = packets_in_frame(port)
    return max(min(2, n_in_frame), n_in_frame // FRACTION_OF_SOME)


@compilable
def _key_of_most(port: "Port") -> Any:
    """Return the number of the frame with most packets in quarantine; if a frame is one packet, of one to trust."""
    rows = port.rows
    is_single = packets_in_frame(port) == 1
    best, n_best = BATCH_ROWS, 0
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        n = _n_suggesting(port, rows[index].key)
        if n > n_best and (not is_single or _is_single_confirmed(port, index)):
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
    if state.has_newest:
        end_all(port)
        state.epoch += 1
        port.counters.restarts += 1
    turn = 0
    if port.layout.key_span > 0 and state.has_newest and lowest <= state.newest:
        turn = lowest - lowest % port.layout.key_span
        for index in range(BATCH_ROWS, end):
            if rows[index].key != REFUSED:
                rows[index].key -= turn
    begin_epoch(port, lowest - turn)
    return turn
