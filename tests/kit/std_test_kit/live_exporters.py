"""LiveExporters: the exporters of a small chamber, which send events all the time and can be killed."""

import random
import threading
from functools import lru_cache

import numpy as np

from std_daq.tpc.electronics import Board
from std_daq.tpc.events.event import Event
from std_test_kit.tpc_exporters import ScriptedExporter, message_of, rows_of

BOARDS: list[list[Board]] = [[(0, 0), (0, 1)], [(1, 0)], [(10, 0)]]
ALL_BOARDS = sorted(board for boards in BOARDS for board in boards)

_rows = lru_cache(1000)(rows_of)


def boards_in(event: Event) -> tuple[Board, ...]:
    """Return the boards that are there, ascending."""
    missing = {(int(cobo), int(asad)) for cobo, asad in event.missing_boards}
    return tuple(board for board in ALL_BOARDS if board not in missing)


class LiveExporter:
    """An exporter of some boards that can be killed, and counts what it has sent to the present builder.

    Parameters
    ----------
    boards
        Its boards.
    """

    def __init__(self, boards: list[Board]) -> None:
        self.boards = boards
        self.server: ScriptedExporter | None = ScriptedExporter()
        self.port = self.server.port
        self.address = self.server.address
        self.n_sent = 0

    def send(self, event_id: int, run: int) -> None:
        """Send the frames of an event if somebody is connected."""
        if self.server is not None and self.server.accept():
            self.server.send(b"".join(message_of(event_id, board, run) for board in self.boards))
            self.n_sent += len(self.boards)

    def kill(self, choice: random.Random) -> None:
        """End in the middle of a frame, or between two."""
        if self.server is not None:
            if choice.random() < 0.5:
                self.server.send(message_of(2**32 - 1, self.boards[0])[: choice.randrange(1, 5000)])
            self.server.close()
            self.server = None

    def revive(self) -> None:
        """Begin again, at the same port."""
        if self.server is None:
            self.server = ScriptedExporter(self.port)


class LiveExporters:
    """The exporters, and the thread in which they send; a context manager.

    Parameters
    ----------
    period_s
        Time from one event to the next.

    Attributes
    ----------
    all
        The exporters; take `lock` to change them.
    run, event_id
        What is sent next.
    """

    def __init__(self, period_s: float) -> None:
        self.all = [LiveExporter(boards) for boards in BOARDS]
        self.lock = threading.Lock()
        self.run = self.event_id = 0
        self._period_s = period_s
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._send, name="live-exporters")

    @property
    def addresses(self) -> list[str]:
        """``host:port`` of each exporter."""
        return [exporter.address for exporter in self.all]

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more; connections stay."""
        self._is_ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def begin_run(self) -> None:
        """Let the numbers begin again."""
        with self.lock:
            self.run, self.event_id = self.run + 1, 0

    def kill(self, choice: random.Random) -> None:
        """Kill one of the exporters."""
        with self.lock:
            choice.choice(self.all).kill(choice)

    def revive(self) -> None:
        """Start again what was killed."""
        with self.lock:
            for exporter in self.all:
                exporter.revive()

    def run_of(self, event: Event, likely: int) -> int:
        """Return the run whose samples an event holds, which must be those of the boards that are there."""
        present = boards_in(event)
        for run in (likely, *range(self.run, -1, -1)):
            if np.array_equal(event.traces, _rows(event.id, present, run)):
                return int(run)
        raise AssertionError(f"{event!r} holds other samples than those that were sent")

    def __enter__(self) -> "LiveExporters":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for exporter in self.all:
            if exporter.server is not None:
                exporter.server.close()

    def _send(self) -> None:
        while not self._is_ending.wait(self._period_s):
            with self.lock:
                for exporter in self.all:
                    exporter.send(self.event_id, self.run)
                self.event_id += 1
