"""Makes room for a Unix socket: a stale one is removed; one on which somebody listens, or another file, is refused."""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from std_daq.config.paths import MAX_SOCKET_PATH_BYTES
from std_daq.errors import AddressInUseError, PortError


class SocketFile:
    """The file of a socket that this process has bound; it is removed only if it is still that one.

    Parameters
    ----------
    path
        Where it is.
    mode
        Who may connect.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        path.chmod(mode)
        self._made = path.lstat()

    def remove(self) -> None:
        """Remove the file, unless it is gone or another one is in its place."""
        with suppress(FileNotFoundError):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == (self._made.st_dev, self._made.st_ino):
                self.path.unlink()


def clear_socket_path(path: Path) -> None:
    """Remove a stale socket; raises PortError if a socket cannot be made here."""
    if is_stale_socket(path):
        path.unlink(missing_ok=True)


def is_stale_socket(path: Path) -> bool:
    """Return whether a socket is here to which nobody listens; raises PortError if no socket can be made here."""
    if len(bytes(path)) > MAX_SOCKET_PATH_BYTES:
        raise PortError(
            f"{path} is longer than the {MAX_SOCKET_PATH_BYTES} bytes of a socket's path; use a shorter one"
        )
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise PortError(f"there is no folder {path.parent} for the socket {path.name}; make it") from None
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PortError(f"this user may make no socket in {path.parent}; use another folder") from None
        return False
    if not is_socket:
        raise PortError(f"{path} is no socket; it is left as it is: remove it, or use another path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError as error:
            raise PortError(f"{path} cannot be used: {error.strerror}") from None
    raise AddressInUseError(f"somebody listens on {path} already; end that program, or use another path")
