"""Compiled loops for packets: send and receive batches of datagrams, index captures.

The C structures of ``sendmmsg(2)`` and ``recvmmsg(2)`` are plain arrays of u64 here, one row per structure
(64-bit Linux, little-endian):

=============  =======================================================================================
``mmsghdr``    name, namelen, iov, iovlen, control, controllen, flags, msg_len: 8 words
``iovec``      base, len: 2 words
``cmsghdr``    len, level | type << 32, data: 3 words; the data is always one ``UDP_SEGMENT`` of 2 bytes
=============  =======================================================================================

libc is called through external functions, not through ctypes pointers: numba can cache only the former on disk.
"""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from std_daq.native.jit import njit

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Places = NDArray[np.int64]

MESSAGE_WORDS = 8
IOVEC_WORDS = 2
CONTROL_WORDS = 3

LENGTH_BYTES = 8
MAX_SEGMENTS = 64
MAX_MESSAGE_BYTES = 65507

_IOV, _IOVLEN, _CONTROL, _CONTROLLEN, _FLAGS, _MSG_LEN = 2, 3, 4, 5, 6, 7

_CMSG_LEN = np.uint64(18)
_CMSG_SPACE = np.uint64(24)
_CMSG_UDP_SEGMENT = np.uint64(17 | 103 << 32)

_MSG_DONTWAIT = 0x40
_POINTER_TO_INT: Any = types.CPointer(types.int32)

_sendmmsg: Any = types.ExternalFunction("sendmmsg", types.int32(types.int32, types.uintp, types.uint32, types.int32))
_recvmmsg: Any = types.ExternalFunction(
    "recvmmsg", types.int32(types.int32, types.uintp, types.uint32, types.int32, types.uintp)
)
_errno_location: Any = types.ExternalFunction("__errno_location", _POINTER_TO_INT())


