"""AddressLookup: finds the network addresses of a host without making the caller wait."""

import socket
import threading

Address = tuple[int, tuple[object, ...]]
"""Family of a socket, and the address to connect it to."""


class AddressLookup:
    """Looks a host up, in a thread: an answer of the name service may take many seconds, or never come.

    Parameters
    ----------
    host, port
        As in the configuration; the host is a name, or an address.

    Attributes
    ----------
    addresses
        What was found; None until there is an answer.
    error
        Why nothing was found.
    """

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self.addresses: list[Address] | None = None
        self.error = ""
        try:
            self.addresses = _look_up(host, port, socket.AI_NUMERICHOST)
        except OSError:
            # A daemon: the process ends without waiting for the name service.
            threading.Thread(target=self._run, name="address-lookup", daemon=True).start()

    def _run(self) -> None:
        try:
            self.addresses = _look_up(*self._place, 0)
        except (OSError, UnicodeError) as error:
            self.error = str(error)
            self.addresses = []


def _look_up(host: str, port: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))
