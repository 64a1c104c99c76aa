"""Messages: where the kernel puts what it delivers, and how packets get from there to rows. Compiled, no sockets.

With ``UDP_GRO`` one message of the kernel may carry many packets: of equal length, up to 64 KiB, the last one possibly
shorter; a control message tells the length. There are two ways to receive, between which the loop changes by what came:

- *segmented*, at first: a call takes one message. All rows of the batch follow each other in it, each as long as a
  packet was in the last message of several, so that each packet is received in its place. A call for each message is
  little beside 64 KiB, and however many packets it carries, the next one is aimed behind them: there is nothing to
  guess.
- *single*: a call takes a batch of messages. Each has one row, aimed at where the next packet belongs.

Each message ends in a *whole*, a buffer of its own that has room for the longest message there is, so that nothing is
ever cut. What does not fit the rows lies there, right where it would lie if the message had been received in one piece;
so to put a message together, only what its rows got has to be copied (`_gather`). It is then taken apart by the length
that the control message tells, and its packets are placed like any that are not in place. This happens where a message
of several packets comes in the single way, or of packets of another length, and for what lies behind the end of the
frame. It costs two copies more, and cannot happen often: the first message of several changes to segmented, and only
`SINGLES` messages of one packet in a row change back.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from std_udp_recv.placing.indices import BATCH, HEADER_BYTES, UNIT_BYTES
from std_udp_recv.placing.kernels import aim_rows, place_batch
from std_udp_recv.placing.packets.kernels import compiled
from std_udp_recv.placing.port import Port

_memcpy: Any = types.ExternalFunction("memcpy", types.intp(types.intp, types.intp, types.intp))

# struct mmsghdr, struct cmsghdr and struct iovec on 64-bit Linux, as words
MESSAGE_WORDS, CONTROL_WORDS, IOVEC_WORDS = 8, 3, 2
MESSAGE_IOVECS, MESSAGE_N_IOVECS, MESSAGE_CONTROL, MESSAGE_CONTROL_BYTES, MESSAGE_LENGTH = 2, 3, 4, 5, 7
CONTROL_KIND, CONTROL_VALUE = 1, 2
UDP_GRO = 17 | 104 << 32
"""Level and type of the control message that tells the length of a message's packets."""
LOW_HALF = 0xFFFFFFFF

ROW_IOVECS = 3
"""Of each row, at most: its header; the place of its payload; the row's scratch, for what is longer than expected."""
MESSAGE_BYTES = 65536
"""No message is longer."""
SINGLES = 1024
"""Messages of one packet in a row, after which packets are received in batches of messages again."""

FIRST_SINGLES = 8
"""The same, before a message of several has come."""

# Inbox.flow
IS_SEGMENTED, N_SINGLES, PACKET_BYTES, N_FLOW = range(4)


class Inbox(NamedTuple):
    """What the kernel fills.

    Attributes
    ----------
    flow
        How packets come, see `IS_SEGMENTED` and following.
    messages, controls
        ``struct mmsghdr`` of each message, and its control message, as words.
    iovecs
        ``struct iovec`` of all messages, one behind the other, as words.
    whole
        For each message, itself: as much of it as its rows do not get.
    """

    flow: np.ndarray
    messages: np.ndarray
    controls: np.ndarray
    iovecs: np.ndarray
    whole: np.ndarray


def make_inbox() -> Inbox:
    """Return an Inbox for a batch; of its 16 MiB only what is used takes memory."""
    flow = np.zeros(N_FLOW, np.int64)
    flow[[IS_SEGMENTED, N_SINGLES, PACKET_BYTES]] = 1, SINGLES - FIRST_SINGLES, 1
    return Inbox(
        flow=flow,
        messages=np.zeros((BATCH, MESSAGE_WORDS), np.uint64),
        controls=np.zeros((BATCH, CONTROL_WORDS), np.uint64),
        iovecs=np.zeros((BATCH * (ROW_IOVECS + 1), IOVEC_WORDS), np.uint64),
        whole=np.zeros((BATCH, 2 * MESSAGE_BYTES), np.uint8),
    )


