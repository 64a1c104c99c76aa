"""Rows of the quarantine: puts packets there, counts them, and refuses all of them. Compiled."""

from typing import TYPE_CHECKING

from std_udp_recv.libc_kernels import compilable, memcpy
from std_udp_recv.placement_kernels import refusal_of
from std_udp_recv.records import BATCH_ROWS, FITS, FOREIGN_SENDER, IMPLAUSIBLE, NOBODY
from std_udp_recv.refusal_kernels import mark_open_frame, refuse
from std_udp_recv.sender_kernels import has_believed, is_believed, note_trial

if TYPE_CHECKING:
    from std_udp_recv.port import Port


@compilable
def quarantine(port: "Port", index: int, now_ns: int) -> None:
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
    copy.sender = row.sender
    copy.is_claimed = 0
    if is_believed(port, row.sender):
        mark_open_frame(port, kept)


@compilable
def n_quarantined_of(port: "Port", key: int) -> tuple[int, int]:
    """Return how many packets and how many units of a frame are in quarantine, as far as they may not be late."""
    n_packets = n_units = 0
    for index in range(BATCH_ROWS, BATCH_ROWS + port.state.n_quarantined):
        if port.rows[index].key == key:
            n_packets += 1
            n_units += port.rows[index].n_units
    return n_packets, n_units


@compilable
def refuse_quarantined(port: "Port") -> None:
    """Count the packets in quarantine as refused."""
    state = port.state
    for index in range(BATCH_ROWS, BATCH_ROWS + state.n_quarantined):
        if has_believed(port) and not is_believed(port, port.rows[index].sender):
            refuse(port, index, FOREIGN_SENDER)
            continue
        reason = refusal_of(port, index)
        # Newer frames may have begun meanwhile, so that the packet would fit now. But it was sent before them.
        refuse(port, index, IMPLAUSIBLE if reason == FITS else reason)
    state.n_quarantined = 0
    if state.on_trial != NOBODY:
        note_trial(port, state.on_trial)
        state.on_trial = NOBODY
