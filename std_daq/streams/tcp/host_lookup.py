"""HostLookup: where a host is, found out while others go on."""

import socket
import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostAddress:
    """What a socket is made of, and connected to."""

    family: int
    kind: int
    protocol: int
    address: tuple[object, ...]


class HostLookup:
    """Asks the system's resolver, which may take its time, in a thread of its own.

    Where the host is given by its number nobody is asked, and the answer is there at once. A lookup that nobody wants
    any more ends by itself when the resolver does.

    Parameters
    ----------
    host, port
        What to look up.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._answer: list[HostAddress] | OSError | None = None
        try:
            self._answer = self._ask(socket.AI_NUMERICHOST)
        except OSError:
            threading.Thread(target=self._run, name="host lookup", daemon=True).start()

    def answer(self) -> list[HostAddress] | None:
        """Return its addresses, the best one first; None where the answer has not come.

        Raises
        ------
        OSError
            When there is no such host.
        """
        if isinstance(self._answer, OSError):
            raise self._answer
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except OSError as error:
            self._answer = error

    def _ask(self, flags: int = 0) -> list[HostAddress]:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=flags)
        except UnicodeError:
            raise OSError(f"'{self._host}' cannot be the name of a host") from None
        return [HostAddress(family, kind, protocol, address) for family, kind, protocol, _, address in found]