@njit
def segments_from(lengths: Places, first: int, max_segment_bytes: int) -> int:
    """Return how many packets, from `first` on, one message can carry as ``UDP_SEGMENT`` segments; at least 1.

    All segments have the same length, except that the last one may be shorter.
    """
    size = lengths[first]
    if size == 0 or size > max_segment_bytes:
        return 1
    end = min(lengths.size, first + MAX_SEGMENTS, first + MAX_MESSAGE_BYTES // size)
    stop = first + 1
    while stop < end and lengths[stop] == size:
        stop += 1
    if stop < end and 0 < lengths[stop] < size:
        stop += 1
    return stop - first


@njit
def total_bytes(offsets: Places, lengths: Places, buffer_bytes: int) -> int:
    """Return the sum of the lengths of packets; -1 if a packet does not lie within its buffer."""
    total = 0
    for i in range(lengths.size):
        # compared without the sum of offset and length, which may overflow
        if offsets[i] < 0 or lengths[i] < 0 or offsets[i] > buffer_bytes - lengths[i]:
            return -1
        total += lengths[i]
    return total


@njit
def send_packets(
    fd: int,
    address: int,
    offsets: Places,
    lengths: Places,
    max_segment_bytes: int,
    messages: Words,
    iovecs: Words,
    controls: Words,
) -> tuple[int, int]:
    """Send packets that lie anywhere in one buffer, in the given order.

    Parameters
    ----------
    fd
        File descriptor of a connected UDP socket.
    address
        Address of the buffer in memory.
    offsets, lengths
        Offset and length of each packet in the buffer, in bytes (i64); not checked here.
    max_segment_bytes
        Longest packet that may be sent as a segment of a larger message; with 0 each packet is a message of its own.
    messages, iovecs, controls
        Scratch: u64 arrays of shape (m, 8), (k, 2), (m, 3), C order, ``k >= MAX_SEGMENTS``.

    Returns
    -------
    tuple
        Number of packets that the system accepted, and 0 or the errno that ended the call.
    """
    n = lengths.size
    iovecs_at = np.int64(iovecs.ctypes.data)
    controls_at = np.int64(controls.ctypes.data)
    sent = 0
    while sent < n:
        n_messages = 0
        n_iovecs = 0
        at = sent
        while at < n and n_messages < messages.shape[0]:
            n_segments = segments_from(lengths, at, max_segment_bytes)
            if n_iovecs + n_segments > iovecs.shape[0]:
                break
            message = messages[n_messages]
            message[:] = 0
            message[_IOV] = iovecs_at + 16 * n_iovecs
            message[_IOVLEN] = n_segments
            if n_segments > 1:
                control = controls[n_messages]
                control[0] = _CMSG_LEN
                control[1] = _CMSG_UDP_SEGMENT
                control[2] = lengths[at]
                message[_CONTROL] = controls_at + 24 * n_messages
                message[_CONTROLLEN] = _CMSG_SPACE
            for i in range(at, at + n_segments):
                iovecs[n_iovecs, 0] = address + offsets[i]
                iovecs[n_iovecs, 1] = lengths[i]
                n_iovecs += 1
            at += n_segments
            n_messages += 1
        taken = _sendmmsg(fd, messages.ctypes.data, n_messages, 0)
        if taken < 0:
            return sent, _errno_location()[0]
        n_taken = np.int64(0)
        for i in range(taken):
            n_taken += np.int64(messages[i, _IOVLEN])
        sent += int(n_taken)
    return sent, 0


@njit
def receive_records(fd: int, packets: Bytes, messages: Words, iovecs: Words, records: Bytes) -> tuple[int, int, int]:
    """Receive the datagrams that wait in a socket, and write them as capture records: u64 length, then datagram.

    Parameters
    ----------
    fd
        File descriptor of a UDP socket; the call never blocks.
    packets
        Scratch for a batch: u8, shape (m, longest datagram), C order.
    messages, iovecs
        Scratch: u64 arrays of shape (m, 8) and (m, 2), C order.
    records
        Filled with the records: u8, at least ``m * (8 + longest datagram)`` bytes.

    Returns
    -------
    tuple
        Number of datagrams, bytes of `records` used, and 0 or an errno.
    """
    n_slots, slot_bytes = packets.shape
    packets_at = np.int64(packets.ctypes.data)
    iovecs_at = np.int64(iovecs.ctypes.data)
    for i in range(n_slots):
        iovecs[i, 0] = packets_at + i * slot_bytes
        iovecs[i, 1] = slot_bytes
        messages[i, :] = 0
        messages[i, _IOV] = iovecs_at + 16 * i
        messages[i, _IOVLEN] = 1
    taken = _recvmmsg(fd, messages.ctypes.data, n_slots, _MSG_DONTWAIT, 0)
    if taken < 0:
        return 0, 0, _errno_location()[0]
    used = 0
    for i in range(taken):
        # msg_len has 32 bits; the other half of the word is padding
        length = int(np.int64(messages[i, _MSG_LEN] & np.uint64(0xFFFFFFFF)))
        for byte in range(LENGTH_BYTES):
            records[used + byte] = (length >> 8 * byte) & 0xFF
        used += LENGTH_BYTES
        records[used : used + length] = packets[i, :length]
        used += length
    return taken, used, 0


@njit
def index_records(data: Bytes, max_bytes: int, offsets: Places, lengths: Places) -> tuple[int, int]:
    """Find the offset and length of each datagram in a file of capture records.

    Parameters
    ----------
    data
        The file: u8.
    max_bytes
        Longest datagram allowed.
    offsets, lengths
        Filled for the first records, as many as the arrays have room for (i64). With empty arrays, records are only
        counted.

    Returns
    -------
    tuple
        Number of good records, and the offset behind the last of them: the end of the file if all records are good.
    """
    size = data.size
    n = 0
    at = 0
    while at + LENGTH_BYTES <= size:
        length = np.uint64(0)
        for byte in range(LENGTH_BYTES):
            length |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
        if length > np.uint64(max_bytes) or at + LENGTH_BYTES + np.int64(length) > size:
            break
        if n < offsets.size:
            offsets[n] = at + LENGTH_BYTES
            lengths[n] = np.int64(length)
        n += 1
        at += LENGTH_BYTES + int(np.int64(length))
    return n, at


@njit
def follow_frames(keys: Words, restart_frames: int, highest: Words, epochs: Places) -> None:
    """Find for each packet the highest frame number so far, and how often the detector has restarted so far.

    Parameters
    ----------
    keys
        Frame numbers, in the order in which the packets came.
    restart_frames
        The detector has restarted if a frame number is at least this much below the highest one.
    highest, epochs
        Filled with the results, one value per packet.
    """
    top = np.uint64(0)
    epoch = 0
    for i in range(keys.size):
        if keys[i] > top:
            top = keys[i]
        elif top - keys[i] >= np.uint64(restart_frames):
            top = keys[i]
            epoch += 1
        highest[i] = top
        epochs[i] = epoch
