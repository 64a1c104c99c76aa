"""Where a Rerun viewer takes what is drawn."""

import re
import socket
from dataclasses import dataclass
from typing import Self

from std_daq.errors import ConfigError, ResourceError

DEFAULT_PORT = 9876
"""Where a viewer listens unless it is told otherwise."""
DEFAULT_BROWSER_PORT = 9090
"""Where the page for browsers is unless it is told otherwise."""

_MAX_PORT = 65535
CONNECT_S = 3.0
"""How long to wait for a host that does not answer."""


@dataclass(frozen=True, slots=True)
class ViewerAddress:
    """Host and port of a viewer."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Split ``HOST:PORT``; an IPv6 address stands in brackets.

        Raises
        ------
        ConfigError
            The text is no such address.
        """
        found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d{1,5})", text)
        if found is None or not 1 <= int(found["port"]) <= _MAX_PORT:
            raise ConfigError(
                "this is no address of a viewer", value=text, remedy=f"for example localhost:{DEFAULT_PORT}"
            )
        return cls(found["six"] or found["host"], int(found["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """What Rerun calls the address."""
        return f"rerun+http://{self}/proxy"

    def is_listening(self, timeout_s: float = CONNECT_S) -> bool:
        """Return whether anybody takes connections there."""
        try:
            socket.create_connection((self.host, self.port), timeout=timeout_s).close()
        except OSError:
            return False
        return True

    def check(self, timeout_s: float = CONNECT_S) -> None:
        """Check that a viewer listens.

        Raises
        ------
        ResourceError
            Nobody does.
        """
        if not self.is_listening(timeout_s):
            raise ResourceError(f"no viewer listens at {self}; start one there: rerun --port {self.port}")
