"""HostLookup: resolves a host name in the background."""

import socket
import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostAddress:
    """The arguments to create a socket and to connect it."""

    family: int
    kind: int
    protocol: int
    address: tuple[object, ...]


class HostLookup:
    """Resolves a host in a thread of its own, because the resolver of the system may block.

    A numeric host needs no resolver, and the answer is available at once. A look-up cannot be cancelled; its thread
    ends when the resolver returns.

    Parameters
    ----------
    host, port
        Host and port to resolve.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._answer: list[HostAddress] | OSError | None = None
        try:
            self._answer = self._ask(socket.AI_NUMERICHOST)
        except OSError:
            threading.Thread(target=self._run, name="host lookup", daemon=True).start()

    def answer(self) -> list[HostAddress] | None:
        """Return the addresses of the host, the best one first, or None if the resolver has not answered.

        Raises
        ------
        OSError
            The host cannot be resolved.
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
            raise OSError(f"'{self._host}' is not a valid host name") from None
        return [HostAddress(family, kind, protocol, address) for family, kind, protocol, _, address in found]
