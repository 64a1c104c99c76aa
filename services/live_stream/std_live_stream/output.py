"""Output: one stream at one address; Outputs: all streams of a configuration."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, overload

import zmq
from zmq.utils.monitor import parse_monitor_message

from std_daq.errors import PortError
from std_daq.imaging.config.model import LiveStreamConfig
from std_live_stream.selection import make_selection

QUEUE_BYTES = 128 * 2**20
_MAX_IN_QUEUE = 1000
_SUBSCRIBED = b"\x01"
_MAX_SUBSCRIPTION_BYTES = 1024


class Output:
    """Sends the images that it takes to all viewers that are connected; never waits for one.

    A viewer that is too slow misses images. Few wait for it, so that what it costs is bounded, and so that it sees new
    ones: at a rate a row and one more, else 128 MiB of them.

    Parameters
    ----------
    context
        Of the socket.
    address
        ZMQ endpoint to bind.
    config
        Which images.
    image_bytes
        About the size of an image.

    Attributes
    ----------
    address
        As given.
    n_viewers
        Connections with a subscription at the last look.

    Raises
    ------
    PortError
        When the address cannot be bound.
    """

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, config: LiveStreamConfig, image_bytes: int
    ) -> None:
        self.address = address
        self.n_viewers = 0
        self._selection = make_selection(config)
        n_in_queue = self._selection.n_in_queue or max(1, QUEUE_BYTES // image_bytes)
        self._socket = context.socket(zmq.XPUB)
        # An XPUB is a PUB for those who connect, and tells whether anybody is there.
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_SUBSCRIPTION_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, min(n_in_queue, _MAX_IN_QUEUE))
        self._socket.setsockopt(zmq.LINGER, 0)
        # A machine that was switched off is noticed within a minute; its images are freed then.
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 10)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        self._connections: set[int] = set()
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            raise PortError(
                f"live stream {address} cannot be bound: {error.strerror}; see live_stream_configs"
            ) from None

    @property
    def endpoint(self) -> str:
        """Where it is bound, with the port where any was to be taken."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def update_viewers(self) -> None:
        """Take note of who has come and gone.

        What one viewer says shall end nothing for the others. So only the end of a connection makes them fewer.
        """
        n_told = 0
        with suppress(zmq.Again):
            while True:
                n_told += self._socket.recv(zmq.DONTWAIT)[:1] == _SUBSCRIBED
        # Afterwards: a connection is told before its subscription.
        with suppress(zmq.Again):
            while True:
                self._update_connections(parse_monitor_message(self._monitor.recv_multipart(zmq.DONTWAIT)))
        self.n_viewers = min(self.n_viewers + n_told, len(self._connections))

    def selects(self, sequence: int, now_s: float) -> bool:
        """Return whether this stream sends the image; asked once for each, in order."""
        return self._selection.selects(sequence, now_s)

    def send(self, header: bytes, pixels: zmq.Frame) -> None:
        """Send an image; both parts, or none of it."""
        with suppress(zmq.Again):
            self._socket.send(header, zmq.DONTWAIT | zmq.SNDMORE)
            self._socket.send(pixels, zmq.DONTWAIT, copy=False)

    def _update_connections(self, told: Mapping[str, Any]) -> None:
        if told["event"] == zmq.EVENT_ACCEPTED:
            self._connections.add(told["value"])
        else:
            self._connections.discard(told["value"])


class Outputs(Sequence[Output]):
    """All streams of a configuration, in its order.

    Parameters
    ----------
    streams
        The streams, by the addresses to bind.
    image_bytes
        About the size of an image.

    Raises
    ------
    PortError
        When an address cannot be bound.
    """

    def __init__(self, streams: Mapping[str, LiveStreamConfig], image_bytes: int) -> None:
        self._context = zmq.Context()
        try:
            self._outputs = [Output(self._context, address, config, image_bytes) for address, config in streams.items()]
        except BaseException:
            self.close()
            raise

    @overload
    def __getitem__(self, index: int) -> Output: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Output]: ...

    def __getitem__(self, index: int | slice) -> Output | Sequence[Output]:
        return self._outputs[index]

    def __len__(self) -> int:
        return len(self._outputs)

    def close(self) -> None:
        """Let go of all addresses; what waits for viewers is not sent."""
        self._context.destroy(linger=0)
