"""UdpSocket: a socket for one port of the detector, with as large a receive buffer as the kernel grants."""

import ctypes
import socket
import struct
from contextlib import suppress

from std_daq.errors import PortError
from std_daq.packets.receive_buffer import ask_for_receive_buffer
from std_daq.packets.udp_place import UdpPlace
from std_daq.telemetry.logs import get_logger
from std_udp_recv.sender_program import BPF_INSTRUCTION

# Numbers of Linux that the socket module does not have.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8
_UDP_GRO = 104
_MAX_MESSAGE_BYTES = 65536
# Least number of the longest messages that the buffer must hold for UDP_GRO. The kernel drops a message as a whole if
# the buffer has too little room for it; in a smaller buffer this would cost too many packets.
_MIN_MESSAGES = 16
_RECEIVE_TIMEOUT_S = 0.05
_TIMEVAL = struct.Struct("ll")
_MEMINFO = struct.Struct("9I")
_SOCK_FPROG = struct.Struct("HP")


class UdpSocket:
    """A bound socket whose receiving calls wait at most 50 ms.

    Parameters
    ----------
    place, port
        Address or group, and UDP port, on which to receive.
    buffer_bytes
        Size of the receive buffer to request from the kernel.
    gro
        Whether the kernel may deliver several packets as one message (``UDP_GRO``). This needs a kernel that supports
        it, and a receive buffer with room for many such messages.

    Attributes
    ----------
    port
        Number of the UDP port.
    granted_bytes
        Size of the receive buffer that the kernel has granted.
    is_gro
        Whether a message may carry several packets.

    Raises
    ------
    PortError
        The port is in use or not allowed, or the group cannot be joined.
    """

    def __init__(self, place: UdpPlace, port: int, buffer_bytes: int, *, gro: bool = True) -> None:
        self._socket = place.open_socket()
        self._ask_for_buffer(buffer_bytes)
        self.is_gro = gro and self._ask_for_gro()
        seconds, fraction = divmod(_RECEIVE_TIMEOUT_S, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(int(seconds), int(fraction * 1e6)))
        try:
            place.bind(self._socket, port)
        except PortError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]

    @property
    def fileno(self) -> int:
        """Descriptor of the socket."""
        return self._socket.fileno()

    @property
    def kernel_drops(self) -> int:
        """Number of messages that the kernel has dropped, because the receive buffer was full, modulo 2**32.

        A message is one packet. With ``UDP_GRO`` it may be several, and the kernel does not tell how many.
        """
        raw = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        drops: int = _MEMINFO.unpack(raw)[_MEMINFO_DROPS]
        return drops

    def receive(self) -> tuple[bytes, str] | None:
        """Return the next packet and the address of its sender without waiting for it; None if there is none.

        For ports without ``UDP_GRO``.
        """
        try:
            packet, (address, *_) = self._socket.recvfrom(_MAX_MESSAGE_BYTES, socket.MSG_DONTWAIT)
            return packet, address
        except BlockingIOError:
            return None

    def attach_filter(self, program: bytes) -> bool:
        """Have the kernel run a program of classic BPF on each message; returns whether it does.

        Parameters
        ----------
        program
            Its instructions, each a ``struct sock_filter``, for example from `sender_program`.
        """
        instructions = ctypes.create_string_buffer(program, len(program))
        n = len(program) // BPF_INSTRUCTION.size
        try:
            self._socket.setsockopt(
                socket.SOL_SOCKET, _SO_ATTACH_FILTER, _SOCK_FPROG.pack(n, ctypes.addressof(instructions))
            )
        except OSError:  # the kernel has no such filters, or too little memory for one
            return False
        return True

    def detach_filter(self) -> None:
        """Remove the filter, if there is one."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def close(self) -> None:
        """Release the port."""
        self._socket.close()

    def _ask_for_gro(self) -> bool:
        if self.granted_bytes < _MIN_MESSAGES * _MAX_MESSAGE_BYTES:
            return False
        try:
            self._socket.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
        except OSError:
            return False  # Linux before 5.0
        return True

    def _ask_for_buffer(self, buffer_bytes: int) -> None:
        self.granted_bytes = ask_for_receive_buffer(self._socket, buffer_bytes)
        if self.granted_bytes < buffer_bytes:
            get_logger().warning(
                "socket_buffer_small",
                asked_bytes=buffer_bytes,
                granted_bytes=self.granted_bytes,
                remedy=f"sysctl -w net.core.rmem_max={buffer_bytes}",
            )
