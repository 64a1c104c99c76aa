"""ExporterClient: takes the frames of one exporter in a thread, and connects again whenever the connection ends."""

import socket
import threading
from collections.abc import Callable

from std_daq.tpc.config import split_address
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.splitter import FrameSplitter, StreamCounts

_LOOK_S = 0.1


class ExporterClient:
    """A client of one exporter.

    Parameters
    ----------
    address
        ``host:port``.
    max_frame_bytes
        A frame that claims more is damaged.
    reconnect_s
        Pause between two attempts.
    take
        Called with each frame, in the thread of the client.

    Attributes
    ----------
    address
        As given.
    n_connections
        Connections that were made.
    n_cut_off
        Connections that ended within a frame, but for that which `stop` ends.
    error
        What `take` raised, which ended the client; None until then.
    """

    def __init__(
        self, address: str, *, max_frame_bytes: int, reconnect_s: float, take: Callable[[Frame], None]
    ) -> None:
        self.address = address
        self.n_connections = self.n_cut_off = 0
        self.error: BaseException | None = None
        self._max_frame_bytes = max_frame_bytes
        self._reconnect_s = reconnect_s
        self._take = take
        self._ended: list[StreamCounts] = []
        self._splitter = FrameSplitter(max_frame_bytes)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"exporter {address}")

    @property
    def counts(self) -> list[StreamCounts]:
        """What each connection has brought."""
        return [*self._ended, self._splitter.counts]

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what has arrived until now is taken."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = self._connect()
            if connection is None:
                self._stop.wait(self._reconnect_s)
                continue
            self.n_connections += 1
            with connection:
                try:
                    self._receive(connection)
                except OSError:
                    pass  # as if the exporter had closed the connection
                except Exception as error:  # noqa: BLE001 - the owner of the client raises it again
                    self.error = error
                    return
            self.n_cut_off += not (self._splitter.is_between_frames or self._stop.is_set())
            self._ended.append(self._splitter.counts)
            self._splitter = FrameSplitter(self._max_frame_bytes)

    def _connect(self) -> socket.socket | None:
        try:
            connection = socket.create_connection(split_address(self.address), timeout=1.0)
        except OSError:
            return None
        if connection.getsockname() == connection.getpeername():  # of a port that the kernel gives to clients
            connection.close()
            return None
        connection.settimeout(_LOOK_S)
        return connection

    def _receive(self, connection: socket.socket) -> None:
        splitter = self._splitter
        while not splitter.is_lost:
            try:
                n_bytes = connection.recv_into(splitter.memory())
            except TimeoutError:
                if self._stop.is_set():
                    return
                continue
            if not n_bytes:
                return
            splitter.received(n_bytes)
            for frame in splitter.frames():
                self._take(frame)
            if self._stop.is_set():
                return
