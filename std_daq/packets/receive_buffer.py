"""The receive buffer of a UDP socket: as large as asked for, where the kernel grants it."""

import socket

# <asm-generic/socket.h>: like SO_RCVBUF, but beyond net.core.rmem_max; it needs CAP_NET_ADMIN.
_SO_RCVBUFFORCE = 33


def ask_for_receive_buffer(sock: socket.socket, n_bytes: int) -> int:
    """Ask the kernel for a receive buffer, and return how large it is, in bytes of packets.

    The kernel grants at most ``net.core.rmem_max``; a process with CAP_NET_ADMIN gets what it asks for.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, n_bytes)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, n_bytes)
    # The kernel doubles the value, for its own bookkeeping.
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
