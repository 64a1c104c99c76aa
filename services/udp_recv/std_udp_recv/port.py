"""Port: all data that the compiled loop of a port works on, and their construction from a PacketLayout."""

import math
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout
from std_udp_recv import records
from std_udp_recv.records import Record, Records, make_record, make_records

_WORD = 8
_WORDS_IN_LINE = 8
_MAX_INT64 = 2**63 - 1
_MAX_MASK_THAT_WRAPS = 2**32  # at 10 kHz, the numbers begin again after five days


class Port(NamedTuple):
    """State of one port.

    A *row* is the place of one datagram in `rows`, `headers` and `scratch`. The rows of a batch come first, and the
    rows of the quarantine behind them.

    Attributes
    ----------
    layout
        Numbers of the PacketLayout and of the ring, a `LAYOUT`.
    fields, checks
        Header fields, a `FIELDS`; checks of header fields, an array of `CHECK`.
    state
        Values that change from packet to packet, a `STATE`.
    counters
        A `COUNTERS`, which other threads read.
    rows
        An array of `ROW`.
    headers
        Packet headers as 64-bit words, (rows, words).
    scratch
        Payloads that are not received in their place, and bytes that exceed the expected payload, (rows, bytes).
    open_keys
        Keys of the open frames.
    claims
        Refused packets that claim to belong to frames, an array of `CLAIM`.
    lengths
        Lengths of packets that were refused for their length, an array of `LENGTH`.
    allowed
        Configured senders, an array of `NETWORK`; empty if senders are learned. An IPv6 network has a place here that
        fits no sender.
    allowed_ipv6
        Configured IPv6 networks, (networks, 2, 4): address and mask as 32-bit words in the order of memory.
    addresses
        The last IPv6 addresses that have sent, an array of `ADDRESS`.
    believed, formers
        Addresses of the senders that are believed, and of those that had been believed for most frames before.
    strangers
        Senders whose packets were refused, an array of `STRANGER`.
    slots
        Slot headers of all frames in the FrameBuffer, an array of `SLOT_HEADER`.
    bitmaps
        Bitmaps of all frames, (frames, words): one bit for each unit, set if the unit was received.
    data
        Pixels of the FrameBuffer.
    queue
        Queue of ended frames for the main thread: an array of `ENDED_FRAME` whose elements are used in turn.
    published
        One word: frame number of the last exposure that was published; -1 if there is none.
    n_queued, n_dequeued
        One word each, on separate cache lines: how many frames this thread has put into the queue, and how many the
        main thread has taken out.
    """

    layout: Record
    fields: Record
    checks: Records
    state: Record
    counters: Record
    rows: Records
    headers: NDArray[np.uint64]
    scratch: NDArray[np.uint8]
    open_keys: NDArray[np.int64]
    claims: Records
    lengths: Records
    allowed: Records
    allowed_ipv6: NDArray[np.int64]
    addresses: Records
    believed: NDArray[np.int64]
    formers: NDArray[np.int64]
    strangers: Records
    slots: Records
    bitmaps: NDArray[np.uint64]
    data: NDArray[np.uint8]
    queue: Records
    published: NDArray[np.int64]
    n_queued: NDArray[np.uint64]
    n_dequeued: NDArray[np.uint64]


