"""Sending: gives events to exporters at a rate."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from std_daq.tpc.electronics import Board
from std_daq.tpc.simulation.exporters import ExporterSet
from std_daq.tpc.simulation.faults import FrameStream
from std_daq.tpc.simulation.readout import OutgoingFrame

# Without a rate, so many bytes may wait for the slowest client.
_MAX_WAITING_BYTES = 64 * 2**20
_MAX_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class FrameBurst:
    """What is sent at once: the frames of an event, or announcements before it.

    Parameters
    ----------
    frames
        Frames with samples.
    announcements
        Other frames, such as topology, each with the CoBo whose exporter sends it.
    is_event
        Whether it counts as an event, so that the rate applies.
    """

    frames: Sequence[OutgoingFrame]
    announcements: Sequence[tuple[int, bytes]] = ()
    is_event: bool = True


class StopFlag(Protocol):
    """Is set when sending has to end early."""

    def is_set(self) -> bool:
        """Return whether it has to end."""
        ...


class CoboRouting:
    """Which exporter sends the frames of a CoBo.

    Parameters
    ----------
    boards
        The boards that are known; their CoBos are dealt to the exporters in ascending order.
    """

    def __init__(self, boards: Iterable[Board], n_exporters: int) -> None:
        cobos = sorted({cobo for cobo, _ in boards})
        self._exporters = {cobo: index % n_exporters for index, cobo in enumerate(cobos)}
        self._n_exporters = n_exporters

    def exporter_of(self, cobo: int) -> int:
        """Return the index of an exporter."""
        return self._exporters.get(cobo, cobo % self._n_exporters)

    def cobos_of(self, exporter: int) -> list[int]:
        """Return the known CoBos of an exporter."""
        return [cobo for cobo, index in self._exporters.items() if index == exporter]


@dataclass(slots=True)
class SendingReport:
    """What was sent.

    Attributes
    ----------
    n_bytes
        Bytes of all messages, whether a client took them or not.
    n_given_up
        Clients that took too little.
    is_unfinished
        Whether something was still queued at the end.
    is_unheard
        Whether there was something to send, and no client took any of it.
    behind_s
        How far the sending was behind the rate at its end.
    """

    n_events: int = 0
    n_frames: int = 0
    n_bytes: int = 0
    n_given_up: int = 0
    is_unfinished: bool = False
    is_unheard: bool = False
    behind_s: float = 0.0
    reconnected: list[int] = field(default_factory=list)


class Sending:
    """Sends bursts through exporters; `step` sends one.

    Parameters
    ----------
    bursts
        What is sent.
    rate_hz
        Events per second; None: as fast as the clients read.
    reconnect
        CoBos whose exporter drops its clients, each with the event before which it does.
    """

    def __init__(
        self,
        bursts: Iterator[FrameBurst],
        exporters: ExporterSet,
        routing: CoboRouting,
        stream: FrameStream,
        *,
        rate_hz: float | None = None,
        reconnect: dict[int, int] | None = None,
    ) -> None:
        self._bursts = bursts
        self._exporters = exporters
        self._routing = routing
        self._stream = stream
        self._period_s = 0.0 if rate_hz is None else 1 / rate_hz
        self._reconnect = reconnect or {}
        self._next_s: float | None = None
        self.report = SendingReport()

    def wait_for_clients(self, limit_s: float, stop: StopFlag, n_clients: int = 1) -> bool:
        """Wait until each exporter has so many clients; returns whether it has."""
        end_s = time.monotonic() + limit_s
        while not self._exporters.has_clients(n_clients) and not stop.is_set() and time.monotonic() < end_s:
            self._exporters.step(_MAX_WAIT_S)
        return self._exporters.has_clients(n_clients)

    def step(self, stop: StopFlag) -> bool:
        """Wait until the next burst is due and send it; returns False at the end."""
        burst = next(self._bursts, None)
        if burst is None:
            for frame in self._stream.rest():
                self._send(frame)
            return False
        self._wait(burst, stop)
        for cobo, event in self._reconnect.items():
            if burst.is_event and event == self.report.n_events:
                self._exporters.exporters[self._routing.exporter_of(cobo)].drop_clients()
                self.report.reconnected.append(cobo)
        for cobo, data in burst.announcements:
            self._put(cobo, len(data).to_bytes(8, "little") + data)
            self.report.n_frames += 1
        for frame in self._stream.next_event(burst.frames):
            self._send(frame)
        self.report.n_events += burst.is_event
        self._exporters.step(0)
        return True

    def finish(self, limit_s: float, stop: StopFlag) -> None:
        """Send what is queued; gives up when the clients take nothing for so long."""
        last_s = time.monotonic()
        while self._exporters.n_queued and not stop.is_set() and time.monotonic() - last_s < limit_s:
            if self._exporters.step(_MAX_WAIT_S):
                last_s = time.monotonic()
        self.report.is_unfinished = bool(self._exporters.n_queued)
        n_taken = sum(exporter.n_taken_bytes for exporter in self._exporters.exporters)
        self.report.is_unheard = bool(self.report.n_bytes) and not n_taken
        self.report.n_given_up = sum(exporter.n_dropped_clients for exporter in self._exporters.exporters)

    def _wait(self, burst: FrameBurst, stop: StopFlag) -> None:
        if not self._period_s:
            while self._exporters.n_queued > _MAX_WAITING_BYTES and not stop.is_set():
                self._exporters.step(_MAX_WAIT_S)
            return
        if not burst.is_event:
            return
        now_s = time.monotonic()
        due_s = now_s if self._next_s is None else self._next_s
        while (now_s := time.monotonic()) < due_s and not stop.is_set():
            self._exporters.step(min(due_s - now_s, _MAX_WAIT_S))
        self.report.behind_s = max(0.0, now_s - due_s)
        self._next_s = due_s + self._period_s

    def _send(self, frame: OutgoingFrame) -> None:
        for message in self._stream.messages(frame):
            self._put(frame.board[0], message)
        self.report.n_frames += 1

    def _put(self, cobo: int, message: bytes) -> None:
        self._exporters.exporters[self._routing.exporter_of(cobo)].send(message)
        self.report.n_bytes += len(message)
