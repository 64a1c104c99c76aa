"""The receive loop: packets from a socket into the rows of a Port. Compiled, with the GIL released.

`receive` stays compiled until it is told to stop. Each turn it aims a batch of messages (messages/kernels.py), takes
with one ``recvmmsg`` what the socket holds, and places it.

Waking up costs more than copying at moderate rates. So once the socket is empty the loop sleeps, in which more gathers
in the kernel, instead of taking packets one by one; only if nothing has come by then, it waits for the next packet. The
sleep ends when the newest frame should be whole, after the latency budget at the latest (pace/kernels.py).

libc is called through ``ExternalFunction``, which, other than ctypes, can be cached on disk.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from std_daq.native.atomics import load_acquire
from std_udp_recv.messages.kernels import Inbox, aim_messages, make_inbox, place_messages
from std_udp_recv.pace.kernels import make_pace, sleep_us
from std_udp_recv.placing.indices import (
    HAS_ENDED,
    HIGHEST,
    IS_IDLE,
    MESSAGES,
    N_QUARANTINED,
    N_UNITS,
    NEWEST,
    PLACED,
)
from std_udp_recv.placing.kernels import end_acquisition
from std_udp_recv.placing.packets.kernels import compiled
from std_udp_recv.placing.port import Port

_POINTER_TO_INT: Any = types.CPointer(types.int32)
_recvmmsg: Any = types.ExternalFunction(
    "recvmmsg", types.int32(types.int32, types.intp, types.uint32, types.int32, types.intp)
)
_errno_location: Any = types.ExternalFunction("__errno_location", _POINTER_TO_INT())
_clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))
_usleep: Any = types.ExternalFunction("usleep", types.int32(types.uint32))
_eventfd_write: Any = types.ExternalFunction("eventfd_write", types.int32(types.int32, types.uint64))

EINTR = 4
EAGAIN = 11
MSG_DONTWAIT = 0x40
MSG_WAITFORONE = 0x10000
CLOCK_REALTIME = 0
CLOCK_MONOTONIC = 1

# Wire.settings
SOCKET, WAKE_FD, IDLE_NS, BUDGET_US, N_SETTINGS = range(5)


class Wire(NamedTuple):
    """What the loop needs beside the Port.

    Attributes
    ----------
    settings
        See `SOCKET` and following.
    stop
        One word, other than 0 when the loop has to end.
    inbox
        What the kernel fills.
    pace
        How fast packets came.
    timespec
        For the clocks.
    """

    settings: np.ndarray
    stop: np.ndarray
    inbox: Inbox
    pace: np.ndarray
    timespec: np.ndarray


def make_wire(stop: np.ndarray, *, socket: int, wake_fd: int, idle_ns: int, budget_us: int) -> Wire:
    """Return a Wire for a socket (its descriptor) and an eventfd that is written when frames have ended."""
    return Wire(
        settings=np.array([socket, wake_fd, idle_ns, budget_us], np.int64),
        stop=stop,
        inbox=make_inbox(),
        pace=make_pace(),
        timespec=np.zeros(2, np.int64),
    )


@compiled
def _now_ns(clock: int, timespec: np.ndarray) -> int:
    _clock_gettime(np.int32(clock), timespec.ctypes.data)
    return timespec[0] * 1_000_000_000 + timespec[1]


@compiled
def receive(port: Port, wire: Wire) -> int:
    """Receive until told to stop, then end all frames.

    Returns
    -------
    0, or the errno with which the socket failed.
    """
    settings, state, inbox = wire.settings, port.state, wire.inbox
    failure = 0
    budget_us, n_units = settings[BUDGET_US], port.layout[N_UNITS]
    n_placed = port.counters[PLACED]
    last_ns = _now_ns(CLOCK_MONOTONIC, wire.timespec)
    flags = MSG_WAITFORONE
    is_rested = True
    while load_acquire(wire.stop, 0) == 0:
        n_messages, n_rows = aim_messages(port, inbox)
        # As np.int64: otherwise all below would be compiled once more, for rows of 32 bits.
        n: Any = np.int64(
            _recvmmsg(np.int32(settings[SOCKET]), inbox.messages.ctypes.data, np.uint32(n_messages), np.int32(flags), 0)
        )
        if n > 0:
            port.counters[MESSAGES] += n
            place_messages(port, inbox, n, n_rows, _now_ns(CLOCK_REALTIME, wire.timespec))
            is_rested = False
        else:
            errno = _errno_location()[0]
            if errno not in (EAGAIN, EINTR):
                failure = errno
                break
        now_ns = _now_ns(CLOCK_MONOTONIC, wire.timespec)
        # Only packets that are placed count: those of a foreign sender must not keep the last frames open.
        if port.counters[PLACED] != n_placed:
            n_placed = port.counters[PLACED]
            last_ns = now_ns
        elif now_ns - last_ns >= settings[IDLE_NS] and (not state[IS_IDLE] or state[N_QUARANTINED]):
            end_acquisition(port, _now_ns(CLOCK_REALTIME, wire.timespec))
        if state[HAS_ENDED]:
            state[HAS_ENDED] = 0
            _eventfd_write(np.int32(settings[WAKE_FD]), np.uint64(1))
        if n == n_messages:
            flags = MSG_DONTWAIT
        else:
            # The socket is empty.
            if not is_rested and budget_us > 0:
                _usleep(np.uint32(sleep_us(wire.pace, state[NEWEST], state[HIGHEST], n_units, now_ns, budget_us)))
                is_rested = True
            flags = MSG_WAITFORONE
    end_acquisition(port, _now_ns(CLOCK_REALTIME, wire.timespec))
    _eventfd_write(np.int32(settings[WAKE_FD]), np.uint64(1))
    return failure
