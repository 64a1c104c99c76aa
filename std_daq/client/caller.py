"""How a program calls itself at the broker, so that others see who has asked for a run."""

import getpass
import socket

_MAX_BYTES = 200  # a name of AMQP has 255 at most


def caller_name(program: str) -> str:
    """Return the name of a connection: program, user and host, such as ``std-daq-client alice@console``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        user = "?"
    name = f"{program} {user}@{socket.gethostname()}"
    return name.encode(errors="replace")[:_MAX_BYTES].decode(errors="ignore")
