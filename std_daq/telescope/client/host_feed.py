"""HostFeed: the stream of one host: what is asked for, what each answer becomes, and what follows its end. Pure."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc

from std_daq.telemetry.logs import ConditionLog, get_logger
from std_daq.telescope.client.calls import STREAM_IMAGES
from std_daq.telescope.client.errors import DaqDataError, heals_with_time
from std_daq.telescope.client.hosts import Host
from std_daq.telescope.client.parsing import ParsedImage, parse_response
from std_daq.telescope.client.progress import HostProgress
from std_daq.telescope.daqdata import daq_data_pb2 as messages

_FIRST_DELAY_S = 0.2
_LAST_DELAY_S = 2.0
# What the server's side of gRPC says of pings that it thinks are too many. The channel sends fewer from then on.
_TOO_MANY_PINGS = "too many pings"
Code = grpc.StatusCode


class Wish(NamedTuple):
    """What a stream is to bring.

    Parameters
    ----------
    request
        The request of StreamImages.
    is_parsed
        Whether images become dicts.
    reconnects
        Whether a stream that ends is opened again.
    end_s
        Monotonic time at which the stream is to end.
    """

    request: messages.StreamImagesRequest
    is_parsed: bool
    reconnects: bool
    end_s: float

    def rest_s(self) -> float:
        """Return how long the stream may go on."""
        return max(0.0, self.end_s - time.monotonic())


class _Kind(NamedTuple):
    """What a server counts by itself: a product of a module."""

    module_id: int
    is_pulse_height: bool
    shape: tuple[int, ...]
    bytes_per_pixel: int


@dataclass(frozen=True, slots=True)
class _Last:
    frame_id: int
    server_ns: int


class HostFeed:
    """The stream of one host.

    Parameters
    ----------
    host
        The host.
    wish
        What the stream is to bring.
    clock
        Returns monotonic time in seconds.

    Attributes
    ----------
    host, progress
        The host, and what has come from it.
    error
        The error that ended the stream; None while it goes on, and after an ordinary end.
    """

    def __init__(self, host: Host, wish: Wish, clock: Callable[[], float] = time.monotonic) -> None:
        self.host = host
        self.progress = HostProgress(host.name)
        self.error: DaqDataError | None = None
        self._wish = wish
        self._clock = clock
        self._last: dict[_Kind, _Last] = {}
        self._back: set[_Kind] = set()  # those of which an image has come since the stream was opened
        self._n_received_before = 0
        self._delay_s = _FIRST_DELAY_S
        self._conditions = ConditionLog(period_s=10.0)

    def begin(self) -> None:
        """Note that the stream is opened."""
        self.progress.begin()
        self._back.clear()
        self._n_received_before = self.progress.received

    def take(self, response: messages.StreamImagesResponse) -> ParsedImage | messages.StreamImagesResponse | None:
        """Return what users get of an answer; None if it is no image, or one that has come before."""
        progress = self.progress
        progress.message = response.message
        image = response.pano_image
        kind = _Kind(image.module_id, image.type == image.PULSE_HEIGHT, tuple(image.shape), image.bytes_per_pixel)
        server_ns = response.server_time.ToNanoseconds()
        last = self._last.get(kind)
        if response.frame_id and last == _Last(response.frame_id, server_ns):
            return None
        skipped = self._skipped(kind, response.frame_id, last)
        item: ParsedImage | messages.StreamImagesResponse = response
        if self._wish.is_parsed:
            try:
                item = parse_response(response, self.host.name, skipped)
            except ValueError as error:
                progress.unreadable += 1
                self._conditions.warning(
                    "unreadable_image", host=self.host.name, module_id=image.module_id, file=image.file, why=str(error)
                )
                return None
        if response.frame_id:
            self._last[kind] = _Last(response.frame_id, server_ns)
        self._back.add(kind)
        if 0 < progress.received == self._n_received_before:
            progress.reconnects += 1
        progress.count(response.left_out)
        self._delay_s = _FIRST_DELAY_S
        return item

    def delay_after(self, status: Any, text: str) -> float | None:
        """Note that the stream has ended; returns after how many seconds to open it again, None for never."""
        progress = self.progress
        progress.is_connected = False
        has_begun = progress.received > self._n_received_before
        error = DaqDataError(self.host.name, self.host.target, STREAM_IMAGES.name, status, text)
        is_over = self._clock() >= self._wish.end_s
        is_pinged = _TOO_MANY_PINGS in text.lower().replace("_", " ")
        if not is_over and (is_pinged or (self._wish.reconnects and heals_with_time(status, text))):
            delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, _LAST_DELAY_S)
            progress.problem = str(error)
            self._conditions.warning("host_away", host=self.host.name, why=str(error), again_in_s=delay_s)
            return delay_s
        progress.problem = str(error) if status is not Code.OK else "the server has ended the stream"
        is_ordinary = status in {Code.OK, Code.CANCELLED} or (status is Code.UNAVAILABLE and has_begun)
        if not is_ordinary:
            self.error = error
        get_logger().info("host_ended", host=self.host.name, why=progress.problem)
        return None

    def _skipped(self, kind: _Kind, frame_id: int, last: _Last | None) -> int | None:
        """Return how many images came to the server after the last one that this stream was sent."""
        if not frame_id:
            return None  # a server that does not count
        if last is None:
            return 0
        # A server that was started again counts from 1.
        n_skipped = frame_id - last.frame_id - 1 if frame_id > last.frame_id else frame_id - 1
        if kind not in self._back:
            self.progress.missed_while_away += n_skipped
        return n_skipped


def progress_of(feeds: Iterable[HostFeed], away: Iterable[Host]) -> dict[str, HostProgress]:
    """Return what has come from each host, also from those that were left out because they did not answer."""
    told = {feed.host.name: feed.progress for feed in feeds}
    for host in away:
        told[host.name] = HostProgress(host.name, problem=f"{host.target} does not answer")
        get_logger().warning("host_left_out", host=host.name, target=host.target, why="it does not answer")
    return told
