"""Exporters: the connections to all exporters of a chamber."""

import select
from collections.abc import Callable, Iterator, Sequence

from std_daq.tpc.frames.chunk_pool import ChunkPool
from std_daq.tpc.frames.frame import Frame
from std_event_builder.exporter import Exporter, LinkState

_POOL_BYTES = 256 * 2**20


class Exporters:
    """Connections to the exporters.

    Parameters
    ----------
    addresses
        ``host:port`` of each exporter.
    max_frame_bytes, reconnect_s
        As for `Exporter`.

    Attributes
    ----------
    all
        The exporters.
    """

    def __init__(self, addresses: Sequence[str], *, max_frame_bytes: int, reconnect_s: float) -> None:
        self._poller = select.epoll()
        chunks = ChunkPool(_POOL_BYTES)
        self.all = [
            Exporter(
                index, address, self._poller, max_frame_bytes=max_frame_bytes, reconnect_s=reconnect_s, chunks=chunks
            )
            for index, address in enumerate(addresses)
        ]

    @property
    def n_connected(self) -> int:
        """Number of exporters that there is a connection to."""
        return sum(exporter.is_connected for exporter in self.all)

    def attend(self, now_s: float) -> None:
        """Begin and give up attempts to connect whose time has come."""
        for exporter in self.all:
            if exporter.state is not LinkState.CONNECTED:
                exporter.attend(now_s)

    def ready(self, timeout_s: float) -> list[Exporter]:
        """Wait at most ``timeout_s``; returns the exporters that can be read, or whose attempt to connect has ended."""
        by_descriptor = {exporter.descriptor: exporter for exporter in self.all if exporter.descriptor >= 0}
        begun = [exporter for exporter in self.all if exporter.has_rest]
        found = [by_descriptor[descriptor] for descriptor, _ in self._poller.poll(0.0 if begun else timeout_s)]
        return [*found, *(exporter for exporter in begun if exporter not in found)]

    def read(
        self, exporter: Exporter, now_s: float, on_connected: Callable[[int], None], on_lost: Callable[[int], None]
    ) -> Iterator[list[Frame]]:
        """Yield the frames that an exporter has sent, or finish the attempt to connect to it."""
        if exporter.state is LinkState.CONNECTING:
            if exporter.finish_connecting(now_s):
                on_connected(exporter.index)
            return
        yield from exporter.read(now_s)
        if not exporter.is_connected:
            on_lost(exporter.index)

    def close(self) -> None:
        """Close all connections."""
        for exporter in self.all:
            exporter.close()
        self._poller.close()
