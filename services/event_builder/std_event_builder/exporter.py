"""Exporter: the connection to one exporter, which is made again and again."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice

from std_daq.telemetry.logs import ConditionLog, get_logger
from std_daq.tpc.config import split_address
from std_daq.tpc.frames.chunk_pool import ChunkPool
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.splitter import FrameSplitter, StreamCounts
from std_event_builder.address_lookup import AddressLookup

MAX_TURN_BYTES = 4 * 2**20
"""What is read from one exporter before the next one has its turn."""
MAX_TURN_S = 0.05
"""How long the frames of one exporter are used before the next one has its turn: small frames cost much for a byte."""
_FRAMES_AT_ONCE = 256
_CONNECT_S = 3.0
_FIRST_PAUSE_S = 0.02
_QUIET_S = 10.0
# A computer that loses its power says no good-bye: without these, the connection would seem to live for ever.
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 3), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3))


class LinkState(StrEnum):
    """What the connection is doing."""

    PAUSED = "paused"
    LOOKING_UP = "looking up"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class Exporter:
    """One exporter: connects, reads, cuts the stream into frames, connects again.

    Parameters
    ----------
    index
        Number of the exporter.
    address
        ``host:port``.
    poller
        Watches the socket.
    max_frame_bytes
        A frame that claims more is damaged.
    reconnect_s
        Longest pause between two attempts.
    chunks
        Memory for what is received.
    clock
        Returns a monotonic time, in seconds.

    Attributes
    ----------
    index, address
        As given.
    state
        What the connection is doing.
    has_rest
        Whether frames were received that the last turn has left to the next one.
    n_bytes, n_connections, n_lost
        Bytes received; connections made; connections that were given up because neither size word nor header told where
        the next frame is.
    """

    def __init__(
        self,
        index: int,
        address: str,
        poller: select.epoll,
        *,
        max_frame_bytes: int,
        reconnect_s: float,
        chunks: ChunkPool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._rest: Iterator[Frame] = iter(())
        self.has_rest = False
        self.index = index
        self.address = address
        self._host, self._port = split_address(address)
        self._poller = poller
        self._max_frame_bytes = max_frame_bytes
        self._reconnect_s = reconnect_s
        self._pause_s = min(_FIRST_PAUSE_S, reconnect_s)
        self._conditions = ConditionLog(period_s=_QUIET_S)
        self._told_s = -_QUIET_S
        self._lookup: AddressLookup | None = None
        self._n_attempts = 0
        self._socket: socket.socket | None = None
        self._chunks = ChunkPool(0) if chunks is None else chunks
        self._splitter = FrameSplitter(max_frame_bytes, chunks=self._chunks)
        self._deadline_s = 0.0  # of the pause or the attempt
        self.state = LinkState.PAUSED
        self.n_bytes = self.n_connections = self.n_lost = 0
        self._before = StreamCounts(0, 0, 0, 0, {})  # of the connections before this one

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self.state is LinkState.CONNECTED

    @property
    def counts(self) -> StreamCounts:
        """What all connections have brought."""
        return self._before.plus(self._splitter.counts)

    @property
    def descriptor(self) -> int:
        """Descriptor of the socket; -1 if there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def attend(self, now_s: float) -> None:
        """Begin or give up an attempt whose time has come."""
        match self.state:
            case LinkState.PAUSED if now_s >= self._deadline_s:
                self._lookup = AddressLookup(self._host, self._port)
                self.state = LinkState.LOOKING_UP
                self._look_up(now_s)
            case LinkState.LOOKING_UP:
                self._look_up(now_s)
            case LinkState.CONNECTING if now_s >= self._deadline_s:
                self._fail(now_s, "no answer")

    def finish_connecting(self, now_s: float) -> bool:
        """Take the outcome of an attempt; returns whether there is a connection now."""
        assert self._socket is not None, "an attempt has a socket"  # noqa: S101
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(now_s, os.strerror(code))
            return False
        if self._socket.getsockname() == self._socket.getpeername():
            # The kernel may choose the port of the exporter for this end. Then the exporter could not open it.
            self._fail(now_s, "connected to itself")
            return False
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
        self._poller.modify(self._socket, select.EPOLLIN)
        self._before = self.counts
        self._splitter = FrameSplitter(self._max_frame_bytes, chunks=self._chunks)
        self.state = LinkState.CONNECTED
        self.n_connections += 1
        self._pause_s = min(_FIRST_PAUSE_S, self._reconnect_s)
        if now_s - self._told_s > _QUIET_S:
            self._told_s = now_s
            get_logger().info("exporter_connected", exporter=self.address, n_connections=self.n_connections)
        return True

    def read(self, now_s: float) -> Iterator[list[Frame]]:
        """Read what has arrived, and yield its frames, some at once; at most `MAX_TURN_BYTES`, for `MAX_TURN_S`.

        Afterwards, `is_connected` tells whether the connection still lives, and `has_rest` whether the time was over.
        """
        n_left = MAX_TURN_BYTES
        end_s = self._clock() + MAX_TURN_S
        while self._socket is not None:
            while frames := list(islice(self._rest, _FRAMES_AT_ONCE)):
                yield frames
                if self._clock() > end_s:
                    self.has_rest = True
                    return
            self.has_rest = False
            if self._splitter.is_lost:
                self.n_lost += 1
                self._lose(now_s, "neither size nor header of a frame is plausible")
                return
            if n_left <= 0:
                return
            try:
                n_bytes = self._socket.recv_into(self._splitter.memory())
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(now_s, error.strerror or str(error))
                return
            if n_bytes == 0:
                self._lose(now_s, "closed by the exporter")
                return
            n_left -= n_bytes
            self.n_bytes += n_bytes
            self._splitter.received(n_bytes)
            self._rest = self._splitter.frames()

    def close(self) -> None:
        """Close the connection."""
        self._rest, self.has_rest = iter(()), False
        if self._socket is not None:
            self._poller.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _look_up(self, now_s: float) -> None:
        lookup = self._lookup
        if lookup is None or lookup.addresses is None:
            return
        if not lookup.addresses:
            self._fail(now_s, lookup.error)
            return
        family, address = lookup.addresses[self._n_attempts % len(lookup.addresses)]
        self._n_attempts += 1
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._fail(now_s, str(error))
            return
        code = self._socket.connect_ex(address)
        if code not in {0, errno.EINPROGRESS}:
            self._socket.close()
            self._socket = None
            self._fail(now_s, os.strerror(code))
            return
        self._poller.register(self._socket, select.EPOLLOUT)
        self.state = LinkState.CONNECTING
        self._deadline_s = now_s + _CONNECT_S

    def _fail(self, now_s: float, reason: str) -> None:
        self._conditions.warning("exporter_not_reached", exporter=self.address, reason=reason)
        self._pause(now_s)

    def _lose(self, now_s: float, reason: str) -> None:
        self._conditions.warning("exporter_lost", exporter=self.address, reason=reason, n_bytes=self.n_bytes)
        self._pause(now_s)

    def _pause(self, now_s: float) -> None:
        self.close()
        self._lookup = None
        self.state = LinkState.PAUSED
        self._deadline_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, self._reconnect_s)
