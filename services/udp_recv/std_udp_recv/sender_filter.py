"""SenderFilter: lets the kernel look at the sender of each packet, as long as no stranger speaks.

The receive loop asks Linux for the address of each message. For single packets of 4 KiB, this costs 3 to 6 % of
receiving. So while a port is calm, a filter of the socket looks at the addresses instead (sender_program.py), and the
loop takes every message with a payload for a sender's. A port is calm if many packets come, all of them from senders
that are believed.

The filter cannot learn whom to believe. A stranger's packet reaches the loop without its payload, and is refused;
packets that came as one message count as one. At once the loop asks for addresses again, then the filter is removed,
and all rules for senders are as without it (sender_kernels.py), until the port has been calm for a while. The same
happens when the sender falls silent, long before another may take its place.

Neither change loses or confuses packets: the loop asks until it has found the socket empty under the filter, and the
filter is removed when the loop is asking.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from std_udp_recv.port import Port, address_of
from std_udp_recv.records import FIRST_IPV6, FOREIGN_SENDER, NOBODY, Record
from std_udp_recv.sender_program import sender_program
from std_udp_recv.udp_socket import UdpSocket

CALM_S = 2.0
"""A port is calm if no stranger has sent for this time."""
MIN_PACKETS = 2000
"""Fewer packets in this time are not worth a filter."""


class SenderFilter:
    """Attaches a filter to a socket and removes it; `update` is called several times a second.

    Parameters
    ----------
    port
        State of the port.
    flow
        How packets come, a `FLOW`.
    udp_socket
        Socket of the port.
    senders
        Configured senders; empty if they are learned.
    """

    def __init__(
        self, port: Port, flow: Record, udp_socket: UdpSocket, senders: Sequence[IPv4Network | IPv6Network]
    ) -> None:
        self._port = port
        self._flow = flow
        self._socket = udp_socket
        self._senders = tuple(senders)
        self._is_attached = False
        self._is_possible = True
        self._n_foreign = 0
        self._start_calm(0.0)

    def update(self, now_s: float) -> None:
        """Attach or remove the filter if it is time.

        Parameters
        ----------
        now_s
            Monotonic time, in seconds.
        """
        if self._is_attached:
            if self._flow.filtered_for == NOBODY and self._flow.asks_names:
                self._socket.detach_filter()
                self._is_attached = False
                self._start_calm(now_s)
            return
        if self._port.counters.rejected[FOREIGN_SENDER] != self._n_foreign:
            self._start_calm(now_s)
        if not self._is_possible or now_s - self._since_s < CALM_S:
            return
        if self._port.counters.received - self._n_received >= MIN_PACKETS:
            self._attach()
        self._start_calm(now_s)

    def _start_calm(self, now_s: float) -> None:
        self._since_s = now_s
        self._n_foreign = int(self._port.counters.rejected[FOREIGN_SENDER])
        self._n_received = int(self._port.counters.received)

    def _attach(self) -> None:
        """Attach the filter for all senders that are believed."""
        state, sender = self._port.state, int(self._port.state.sender)
        if self._flow.is_segmented or state.n_quarantined or sender == NOBODY:
            return
        believed = self._port.believed[: int(state.n_believed)].tolist()
        try:
            networks = self._senders or [ip_network(address_of(self._port, one)) for one in believed]
        except ValueError:  # an IPv6 address that is not known any more
            return
        program = sender_program(networks, 6 if sender >= FIRST_IPV6 else 4)
        self._is_possible = program is not None and self._socket.attach_filter(program)
        if self._is_possible:
            self._is_attached = True
            # The loop looks again whether these are the believed senders before it relies on the filter.
            self._flow.n_filtered = len(believed)
            self._flow.filtered_for = sender
