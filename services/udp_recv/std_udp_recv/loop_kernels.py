"""The receive loop: packets from a socket into the rows of a Port. Compiled, with the GIL released.

`receive` runs in compiled code until it is told to stop. In each turn it aims a batch of messages (message_kernels.py),
receives the content of the socket with one ``recvmmsg``, and places the packets.

At moderate rates, waking up for each packet costs more than copying it. So when the socket is empty, the loop sleeps
for a while, and packets gather in the socket. If there is still no packet after the sleep, the loop waits for the next
one. The sleep ends when the newest frame should be whole, at the latest after the latency budget (pace_kernels.py).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.native.atomics import load_acquire
from std_udp_recv.batch_kernels import end_acquisition, end_open_frames
from std_udp_recv.libc_kernels import (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    EAGAIN,
    EINTR,
    MSG_DONTWAIT,
    MSG_WAITFORONE,
    TIMESPEC,
    compiled,
    errno_location,
    eventfd_write,
    now_ns,
    recvmmsg,
    usleep,
)
from std_udp_recv.message_kernels import Inbox, aim_messages, choose_names, make_inbox, place_messages
from std_udp_recv.pace_kernels import make_pace, sleep_us
from std_udp_recv.records import NOBODY, Record, Records, integers, make_record, make_records

if TYPE_CHECKING:
    from std_udp_recv.port import Port

SETTINGS = integers("socket", "wake_fd", "idle_ns", "budget_us")


class LoopState(NamedTuple):
    """State of the loop, in addition to the Port.

    Attributes
    ----------
    settings
        A `SETTINGS`: descriptors of the socket and of the eventfd that is written when frames have ended; time without
        packets after which frames end; longest sleep.
    stop
        One word; the loop stops when it is not 0.
    inbox
        Memory that Linux fills with messages.
    pace
        How fast packets came, see `make_pace`.
    timespec
        Memory for the times of clocks.
    """

    settings: Record
    stop: NDArray[np.uint64]
    inbox: Inbox
    pace: Record
    timespec: Records


def make_loop_state(stop: NDArray[np.uint64], *, socket: int, wake_fd: int, idle_ns: int, budget_us: int) -> LoopState:
    """Return a LoopState for the descriptors of a socket and of an eventfd that is written when frames have ended."""
    return LoopState(
        settings=make_record(SETTINGS, socket=socket, wake_fd=wake_fd, idle_ns=idle_ns, budget_us=budget_us),
        stop=stop,
        inbox=make_inbox(),
        pace=make_pace(),
        timespec=make_records(TIMESPEC, 1),
    )


@compiled
def receive(port: "Port", loop: LoopState) -> int:
    """Receive until told to stop, then end all frames.

    Returns
    -------
    0, or the errno of the socket's failure.
    """
    settings, state, counters, inbox, timespec = loop.settings, port.state, port.counters, loop.inbox, loop.timespec
    socket, wake_fd = np.int32(settings.socket), np.int32(settings.wake_fd)
    failure: Any = np.int32(0)
    n_placed, n_doubtful = counters.placed, state.n_doubtful
    last_ns = doubtful_ns = now_ns(CLOCK_MONOTONIC, timespec)
    flags = np.int32(MSG_WAITFORONE)
    is_rested = True
    while True:
        is_stopped = failure != 0 or load_acquire(loop.stop, 0) != 0
        is_empty = has_been_empty = False
        was_filtered = inbox.flow.filtered_for != NOBODY
        if not is_stopped:
            n_messages, n_rows = aim_messages(port, inbox)
            # As np.int64, because numba would otherwise compile all functions below a second time, for 32 bits.
            n: Any = np.int64(recvmmsg(socket, inbox.messages.ctypes.data, np.uint32(n_messages), flags, 0))
            is_empty = n < n_messages
            if n > 0:
                counters.messages += n
                place_messages(port, inbox, n, n_rows, now_ns(CLOCK_REALTIME, timespec))
                is_rested = False
                has_been_empty = is_empty
            else:
                errno = errno_location()[0]
                has_been_empty = errno == EAGAIN
                if errno not in (EAGAIN, EINTR):
                    failure = errno
        steady_ns = now_ns(CLOCK_MONOTONIC, timespec)
        # Only placed packets count, because packets of a foreign sender must not keep the last frames open.
        if counters.placed != n_placed:
            n_placed = counters.placed
            last_ns = steady_ns
        if state.n_doubtful != n_doubtful:
            n_doubtful = state.n_doubtful
            doubtful_ns = steady_ns
        is_quiet = steady_ns - last_ns >= settings.idle_ns
        choose_names(port, inbox, was_filtered, has_been_empty, is_quiet)
        is_judged = state.n_quarantined > 0 and steady_ns - max(last_ns, doubtful_ns) >= settings.idle_ns
        if is_stopped or is_judged:
            end_acquisition(port, is_stopped)
        elif is_quiet and not state.is_idle:
            end_open_frames(port)
        if is_stopped or state.has_ended:
            state.has_ended = 0
            eventfd_write(wake_fd, np.uint64(1))
        if is_stopped:
            return failure
        flags = np.int32(MSG_WAITFORONE if is_empty else MSG_DONTWAIT)
        if is_empty and not is_rested and settings.budget_us > 0:
            rest_us = sleep_us(
                loop.pace, state.newest, state.next_unit, port.layout.n_units, steady_ns, settings.budget_us
            )
            usleep(np.uint32(rest_us))
            is_rested = True
