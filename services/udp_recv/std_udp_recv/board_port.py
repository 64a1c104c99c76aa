"""BoardPort: the one UDP port to which all boards send, and the way of packets of other products."""

import select
import socket
from contextlib import suppress

from std_daq.telemetry.logs import ConditionLog
from std_udp_recv.udp_socket import UdpSocket


class BoardPort:
    """Receives packets, and passes on those of other products.

    Parameters
    ----------
    udp_socket
        Socket of the port.
    others_to
        Address and port for packets of other products; None if nobody wants them.

    Attributes
    ----------
    n_received, n_passed_on
        Packets that the kernel delivered, and those that were passed on.
    """

    def __init__(self, udp_socket: UdpSocket, others_to: tuple[str, int] | None = None) -> None:
        self.socket = udp_socket
        self.n_received = 0
        self.n_passed_on = 0
        self._poll = select.poll()
        self._poll.register(udp_socket.fileno, select.POLLIN)
        self._others_to = others_to
        self._others = None if others_to is None else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._conditions = ConditionLog()
        self._drops = self._drops_word = 0

    @property
    def granted_bytes(self) -> int:
        """Size of the receive buffer that the kernel has granted."""
        return self.socket.granted_bytes

    @property
    def kernel_drops(self) -> int:
        """Number of packets that the kernel has dropped, because the receive buffer was full."""
        word = self.socket.kernel_drops
        self._drops += (word - self._drops_word) % 2**32
        self._drops_word = word
        return self._drops

    def wait(self, timeout_ms: int) -> None:
        """Wait for packets, at most ``timeout_ms``."""
        self._poll.poll(timeout_ms)

    def receive(self) -> tuple[bytes, str] | None:
        """Return the next packet and the address of its sender; None if there is none."""
        received = self.socket.receive()
        self.n_received += received is not None
        return received

    def pass_on(self, packet: bytes) -> bool:
        """Pass on a packet of another product, and return whether somebody wants it."""
        if self._others is None or self._others_to is None:
            return False
        try:
            self._others.sendto(packet, self._others_to)
        except OSError as error:
            self._conditions.warning("packet_not_passed_on", to=str(self._others_to), error=str(error))
            return False
        self.n_passed_on += 1
        return True

    def close(self) -> None:
        """Close the sockets."""
        with suppress(KeyError):
            self._poll.unregister(self.socket.fileno)
        self.socket.close()
        if self._others is not None:
            self._others.close()