def make_port(
    layout: PacketLayout,
    ring: FrameBuffer,
    submodule: int,
    *,
    window_frames: int,
    key_step: int,
    epoch: int,
    published: NDArray[np.int64] | None = None,
    senders: Sequence[IPv4Network | IPv6Network] = (),
) -> Port:
    """Make the state of a port.

    Parameters
    ----------
    layout
        Layout of the packets on this port.
    ring, submodule
        FrameBuffer for the frames, and the submodule that they belong to.
    window_frames
        Largest number of open frames.
    key_step
        Difference between the keys of consecutive frames on this port.
    epoch
        Epoch of the first frames; greater than the epochs of all frames of this submodule in the ring.
    published
        See `Port`; the ports of a receiver share it. By default nothing is published.
    senders
        Addresses from which packets are taken; by default they are learned.
    """
    max_quarantined = _max_quarantined(layout)
    n_rows = records.BATCH_ROWS + max_quarantined
    header_words = -(-layout.header_bytes // _WORD)
    capacity = layout.max_packet_bytes - layout.header_bytes + 1  # one more byte shows that a datagram is too long
    state = make_record(records.STATE)
    state.epoch = epoch
    state.surplus_key = records.NO_KEY
    state.sender = state.on_trial = records.NOBODY
    state.units_in_packet = layout.units_per_packet or layout.max_units_per_packet
    rows = make_records(records.ROW, n_rows)
    rows.target = -1
    addresses = make_records(records.ADDRESS, records.ADDRESSES)
    addresses.sender = records.NOBODY
    claims = make_records(records.CLAIM, records.CLAIM_SLOTS)
    claims.key = records.NO_KEY
    cursors = np.zeros(2 * _WORDS_IN_LINE, np.uint64)
    return Port(
        layout=_layout(layout, ring, submodule, window_frames, key_step, max_quarantined),
        fields=_fields(layout),
        checks=_checks(layout),
        state=state,
        counters=make_record(records.COUNTERS),
        rows=rows,
        headers=np.zeros((n_rows, header_words), np.uint64),
        scratch=np.zeros((n_rows, capacity), np.uint8),
        open_keys=np.zeros(window_frames + 2, np.int64),
        claims=claims,
        lengths=make_records(records.LENGTH, records.LENGTHS),
        allowed=_networks(senders),
        allowed_ipv6=_networks_ipv6(senders),
        addresses=addresses,
        believed=np.full(records.MAX_SENDERS, records.NOBODY),
        formers=np.full(records.MAX_SENDERS, records.NOBODY),
        strangers=make_records(records.STRANGER, records.MAX_STRANGERS),
        slots=_slots(ring),
        bitmaps=ring.headers["received"],
        data=ring.segment.bytes[ring.geometry.offsets()["data"] :],
        queue=make_records(records.ENDED_FRAME, records.QUEUE_LENGTH),
        published=np.full(1, -1) if published is None else published,
        n_queued=cursors[:1],
        n_dequeued=cursors[_WORDS_IN_LINE : _WORDS_IN_LINE + 1],
    )


def total(counters: Iterable[Record]) -> Record:
    """Return the sum of the counters of several ports."""
    result = np.zeros(1, records.COUNTERS)
    for one in counters:
        result.view(np.int64)[:] += np.frombuffer(one, np.int64)
    return result.view(np.recarray)[0]


def _max_quarantined(layout: PacketLayout) -> int:
    """Return the size of the quarantine: two frames, whose number of packets may be known only roughly."""
    n_packets = layout.packets_per_frame * (2 if layout.units_per_packet else 4)
    return min(max(n_packets, records.MIN_QUARANTINED), records.MAX_QUARANTINED)


def _layout(
    layout: PacketLayout, ring: FrameBuffer, submodule: int, window_frames: int, key_step: int, max_quarantined: int
) -> Record:
    return make_record(
        records.LAYOUT,
        header_bytes=layout.header_bytes,
        unit_bytes=layout.unit_bytes,
        n_units=layout.n_units,
        first_unit=layout.first_unit,
        max_units=layout.max_units_per_packet,
        max_padding_bytes=layout.max_padding_bytes,
        is_fixed_size=layout.units_per_packet > 0,
        window=window_frames * key_step,
        key_step=key_step,
        module=submodule,
        n_modules=ring.n_modules,
        n_slots=ring.n_slots,
        slot_step=math.gcd(key_step, ring.n_slots),
        frame_stride=ring.geometry.data_stride,
        max_quarantined=max_quarantined,
        key_mask=layout.key.mask & _MAX_INT64,
        key_span=layout.key.mask + 1 if layout.key.mask < _MAX_MASK_THAT_WRAPS else 0,
    )


def _fields(layout: PacketLayout) -> Record:
    fields = make_record(records.FIELDS)
    for name in records.FIELDS.names or ():
        fields[name] = _compile(getattr(layout, name))
    return fields


def _compile(field: HeaderField | None) -> tuple[int, int, int, int]:
    """Return a header field as the values of a `FIELD`."""
    if field is None:
        return 0, 0, 0, records.ABSENT
    word, byte = divmod(field.offset, _WORD)
    if byte + field.width > _WORD:
        raise ValueError(f"{field} crosses the border of two 64-bit words of the header")
    mask = (2 ** (8 * field.width) - 1) >> field.shift & field.mask
    return word, 8 * byte + field.shift, mask, records.DOUBLE if field.kind == "float64" else records.INTEGER


def _checks(layout: PacketLayout) -> Records:
    checks = [(_compile(check.field), check.expected, records.REASONS.index(check.reason)) for check in layout.checks]
    return np.array(checks, records.CHECK).view(np.recarray)


def _networks(senders: Sequence[IPv4Network | IPv6Network]) -> Records:
    networks = [
        (sender_of(network.network_address), sender_of(network.netmask))
        if isinstance(network, IPv4Network)
        else (records.NOBODY, 0)
        for network in senders
    ]
    return np.array(networks, records.NETWORK).view(np.recarray)


def _networks_ipv6(senders: Sequence[IPv4Network | IPv6Network]) -> NDArray[np.int64]:
    networks = [
        (words_of(network.network_address), words_of(network.netmask))
        for network in senders
        if isinstance(network, IPv6Network)
    ]
    return np.array(networks, np.int64).reshape(-1, 2, 4)


def words_of(address: IPv6Address) -> tuple[int, ...]:
    """Return an IPv6 address as four words of 32 bits, in the order of memory."""
    return struct.unpack("<4I", address.packed)


def sender_of(address: IPv4Address) -> int:
    """Return an address as the number that `ROW` has for it."""
    return int.from_bytes(address.packed, "little")


def address_of(port: Port, sender: int) -> str:
    """Return the address of a sender in a `ROW`, as text."""
    if sender < records.FIRST_IPV6:
        return str(IPv4Address(int(sender).to_bytes(4, "little")))
    for known, *words in port.addresses.tolist():
        if known == sender:
            return str(IPv6Address(struct.pack("<4I", *words)))
    return "an IPv6 address that many others have followed"


def _slots(ring: FrameBuffer) -> Records:
    """Return the slot headers of the ring, in place and without their bitmaps."""
    return np.ndarray(
        ring.headers.shape,
        records.SLOT_HEADER,
        ring.segment.bytes,
        ring.geometry.offsets()["headers"],
        ring.headers.strides,
    ).view(np.recarray)
