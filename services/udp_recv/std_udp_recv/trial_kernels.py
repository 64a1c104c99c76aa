"""Trials: whether a stranger's packets complement those of the believed senders. Compiled.

Three examples of strangers that are believed although the others are alive:

- Two interfaces of a module send its frames in turn, and one of them was slow to start. The other one begins frame 7
  after frame 5, and all of frame 6 is in quarantine.
- Each of two interfaces sends half of the packets. The other one begins frame 7, and the frame 6 that it has sent is
  whole with the packets in quarantine.
- An interface replaces another. The numbers go on, a frame and the beginning of the next are in quarantine, and the
  others have been silent for longer than their frames are apart.

A second detector has other numbers, or the same packets as the first. Then its packets do not complement anything.
"""

from typing import TYPE_CHECKING

import numpy as np

from std_udp_recv.frame_kernels import is_known, slot_of
from std_udp_recv.libc_kernels import compilable
from std_udp_recv.placement_kernels import may_follow, place, refusal_of
from std_udp_recv.quarantine_row_kernels import n_quarantined_of, quarantine, refuse_quarantined
from std_udp_recv.records import BATCH_ROWS, FITS, FOREIGN_SENDER, NO_KEY, NOBODY, SILENT_PERIODS
from std_udp_recv.refusal_kernels import refuse
from std_udp_recv.sender_kernels import believe

if TYPE_CHECKING:
    from std_udp_recv.port import Port

MIN_PAUSE_NS = 50_000_000
"""A stranger whose numbers go on may replace senders that have been silent for this time."""


@compilable
def try_stranger(port: "Port", index: int, now_ns: int) -> None:
    """Put a packet of a stranger into quarantine; end the trial if the packet complements nothing, or shows enough."""
    state, row = port.state, port.rows[index]
    state.on_trial = row.sender
    if not _may_be_placed(port, index):
        refuse_quarantined(port)
        refuse(port, index, FOREIGN_SENDER)
        return
    quarantine(port, index, now_ns)
    if _goes_on(port, row.key):
        _believe_quarantined(port)
    elif state.n_quarantined == port.layout.max_quarantined:
        refuse_quarantined(port)


@compilable
def end_trial(port: "Port", next_key: int) -> None:
    """End the trial, because the believed senders begin a frame, or jump: then `next_key` is NO_KEY."""
    if next_key != NO_KEY and next_key <= port.state.newest:
        return
    key = port.rows[BATCH_ROWS + port.state.n_quarantined - 1].key
    if key < next_key and _completes(port, key):
        _believe_quarantined(port)
    refuse_quarantined(port)


@compilable
def end_trial_in_pause(port: "Port") -> None:
    """End the trial, because no packet has come for a while."""
    key = port.rows[BATCH_ROWS + port.state.n_quarantined - 1].key
    if is_known(port, key) and _completes(port, key):
        _believe_quarantined(port)
    refuse_quarantined(port)


@compilable
def _may_be_placed(port: "Port", index: int) -> bool:
    return refusal_of(port, index) == FITS or may_follow(port, port.rows[index].key)


@compilable
def _completes(port: "Port", key: int) -> bool:
    """Return whether the packets of a frame in quarantine are just those that have not come from the others."""
    n_units = n_quarantined_of(port, key)[1]
    if is_known(port, key):
        n_units += np.int64(port.slots[slot_of(port, key)].n_received_units)
    if n_units != port.layout.n_units:
        return False
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        if port.rows[index].key == key and refusal_of(port, index) != FITS:
            return False
    return True


@compilable
def _goes_on(port: "Port", key: int) -> bool:
    """Return whether a frame begins after a whole one in quarantine, and the believed senders are silent."""
    state = port.state
    if state.batch_ns - state.believed_ns < max(MIN_PAUSE_NS, SILENT_PERIODS * state.period_ns):
        return False
    first = port.rows[BATCH_ROWS].key
    return state.newest < first < key and n_quarantined_of(port, first)[1] == port.layout.n_units


@compilable
def _believe_quarantined(port: "Port") -> None:
    """Believe the stranger, and place its packets."""
    state = port.state
    believe(port, state.on_trial)
    end = BATCH_ROWS + state.n_quarantined
    state.on_trial = NOBODY
    state.n_quarantined = 0
    state.is_idle = 0
    for index in range(BATCH_ROWS, end):
        if _may_be_placed(port, index):
            place(port, index, port.rows[index].arrival_ns)
        else:
            refuse(port, index, refusal_of(port, index))
