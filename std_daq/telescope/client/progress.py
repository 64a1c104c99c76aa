"""HostProgress: what a stream has received from one host, and what it was not sent. Pure."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_RATE_WINDOW_S = 2.0


@dataclass(slots=True)
class HostProgress:
    """What a stream has received from one host.

    Parameters
    ----------
    host
        The host.
    is_connected
        Whether an image has come since the stream was opened last.
    received
        Images received.
    skipped_by_interval, skipped_by_slow_client
        Images that the server did not send because of the interval of this stream, or because this client was slow. A
        server that does not tell leaves them at 0.
    missed_while_away
        Images of which the server has counted that they came while there was no connection. What a server that was
        started again has missed itself, nobody counts.
    unreadable
        Messages that were no image.
    reconnects
        How often images came again after the stream had ended.
    problem
        Why the host was left out, or is waited for; empty if there is nothing to tell.
    message
        What the server has told last, as "No image has come of modules [7].".
    """

    host: str
    is_connected: bool = False
    received: int = 0
    skipped_by_interval: int = 0
    skipped_by_slow_client: int = 0
    missed_while_away: int = 0
    unreadable: int = 0
    reconnects: int = 0
    problem: str = ""
    message: str = ""
    _clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _skipped_before: tuple[int, int] = field(default=(0, 0), repr=False)
    _window: tuple[float, int] = field(default=(0.0, 0), repr=False)
    _window_before: tuple[float, int] = field(default=(0.0, 0), repr=False)

    def begin(self) -> None:
        """Note that a stream is opened; what the server tells counts from 0 again."""
        self._skipped_before = (self.skipped_by_interval, self.skipped_by_slow_client)

    def count(self, left_out: Any) -> None:
        """Count an image, and what the server has left out since the stream began."""
        now_s = self._clock()
        if now_s - self._window[0] > _RATE_WINDOW_S:
            self._window_before, self._window = self._window, (now_s, self.received)
        self.received += 1
        self.is_connected = True
        self.problem = ""
        self.skipped_by_interval = self._skipped_before[0] + left_out.by_interval
        self.skipped_by_slow_client = self._skipped_before[1] + left_out.by_slow_client

    @property
    def rate_hz(self) -> float:
        """Images per second, over the last 2 to 4 s."""
        now_s = self._clock()
        since_s, n_before = self._window_before if self._window_before[0] else self._window
        if not since_s or now_s - since_s > 2 * _RATE_WINDOW_S + 1.0 or now_s <= since_s:
            return 0.0
        return (self.received - n_before) / (now_s - since_s)

    def as_document(self) -> dict[str, Any]:
        """Return all figures, as JSON has them."""
        names = [name for name in self.__dataclass_fields__ if not name.startswith("_")]
        return {name: getattr(self, name) for name in names} | {"rate_hz": round(self.rate_hz, 3)}
