"""The receive loop: datagrams from a socket into the rows of a Port. Compiled, with the GIL released.

`receive` stays compiled until it is told to stop. Each turn it aims a batch (placing/kernels.py), takes with one
``recvmmsg`` what the socket holds, and places it. Each datagram is scattered over three buffers that follow one
another: its row's header; the place in the ring where its payload is expected (or the row's scratch); the rest of the
row's scratch, for whatever is longer than expected.

Waking up costs more than copying at moderate rates. So after a call that emptied the socket the loop sleeps for the
latency budget, in which a fuller batch gathers in the kernel, instead of taking packets one by one.

libc is called through ``ExternalFunction``, which, other than ctypes, can be cached on disk. The cache of `receive`
holds the code of placing/kernels.py, too, and numba looks at the time of this file only: touch it after a change there.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from std_daq.shm.atomics import load_acquire
from std_udp_recv.placing.kernels import (
    BATCH,
    HAS_ENDED,
    HEADER_BYTES,
    IS_IDLE,
    N_QUARANTINED,
    PLACED,
    UNIT_BYTES,
    aim_batch,
    compiled,
    end_acquisition,
    place_batch,
)
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
MSG_WAITFORONE = 0x10000
CLOCK_REALTIME = 0
CLOCK_MONOTONIC = 1

MESSAGE_WORDS = 8  # struct mmsghdr on 64-bit Linux
MESSAGE_IOVECS, MESSAGE_N_IOVECS, MESSAGE_LENGTH = 2, 3, 7
IOVECS = 3

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
    messages, iovecs
        ``struct mmsghdr`` and ``struct iovec`` of each row, as words.
    timespec
        For the clocks.
    """

    settings: np.ndarray
    stop: np.ndarray
    messages: np.ndarray
    iovecs: np.ndarray
    timespec: np.ndarray


def make_wire(stop: np.ndarray, *, socket: int, wake_fd: int, idle_ns: int, budget_us: int) -> Wire:
    """Return a Wire for a socket (its descriptor) and an eventfd that is written when frames have ended."""
    return Wire(
        settings=np.array([socket, wake_fd, idle_ns, budget_us], np.int64),
        stop=stop,
        messages=np.zeros((BATCH, MESSAGE_WORDS), np.uint64),
        iovecs=np.zeros((BATCH, IOVECS, 2), np.uint64),
        timespec=np.zeros(2, np.int64),
    )


@compiled
def _now_ns(clock: int, timespec: np.ndarray) -> int:
    _clock_gettime(np.int32(clock), timespec.ctypes.data)
    return timespec[0] * 1_000_000_000 + timespec[1]


@compiled
def _prepare(port: Port, wire: Wire) -> None:
    """Fill in what is the same for all batches."""
    for row in range(BATCH):
        wire.messages[row, MESSAGE_IOVECS] = wire.iovecs[row].ctypes.data
        wire.messages[row, MESSAGE_N_IOVECS] = IOVECS
        wire.iovecs[row, 0, 0] = port.headers[row].ctypes.data
        wire.iovecs[row, 0, 1] = port.layout[HEADER_BYTES]


@compiled
def _direct(port: Port, wire: Wire, n_rows: int) -> None:
    """Write the iovecs of an aimed batch."""
    ring = port.data.ctypes.data
    scratch = port.scratch.ctypes.data
    capacity = port.scratch.shape[1]
    for row in range(n_rows):
        own = scratch + row * capacity
        n_bytes = port.aims[row, 1] * port.layout[UNIT_BYTES]
        target = port.targets[row]
        wire.iovecs[row, 1, 0] = own if target < 0 else ring + target
        wire.iovecs[row, 1, 1] = n_bytes
        wire.iovecs[row, 2, 0] = own + n_bytes
        wire.iovecs[row, 2, 1] = capacity - n_bytes


@compiled
def receive(port: Port, wire: Wire) -> int:
    """Receive until told to stop, then end all frames.

    Returns
    -------
    0, or the errno with which the socket failed.
    """
    settings, state = wire.settings, port.state
    _prepare(port, wire)
    failure = 0
    n_placed = port.counters[PLACED]
    last_ns = _now_ns(CLOCK_MONOTONIC, wire.timespec)
    while load_acquire(wire.stop, 0) == 0:
        n_rows = aim_batch(port)
        _direct(port, wire, n_rows)
        # As np.int64: otherwise all below would be compiled once more, for rows of 32 bits.
        n: Any = np.int64(
            _recvmmsg(
                np.int32(settings[SOCKET]), wire.messages.ctypes.data, np.uint32(n_rows), np.int32(MSG_WAITFORONE), 0
            )
        )
        if n > 0:
            for row in range(n):
                port.lengths[row] = np.int64(wire.messages[row, MESSAGE_LENGTH] & np.uint64(0xFFFFFFFF))
            place_batch(port, n, _now_ns(CLOCK_REALTIME, wire.timespec))
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
        if 0 < n < n_rows and settings[BUDGET_US] > 0:
            _usleep(np.uint32(settings[BUDGET_US]))
    end_acquisition(port, _now_ns(CLOCK_REALTIME, wire.timespec))
    _eventfd_write(np.int32(settings[WAKE_FD]), np.uint64(1))
    return failure