@compiled
def aim_messages(port: Port, inbox: Inbox) -> tuple[int, int]:
    """Aim the next batch of messages; returns how many to receive, and how many rows each has."""
    if not inbox.flow[IS_SEGMENTED]:
        n_rows = aim_rows(port, BATCH)
        _direct(port, inbox, n_rows, 1)
        return n_rows, 1
    row_bytes = _row_bytes(port, inbox)
    n_rows = aim_rows(port, min(BATCH, MESSAGE_BYTES // row_bytes))
    header_bytes = port.layout[HEADER_BYTES]
    has_room = header_bytes + port.aims[0, 1] * port.layout[UNIT_BYTES] <= row_bytes
    if port.targets[0] < 0 or not has_room or row_bytes > header_bytes + port.scratch.shape[1]:
        n_rows = 0
    _direct(port, inbox, 1, n_rows)
    return 1, n_rows


@compiled
def place_messages(port: Port, inbox: Inbox, n_messages: int, n_rows: int, now_ns: int) -> None:
    """Place the packets of the messages that have come, in the order of their arrival.

    Parameters
    ----------
    port, inbox
        As `aim_messages` has left them, and the kernel has filled them.
    n_messages
        Messages that came.
    n_rows
        Rows of each, as `aim_messages` has returned.
    now_ns
        Time of arrival, in nanoseconds since 1970.
    """
    if inbox.flow[IS_SEGMENTED]:
        _place_segments(port, inbox, n_rows, now_ns)
    else:
        _place_singles(port, inbox, n_messages, now_ns)


@compiled
def _row_bytes(port: Port, inbox: Inbox) -> int:
    """Return how many bytes of a message each row takes."""
    if inbox.flow[IS_SEGMENTED]:
        return inbox.flow[PACKET_BYTES]
    # All of the longest packet: of what is longer nothing is needed.
    return port.layout[HEADER_BYTES] + port.scratch.shape[1] - 1


@compiled
def _direct(port: Port, inbox: Inbox, n_messages: int, n_rows: int) -> None:
    """Write messages and iovecs of an aimed batch: so many messages of so many rows each."""
    iovecs = inbox.iovecs
    row_bytes = _row_bytes(port, inbox)
    header_bytes, unit_bytes = port.layout[HEADER_BYTES], port.layout[UNIT_BYTES]
    header, header_stride = port.headers.ctypes.data, port.headers.strides[0]
    own, capacity = port.scratch.ctypes.data, port.scratch.shape[1]
    ring = port.data.ctypes.data
    first = row = 0
    for index in range(n_messages):
        at = first
        for _ in range(n_rows):
            n_bytes = port.aims[row, 1] * unit_bytes
            target = port.targets[row]
            iovecs[at, 0] = header
            iovecs[at, 1] = header_bytes
            iovecs[at + 1, 0] = own if target < 0 else ring + target
            iovecs[at + 1, 1] = n_bytes
            at += 2
            n_rest = row_bytes - header_bytes - n_bytes
            if n_rest > 0:
                iovecs[at, 0] = own + n_bytes
                iovecs[at, 1] = n_rest
                at += 1
            header += header_stride
            own += capacity
            row += 1
        iovecs[at, 0] = inbox.whole[index].ctypes.data + n_rows * row_bytes
        iovecs[at, 1] = MESSAGE_BYTES
        at += 1
        message = inbox.messages[index]
        message[MESSAGE_IOVECS] = iovecs.ctypes.data + 8 * IOVEC_WORDS * first
        message[MESSAGE_N_IOVECS] = at - first
        message[MESSAGE_CONTROL] = inbox.controls[index].ctypes.data
        message[MESSAGE_CONTROL_BYTES] = 8 * CONTROL_WORDS
        first = at


@compiled
def _length(inbox: Inbox, index: int) -> int:
    """Return the length of a received message."""
    return int(np.int64(inbox.messages[index, MESSAGE_LENGTH] & np.uint64(LOW_HALF)))


@compiled
def _packet_bytes(inbox: Inbox, index: int) -> int:
    """Return the length of all packets of a received message but the last."""
    length = _length(inbox, index)
    if inbox.messages[index, MESSAGE_CONTROL_BYTES] == 0 or inbox.controls[index, CONTROL_KIND] != np.uint64(UDP_GRO):
        return length
    return max(1, min(length, np.int64(inbox.controls[index, CONTROL_VALUE] & np.uint64(LOW_HALF))))


@compiled
def _gather(inbox: Inbox, index: int) -> None:
    """Copy what rows have received of a message to where it belongs in the whole."""
    first = np.int64(inbox.messages[index, MESSAGE_IOVECS] - np.uint64(inbox.iovecs.ctypes.data)) // (8 * IOVEC_WORDS)
    end = first + np.int64(inbox.messages[index, MESSAGE_N_IOVECS]) - 1
    whole = inbox.whole[index].ctypes.data
    left = _length(inbox, index)
    for at in range(first, end):
        n_bytes = min(np.int64(inbox.iovecs[at, 1]), left)
        _memcpy(whole, np.int64(inbox.iovecs[at, 0]), n_bytes)
        whole += n_bytes
        left -= n_bytes


@compiled
def _place_whole(port: Port, inbox: Inbox, index: int, start: int, now_ns: int) -> None:
    """Place the packets of a message that lie in the whole, from a byte on."""
    end, packet_bytes = _length(inbox, index), _packet_bytes(inbox, index)
    header_bytes, capacity = port.layout[HEADER_BYTES], port.scratch.shape[1]
    whole = inbox.whole[index].ctypes.data
    row = 0
    while True:
        length = min(packet_bytes, end - start)
        _memcpy(port.headers[row].ctypes.data, whole + start, min(length, header_bytes))
        _memcpy(
            port.scratch[row].ctypes.data,
            whole + start + header_bytes,
            max(0, min(length - header_bytes, capacity)),
        )
        port.lengths[row] = length
        port.targets[row] = -1
        row += 1
        start += length
        if row == BATCH or start >= end:
            place_batch(port, row, now_ns)
            row = 0
            if start >= end:
                return


@compiled
def _place_segments(port: Port, inbox: Inbox, n_rows: int, now_ns: int) -> None:
    """Place the packets of one message, for which `n_rows` were aimed."""
    flow = inbox.flow
    length, packet_bytes = _length(inbox, 0), _packet_bytes(inbox, 0)
    row_bytes = _row_bytes(port, inbox)
    flow[N_SINGLES] += 1
    if length > packet_bytes:
        flow[N_SINGLES] = 0
        flow[PACKET_BYTES] = packet_bytes
    elif flow[N_SINGLES] >= SINGLES:
        flow[IS_SEGMENTED] = 0
    is_as_aimed = packet_bytes == row_bytes or length <= min(packet_bytes, row_bytes)
    if not is_as_aimed or n_rows == 0:
        _gather(inbox, 0)
        _place_whole(port, inbox, 0, 0, now_ns)
        return
    row = 0
    left = length
    while True:
        port.lengths[row] = min(left, row_bytes)
        left -= row_bytes
        row += 1
        if row == n_rows or left <= 0:
            break
    place_batch(port, row, now_ns)
    if left > 0:
        _place_whole(port, inbox, 0, row * row_bytes, now_ns)


@compiled
def _place_singles(port: Port, inbox: Inbox, n: int, now_ns: int) -> None:
    """Place messages for each of which one row was aimed."""
    first = 0
    while first < n and _length(inbox, first) <= _packet_bytes(inbox, first):
        port.lengths[first] = _length(inbox, first)
        first += 1
    for index in range(first, n):
        _gather(inbox, index)
    if first > 0:
        place_batch(port, first, now_ns)
    for index in range(first, n):
        if _length(inbox, index) > _packet_bytes(inbox, index):
            inbox.flow[IS_SEGMENTED] = 1
            inbox.flow[N_SINGLES] = 0
            inbox.flow[PACKET_BYTES] = _packet_bytes(inbox, index)
        _place_whole(port, inbox, index, 0, now_ns)
