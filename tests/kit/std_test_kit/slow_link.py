"""SlowLink: a link of so many bytes a second to a Unix socket."""

import socket
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

_PIECE_BYTES = 2048
_BUFFER_BYTES = 16_384


class SlowLink:
    """A context manager: a Unix socket behind which another one is, reached by a token bucket.

    What comes back from there is slow; what goes there is not.

    Parameters
    ----------
    server
        The socket behind it.
    bytes_per_s
        The rate.
    """

    def __init__(self, server: Path, bytes_per_s: float) -> None:
        self._server = server
        self._bytes_per_s = bytes_per_s
        self._temporary = tempfile.TemporaryDirectory(prefix="sdl-")
        self.path = Path(self._temporary.name) / "slow.sock"
        self._listening = socket.socket(socket.AF_UNIX)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listening.bind(str(self.path))
        self._listening.listen()
        self._begin(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        for one in (self._listening, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()
        self._temporary.cleanup()

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX)
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
                far.connect(str(self._server))
                self._sockets += [near, far]
                self._begin(self._carry, near, far, float("inf"))
                self._begin(self._carry, far, near, self._bytes_per_s)

    def _carry(self, source: socket.socket, sink: socket.socket, bytes_per_s: float) -> None:
        next_s = time.monotonic()
        with suppress(OSError):
            while data := source.recv(_PIECE_BYTES):
                sink.sendall(data)
                next_s = max(next_s, time.monotonic() - 0.05) + len(data) / bytes_per_s
                time.sleep(max(0.0, next_s - time.monotonic()))
