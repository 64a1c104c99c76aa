"""Output: one stream at one address; Outputs: all streams of a configuration."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import overload

import zmq

from std_daq.address_words import address_error
from std_daq.imaging.config.model import DetectorConfig, LiveStreamConfig
from std_daq.streams.zmq_places import ZmqPlaces
from std_live_stream.selection import make_selection

QUEUE_BYTES = 128 * 2**20
_MAX_IN_QUEUE = 1000
_SUBSCRIBED = b"\x01"
_MAX_SUBSCRIPTION_BYTES = 1024


class Output:
    """Sends the images that its stream selects to all connected viewers, and never waits for one.

    There are places for a limited number of viewers; who has subscribed keeps its place before others.
    A viewer that is too slow misses images. The high-water mark of its queue is low, so that its memory is bounded and
    it sees new images. A stream with a rate queues one group of images and one more, any other stream 128 MiB.

    Parameters
    ----------
    context
        ZMQ context of the socket.
    address
        ZMQ endpoint to bind.
    config
        Configuration of the stream, with its selection of images.
    image_bytes
        Approximate size of an image.

    Attributes
    ----------
    address
        ZMQ endpoint, as given.
    n_viewers
        Number of connections with a subscription, at the last `update_viewers`.

    Raises
    ------
    PortError
        The address cannot be bound.
    """

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, config: LiveStreamConfig, image_bytes: int
    ) -> None:
        self.address = address
        self.n_viewers = 0
        self._selection = make_selection(config)
        n_in_queue = self._selection.n_in_queue or max(1, QUEUE_BYTES // image_bytes)
        self._socket = context.socket(zmq.XPUB)
        # For viewers an XPUB socket is like a PUB socket. In addition it receives their subscriptions.
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_SUBSCRIPTION_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, min(n_in_queue, _MAX_IN_QUEUE))
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, int("[" in address))
        # With keep-alives, a viewer whose machine was switched off is noticed within a minute; its queue is freed then.
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 10)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        self._places = ZmqPlaces(self._socket)
        bind(self._socket, address)

    @property
    def n_ended(self) -> int:
        """Number of connections that were ended because there was no place for them."""
        return self._places.n_ended

    @property
    def endpoint(self) -> str:
        """Endpoint to which the socket is bound, with the actual port if the address leaves it open."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def update_viewers(self) -> None:
        """Update the number of viewers.

        A message of one viewer must not end the stream for others. So an end of a subscription is not counted; only
        the end of a connection lowers the number.
        """
        subscriptions = []
        with suppress(zmq.Again):
            while True:
                message = self._socket.recv(zmq.DONTWAIT, copy=False)
                if message.bytes[:1] == _SUBSCRIBED:
                    subscriptions.append(message)
        # Connections are read after subscriptions, because ZMQ reports a connection before its subscription.
        self._places.look()
        for subscription in subscriptions:
            self._places.note_served(subscription)
        self.n_viewers = min(self.n_viewers + len(subscriptions), self._places.n_peers)

    def selects(self, sequence: int, now_s: float) -> bool:
        """Return whether this stream sends an image; must be called once for each image, in order."""
        return self._selection.selects(sequence, now_s)

    def send(self, header: bytes, pixels: zmq.Frame) -> None:
        """Send an image to each viewer whose queue has room: both parts, or none."""
        with suppress(zmq.Again):
            self._socket.send(header, zmq.DONTWAIT | zmq.SNDMORE)
            self._socket.send(pixels, zmq.DONTWAIT, copy=False)

    def close(self) -> None:
        """Look no more at who comes and goes; the context closes the socket."""
        self._places.close()


def bind(socket: "zmq.Socket[bytes]", address: str) -> None:
    """Listen for viewers at the address of a live stream; raises PortError."""
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        raise address_error(f"live stream {address} cannot be bound", error, "live_stream_configs") from None


def check_addresses(config: DetectorConfig) -> None:
    """Bind the addresses of the live streams for a moment; raises PortError."""
    with zmq.Context() as context:
        for address in config.live_stream_configs:
            with context.socket(zmq.XPUB) as socket:
                socket.setsockopt(zmq.LINGER, 0)
                bind(socket, address)


class Outputs(Sequence[Output]):
    """All streams of a configuration, in the order of the configuration.

    Parameters
    ----------
    streams
        Configuration of each stream, by the ZMQ endpoint to bind.
    image_bytes
        Approximate size of an image.

    Raises
    ------
    PortError
        An address cannot be bound.
    """

    def __init__(self, streams: Mapping[str, LiveStreamConfig], image_bytes: int) -> None:
        self._context = zmq.Context()
        self._outputs: list[Output] = []
        try:
            for address, config in streams.items():
                self._outputs.append(Output(self._context, address, config, image_bytes))
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
        """Release all addresses; images that wait for viewers are not sent."""
        for output in self._outputs:
            output.close()
        self._context.destroy(linger=0)
