"""Messages: memory into which Linux receives, and the way of packets from there to rows. Compiled, without sockets.

With ``UDP_GRO`` one message may carry many packets. All packets of a message have the same length, except that the last
one may be shorter. A control message tells this length. A message has at most 64 KiB. For example, 7 packets of 8 KiB
come as one message of 56 KiB. There are two ways to receive, and the loop changes between them:

- *segmented*, the way at first: a call receives one message. The rows of the batch lie one behind another in the
  message. Each row has the length of a packet in the last message of several packets, so each packet is received in its
  place. The cost of a call for each message is small compared with 64 KiB. The number of packets in a message need not
  be known, because the next message is aimed behind the packets that came.
- *single*: a call receives a batch of messages. Each message has one row, which is aimed at the place of the next
  packet.

Behind its rows, each message has an *overflow*: a buffer of its own with room for the longest message, so that no
message is ever cut. Bytes that do not fit into the rows go there. They lie where they would lie if the whole message
had been received into the overflow. So to put a message together, only the bytes in the rows are copied (`_gather`).
Then the message is divided into packets of the length that the control message tells. They are placed like displaced
packets. This happens to

- a message of several packets that is received in the single way,
- a message whose packets have another length than those of the last one,
- packets of a message that lie behind the end of a frame.

It costs two more copies, but is rare. The first message of several packets changes to the segmented way. Only
`MAX_SINGLES` messages of one packet in a row change back.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_udp_recv.address_kernels import number_of_ipv6
from std_udp_recv.batch_kernels import aim_batch, place_batch
from std_udp_recv.libc_kernels import compilable, memcpy
from std_udp_recv.records import (
    BATCH_ROWS,
    NOBODY,
    UNNAMED,
    Record,
    Records,
    integers,
    make_record,
    make_records,
    struct,
)
from std_udp_recv.sender_kernels import is_believed

if TYPE_CHECKING:
    from std_udp_recv.port import Port

MAX_ROW_IOVECS = 3
"""Buffers of each row: for its header, its payload, and in scratch for bytes that exceed the expected payload."""
MAX_MESSAGE_BYTES = 65536
"""Length of the longest message."""
MAX_SINGLES = 1024
"""After this many messages of one packet in a row, the loop changes to the single way."""
MAX_FIRST_SINGLES = 8
"""The same number, before the first message of several packets has come."""

_NAME_WORDS = 8
_AF_INET6 = 10

# The structs of recvmmsg on 64-bit Linux.
MMSGHDR = struct(
    64,
    name=(0, "u8"),
    name_bytes=(8, "u4"),
    iovecs=(16, "u8"),
    n_iovecs=(24, "u8"),
    control=(32, "u8"),
    control_bytes=(40, "u8"),
    flags=(48, "i4"),
    length=(56, "u4"),
)
CMSGHDR = struct(24, n_bytes=(0, "u8"), level=(8, "i4"), kind=(12, "i4"), value=(16, "i4"))
IOVEC = struct(16, base=(0, "u8"), n_bytes=(8, "u8"))
SOL_UDP, UDP_GRO = 17, 104
"""Level and kind of the control message that tells the length of the packets in a message."""

FLOW = integers(
    "is_segmented",
    "n_singles",
    "packet_bytes",
    "next_message",
    "next_byte",
    "asks_names",
    "filtered_for",
    "n_filtered",
    "n_cut",
)
"""How packets come: whether the way is segmented; the number of messages of one packet in a row; the length of the
packets in the last message of several packets; the next message to place, and the first byte of it to place; whether
Linux is asked for the address of each message; one of the believed senders whose packets the filter of the socket
leaves as they are, or NOBODY without a filter, and their number, see sender_filter.py; the number of packets of others,
which the filter has cut."""


class Inbox(NamedTuple):
    """Memory that Linux fills with messages.

    Attributes
    ----------
    flow
        How packets come, a `FLOW`.
    messages, controls
        ``struct mmsghdr`` of each message, and its control message.
    iovecs
        ``struct iovec`` of all messages, one behind another.
    overflow
        For each message, the bytes that do not fit into its rows.
    names
        ``struct sockaddr_in`` or ``sockaddr_in6`` of each message, as 32-bit words. The sender's address is the second
        word, or the third to the sixth.
    """

    flow: Record
    messages: Records
    controls: Records
    iovecs: Records
    overflow: NDArray[np.uint8]
    names: NDArray[np.uint32]


def make_inbox() -> Inbox:
    """Return an Inbox for a batch; only the used pages of its 16 MiB take memory."""
    return Inbox(
        flow=make_record(
            FLOW,
            is_segmented=1,
            n_singles=MAX_SINGLES - MAX_FIRST_SINGLES,
            packet_bytes=1,
            asks_names=1,
            filtered_for=NOBODY,
        ),
        messages=make_records(MMSGHDR, BATCH_ROWS),
        controls=make_records(CMSGHDR, BATCH_ROWS),
        iovecs=make_records(IOVEC, BATCH_ROWS * (MAX_ROW_IOVECS + 1)),
        overflow=np.zeros((BATCH_ROWS, 2 * MAX_MESSAGE_BYTES), np.uint8),
        names=np.zeros((BATCH_ROWS, _NAME_WORDS), np.uint32),
    )


@compilable
def aim_messages(port: "Port", inbox: Inbox) -> tuple[int, int]:
    """Aim the next batch of messages; return the number of messages to receive, and the number of rows of each."""
    if inbox.flow.is_segmented:
        n_messages, n_rows = 1, _aim_segments(port, inbox)
    else:
        n_messages, n_rows = aim_batch(port, BATCH_ROWS), 1
    _write_iovecs(port, inbox, n_messages, n_rows)
    return n_messages, n_rows


@compilable
def _aim_segments(port: "Port", inbox: Inbox) -> int:
    """Aim the rows of one message, and return their number; 0 if all of the message should go into its overflow."""
    row_bytes, header_bytes = inbox.flow.packet_bytes, port.layout.header_bytes
    n_rows = aim_batch(port, min(BATCH_ROWS, MAX_MESSAGE_BYTES // row_bytes))
    has_room = header_bytes + port.rows[0].n_aimed * port.layout.unit_bytes <= row_bytes
    if port.rows[0].target < 0 or not has_room or row_bytes > header_bytes + port.scratch.shape[1]:
        return 0
    return n_rows


@compilable
def place_messages(port: "Port", inbox: Inbox, n_messages: int, n_rows: int, now_ns: int) -> None:
    """Place the packets of the messages that have come, in the order of their arrival.

    Parameters
    ----------
    port, inbox
        State of the port and messages, as `aim_messages` has prepared and Linux has filled them.
    n_messages
        Number of messages that came.
    n_rows
        Number of rows of each message, as `aim_messages` has returned.
    now_ns
        Time of arrival, in nanoseconds since 1970.
    """
    if inbox.flow.is_segmented:
        n = _accept_segments(port, inbox, n_rows)
    else:
        n = _accept_singles(port, inbox, n_messages)
    while True:
        if n > 0:
            place_batch(port, n, now_ns)
        n = _fill_rows(port, inbox, n_messages)
        if n == 0:
            return


@compilable
def _row_bytes(port: "Port", inbox: Inbox) -> int:
    """Return the number of bytes of a message that each row takes."""
    if inbox.flow.is_segmented:
        return inbox.flow.packet_bytes
    # A row takes the longest valid packet. Longer packets are refused, so the rest is not needed.
    return port.layout.header_bytes + port.scratch.shape[1] - 1


@compilable
def _write_iovecs(port: "Port", inbox: Inbox, n_messages: int, n_rows: int) -> None:
    """Write the messages and iovecs of an aimed batch of `n_messages` messages with `n_rows` rows each."""
    iovecs, layout = inbox.iovecs, port.layout
    row_bytes = _row_bytes(port, inbox)
    header, header_stride = port.headers.ctypes.data, port.headers.strides[0]
    scratch, scratch_stride = port.scratch.ctypes.data, port.scratch.strides[0]
    overflow, overflow_stride = inbox.overflow.ctypes.data, inbox.overflow.strides[0]
    ring = port.data.ctypes.data
    first = row = 0
    for index in range(n_messages):
        at = first
        for _ in range(n_rows):
            target, n_bytes = port.rows[row].target, port.rows[row].n_aimed * layout.unit_bytes
            iovecs[at].base = header
            iovecs[at].n_bytes = layout.header_bytes
            iovecs[at + 1].base = scratch if target < 0 else ring + target
            iovecs[at + 1].n_bytes = n_bytes
            at += 2
            n_left = row_bytes - layout.header_bytes - n_bytes
            if n_left > 0:
                iovecs[at].base = scratch + n_bytes
                iovecs[at].n_bytes = n_left
                at += 1
            header += header_stride
            scratch += scratch_stride
            row += 1
        iovecs[at].base = overflow + n_rows * row_bytes
        iovecs[at].n_bytes = MAX_MESSAGE_BYTES
        overflow += overflow_stride
        at += 1
        message = inbox.messages[index]
        message.iovecs = iovecs.ctypes.data + iovecs.itemsize * first
        message.n_iovecs = at - first
        message.name = inbox.names.ctypes.data + inbox.names.strides[0] * index if inbox.flow.asks_names else 0
        message.name_bytes = inbox.names.strides[0] if inbox.flow.asks_names else 0
        message.control = inbox.controls.ctypes.data + inbox.controls.itemsize * index
        message.control_bytes = inbox.controls.itemsize
        first = at


@compilable
def _sender_of(port: "Port", inbox: Inbox, index: int) -> int:
    """Return the number of the sender of a received message."""
    names: Any = inbox.names
    flow = inbox.flow
    if not flow.asks_names:
        if inbox.messages[index].length == 0:
            flow.n_cut += 1
            return UNNAMED
        return flow.filtered_for
    if names[index, 0] & 0xFFFF != _AF_INET6:
        sender: Any = np.int64(names[index, 1])
        return sender
    word_0, word_1 = np.int64(names[index, 2]), np.int64(names[index, 3])
    return number_of_ipv6(port, word_0, word_1, np.int64(names[index, 4]), np.int64(names[index, 5]))


@compilable
def choose_names(port: "Port", inbox: Inbox, was_filtered: bool, has_been_empty: bool, is_quiet: bool) -> None:
    """Choose whether the addresses of the next messages are asked for, which costs 65 ns a message.

    They are not while the filter of the socket knows all senders that are believed. What came before the filter
    has been received once the socket was empty. A packet that the filter has cut, and silence, end this: then another
    sender may have to be found.

    Parameters
    ----------
    port, inbox
        State of the port, and its messages.
    was_filtered
        Whether the filter was there before the last call of recvmmsg.
    has_been_empty
        Whether this call has found the socket empty.
    is_quiet
        Whether no packet was placed for a while.
    """
    flow = inbox.flow
    if flow.filtered_for == NOBODY:
        return
    if flow.n_cut > 0 or is_quiet or flow.is_segmented or not _lets_in_believed(port, flow):
        flow.n_cut = 0
        flow.asks_names = 1
        flow.filtered_for = NOBODY
        port.state.has_ended = 1  # wakes up the main thread, which removes the filter
    elif was_filtered and has_been_empty:
        flow.asks_names = 0


@compilable
def _lets_in_believed(port: "Port", flow: Record) -> bool:
    if port.allowed.shape[0] > 0:
        return True
    are_the_same: Any = port.state.n_believed == flow.n_filtered
    return are_the_same and is_believed(port, flow.filtered_for)


@compilable
def _packet_bytes(inbox: Inbox, index: int) -> int:
    """Return the length of the packets of a received message; only the last one may be shorter."""
    message, control = inbox.messages[index], inbox.controls[index]
    length: Any = np.int64(message.length)
    if message.control_bytes == 0 or control.level != SOL_UDP or control.kind != UDP_GRO:
        return length
    return max(1, min(length, np.int64(control.value)))


@compilable
def _gather(inbox: Inbox, index: int) -> None:
    """Copy the bytes of a message that its rows have received to their place in the overflow."""
    message, iovecs = inbox.messages[index], inbox.iovecs
    first = (np.int64(message.iovecs) - iovecs.ctypes.data) // iovecs.itemsize
    whole = inbox.overflow.ctypes.data + index * inbox.overflow.strides[0]
    n_left: Any = np.int64(message.length)
    for at in range(first, first + np.int64(message.n_iovecs) - 1):
        n_bytes = min(np.int64(iovecs[at].n_bytes), n_left)
        memcpy(whole, np.int64(iovecs[at].base), n_bytes)
        whole += n_bytes
        n_left -= n_bytes


@compilable
def _accept_segments(port: "Port", inbox: Inbox, n_rows: int) -> int:
    """Handle the one message for which `n_rows` rows were aimed; return how many packets lie in the rows."""
    flow = inbox.flow
    length: Any = np.int64(inbox.messages[0].length)
    row_bytes, packet_bytes = flow.packet_bytes, _packet_bytes(inbox, 0)
    flow.n_singles += 1
    if length > packet_bytes:
        flow.n_singles = 0
        flow.packet_bytes = packet_bytes
    elif flow.n_singles >= MAX_SINGLES:
        flow.is_segmented = 0
    flow.next_message = flow.next_byte = 0
    is_as_aimed = packet_bytes == row_bytes or length <= min(packet_bytes, row_bytes)
    if not is_as_aimed or n_rows == 0:
        _gather(inbox, 0)
        return 0
    n_left = length
    n = 0
    sender = _sender_of(port, inbox, 0)
    while True:
        port.rows[n].length = min(n_left, row_bytes)
        port.rows[n].sender = sender
        n_left -= row_bytes
        n += 1
        if n_left <= 0:
            flow.next_message = 1
            return n
        if n == n_rows:
            flow.next_byte = n * row_bytes
            return n


@compilable
def _accept_singles(port: "Port", inbox: Inbox, n_messages: int) -> int:
    """Handle messages with one aimed row each; return how many at the head are single packets in their rows."""
    flow = inbox.flow
    n = 0
    while n < n_messages and inbox.messages[n].length <= _packet_bytes(inbox, n):
        port.rows[n].length = inbox.messages[n].length
        port.rows[n].sender = _sender_of(port, inbox, n)
        n += 1
    flow.next_message, flow.next_byte = n, 0
    for index in range(n, n_messages):
        _gather(inbox, index)
        packet_bytes = _packet_bytes(inbox, index)
        if inbox.messages[index].length > packet_bytes:
            flow.is_segmented = 1
            flow.n_singles = 0
            flow.packet_bytes = packet_bytes
    return n


@compilable
def _fill_rows(port: "Port", inbox: Inbox, n_messages: int) -> int:
    """Copy the next packets from the overflow to rows, and return their number; 0 when all are placed."""
    flow, header_bytes, capacity = inbox.flow, port.layout.header_bytes, port.scratch.shape[1]
    n = 0
    while n < BATCH_ROWS and flow.next_message < n_messages:
        index = flow.next_message
        n_left = np.int64(inbox.messages[index].length) - flow.next_byte
        length = min(_packet_bytes(inbox, index), n_left)
        packet = inbox.overflow.ctypes.data + index * inbox.overflow.strides[0] + flow.next_byte
        payload_bytes = max(0, min(length - header_bytes, capacity))
        memcpy(port.headers.ctypes.data + n * port.headers.strides[0], packet, min(length, header_bytes))
        memcpy(port.scratch.ctypes.data + n * port.scratch.strides[0], packet + header_bytes, payload_bytes)
        port.rows[n].length = length
        port.rows[n].sender = _sender_of(port, inbox, index)
        port.rows[n].target = -1
        n += 1
        flow.next_byte += length
        if length == n_left:
            flow.next_message += 1
            flow.next_byte = 0
    return n
