"""ResultsSource: takes the results of the analysis, and knows how many it did not get."""

from collections.abc import Iterator
from dataclasses import dataclass

import zmq

from std_daq.tpc.reconstruction.results import EventResult, decode_result

_MAX_WAITING = 500
# As many can wait here and at the publisher. After one look, what was there when it began is taken.
_MAX_TAKEN = 2 * _MAX_WAITING


@dataclass(frozen=True, slots=True)
class TakenResult:
    """A result, and what is missing before it.

    Parameters
    ----------
    n_missed
        Results that were published and did not come here.
    n_left_out
        Events that the analysis left out, also those that came while there was none.
    """

    result: EventResult
    n_missed: int
    n_left_out: int


class ResultsSource:
    """Subscribes to the results; the analysis never waits for it.

    Parameters
    ----------
    address
        Where the analysis publishes.

    Attributes
    ----------
    n_damaged
        Messages that are no results.
    """

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _MAX_WAITING)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(address)
        self._last: EventResult | None = None
        self._ended: set[int] = set()
        self.n_damaged = 0

    def wait(self, timeout_s: float) -> bool:
        """Return whether there is a result within a time."""
        return bool(self._socket.poll(round(timeout_s * 1000)))

    def take(self) -> Iterator[TakenResult]:
        """Return the results that are there now, at most as many as can wait."""
        for _ in range(_MAX_TAKEN):
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                result = decode_result(parts)
            except ValueError:
                self.n_damaged += 1
                continue
            if result.analysis in self._ended:  # its events were counted as left out when the next one began
                continue
            yield self._taken(result)

    def close(self) -> None:
        """Release the socket."""
        self._context.destroy(linger=0)

    def _taken(self, result: EventResult) -> TakenResult:
        last, self._last = self._last, result
        if last is None:  # what was before is not ours
            return TakenResult(result, 0, 0)
        if result.analysis != last.analysis:  # it was started again
            self._ended.add(last.analysis)
            n_between = result.first_sequence - last.next_sequence
            if n_between < 0:  # the ring is another one, too
                n_between = max(0, result.first_sequence)
            return TakenResult(result, result.number, result.n_left_out + n_between)
        return TakenResult(result, result.number - last.number - 1, max(0, result.n_left_out - last.n_left_out))
