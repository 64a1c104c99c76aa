"""Fast sending of packets to one UDP port."""

import errno
import os
import socket
import time
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.address_words import address_in_words, number_in_words
from std_daq.errors import PortError
from std_daq.packets.udp_place import UdpPlace
from std_daq.telemetry.logs import get_logger

# <linux/udp.h>, <linux/in.h>, <linux/in6.h>; the socket module lacks some of these constants
_UDP_SEGMENT = 103
_IP_MTU = 14
_IPV6_MTU = 24
_HEADER_BYTES = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}

_MESSAGES_A_CALL = 64
_PACKETS_A_CALL = 512
_SEND_BUFFER_BYTES = 4 << 20

# The message was not sent, but can be sent without segments: the card has no checksum offload, or a segment is larger
# than the path's MTU.
_NO_SEGMENTS = {errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP}
# The message was not sent; a retry sends it. ECONNREFUSED is about an earlier message for which nobody listened.
_TRY_AGAIN = {errno.EINTR, errno.ECONNREFUSED}
_TRY_LATER = {errno.EAGAIN, errno.ENOBUFS}
_LATER_S = 100e-6


class PacketSender:
    """Sender of packets to one UDP port, in the given order and as fast as the system accepts them.

    Like a detector, it sends whether or not anybody listens. Where kernel and path allow it, packets of the same length
    go out as segments of larger messages (``UDP_SEGMENT``), which saves most of the cost per packet. The receiver gets
    the same datagrams in both cases.

    Parameters
    ----------
    host, port
        Destination: a host, or a multicast group.
    segments
        Whether to use ``UDP_SEGMENT`` where possible.
    interface, hops
        For a group: the interface, by name or address, through which packets leave, by default that of the route; and
        over how many networks they go: 0 for this machine only, 1 for its own network.

    Attributes
    ----------
    port
        Destination port.
    n_sent, n_bytes
        Packets and bytes that the system accepted.
    n_retries
        How often the sender had to wait because the system's buffer was full.

    Raises
    ------
    PortError
        The address is unknown, unreachable or not allowed.
    """

    def __init__(
        self, host: str, port: int, *, segments: bool = True, interface: str | None = None, hops: int = 1
    ) -> None:
        from std_daq.packets import kernels

        self._kernels = kernels
        self.port = port
        self.n_sent = 0
        self.n_bytes = 0
        self.n_retries = 0
        self._socket = _connect(host, port, interface, hops)
        self._max_segment_bytes = _max_segment_bytes(self._socket) if segments else 0
        self._messages = np.zeros((_MESSAGES_A_CALL, kernels.MESSAGE_WORDS), np.uint64)
        self._iovecs = np.zeros((_PACKETS_A_CALL, kernels.IOVEC_WORDS), np.uint64)
        self._controls = np.zeros((_MESSAGES_A_CALL, kernels.CONTROL_WORDS), np.uint64)
        self._warm_up()

    @property
    def is_segmenting(self) -> bool:
        """Whether ``UDP_SEGMENT`` is in use."""
        return self._max_segment_bytes > 0

    def is_refused(self) -> bool:
        """Return whether the destination has said of the last packets that nobody listens there; asks only once.

        A host that drops packets in silence, or a firewall, says nothing.
        """
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED

    def send(
        self,
        packets: NDArray[np.uint8],
        *,
        lengths: NDArray[np.integer] | None = None,
        order: NDArray[np.integer] | None = None,
    ) -> int:
        """Send the packets of an array.

        Parameters
        ----------
        packets
            u8, shape (n, packet_bytes), C order.
        lengths
            Number of bytes to send of each row, shape (n,); by default the whole row.
        order
            Indices of the rows to send, in this order; rows may be left out and repeated. By default all rows.

        Returns
        -------
        int
            Number of packets sent, ``len(order)`` or n.
        """
        n, packet_bytes = packets.shape
        if not packets.flags.c_contiguous:
            raise ValueError("packets must be an array in C order")
        all_lengths = np.full(n, packet_bytes, np.int64) if lengths is None else lengths.astype(np.int64)
        offsets = np.arange(n, dtype=np.int64) * packet_bytes
        if order is not None:
            offsets, all_lengths = offsets[order], all_lengths[order]
        return self.send_from(packets.reshape(-1), offsets, all_lengths)

    def send_from(self, buffer: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> int:
        """Send packets that lie anywhere in a buffer, without copying them first.

        Parameters
        ----------
        buffer
            Buffer that contains the packets: u8, one dimension, contiguous.
        offsets, lengths
            Offset and length of each packet, in bytes: i64.

        Returns
        -------
        int
            Number of packets sent, ``len(offsets)``.
        """
        if len(offsets) != len(lengths) or not buffer.flags.c_contiguous:
            raise ValueError("offsets and lengths must have the same length, and the buffer must be contiguous")
        offsets, lengths = np.ascontiguousarray(offsets), np.ascontiguousarray(lengths)
        n_bytes = self._kernels.total_bytes(offsets, lengths, buffer.size)
        if n_bytes < 0:
            raise ValueError("a packet lies outside its buffer")
        n_sent, error = self._call(buffer, offsets, lengths)
        while n_sent < len(offsets):
            self._recover(error)
            n_more, error = self._call(buffer, offsets[n_sent:], lengths[n_sent:])
            n_sent += n_more
        self.n_sent += n_sent
        self.n_bytes += n_bytes
        return n_sent

    def _call(
        self, buffer: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> tuple[int, int]:
        n, error = self._kernels.send_packets(
            self._socket.fileno(),
            buffer.ctypes.data,
            offsets,
            lengths,
            self._max_segment_bytes,
            self._messages,
            self._iovecs,
            self._controls,
        )
        return int(n), int(error)

    def _recover(self, error: int) -> None:
        """Prepare a retry after an errno: wait, or switch segments off; raise PortError if no retry helps."""
        if error in _TRY_AGAIN:
            return
        if error in _TRY_LATER:
            self.n_retries += 1
            time.sleep(_LATER_S)
        elif error in _NO_SEGMENTS and self.is_segmenting:
            self._max_segment_bytes = 0
            get_logger().info("udp_segment_off", port=self.port, reason=os.strerror(error))
        else:
            host = self._socket.getpeername()[0]
            raise PortError(f"cannot send to {host} port {self.port}: {number_in_words(error)}")

    def _warm_up(self) -> None:
        """Compile the loop now, not when the first frame is due."""
        self.send(np.empty((0, 0), np.uint8))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect(host: str, port: int, interface: str | None, hops: int) -> socket.socket:
    """Return a UDP socket connected to `host` and `port`."""
    sock = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        found = ip_address(address[0])
        if found.is_multicast:
            UdpPlace(found, interface).prepare_to_send(sock, hops)
        sock.connect(address)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise PortError(f"cannot send to {host} port {port}: {address_in_words(error)}") from error
    return sock


def _max_segment_bytes(sock: socket.socket) -> int:
    """Return the longest packet that can be sent as a segment on this path; 0 if the kernel has no ``UDP_SEGMENT``."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
        if sock.family == socket.AF_INET6:
            mtu = sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
        else:
            mtu = sock.getsockopt(socket.IPPROTO_IP, _IP_MTU)
    except OSError:
        return 0
    return max(0, mtu - _HEADER_BYTES[socket.AddressFamily(sock.family)])
