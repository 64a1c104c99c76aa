"""A chamber whose exporters and builder are killed at random while it takes data, and the account of frames and events.

For minutes instead of seconds: ``python -m std_test_kit.tpc_chaos --seconds 300``
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np

from std_daq.tpc.electronics import Board
from std_daq.tpc.events.event import Event
from std_daq.tpc.events.event_reader import EventReader
from std_test_kit.tpc_builder_process import BuilderProcess, tpc_document
from std_test_kit.tpc_exporters import ScriptedExporter, message_of, rows_of
from std_test_kit.wait import wait_until

PERIOD_S = 0.02
TIME_LIMIT_S = 0.3
BOARDS: list[list[Board]] = [[(0, 0), (0, 1)], [(1, 0)], [(10, 0)]]
ALL_BOARDS = sorted(board for boards in BOARDS for board in boards)

_rows = lru_cache(1000)(rows_of)


class _LiveExporter:
    """An exporter of some boards that can be killed, and counts what it has sent to the present builder."""

    def __init__(self, boards: list[Board]) -> None:
        self.boards = boards
        self.server: ScriptedExporter | None = ScriptedExporter()
        self.port = self.server.port
        self.address = self.server.address
        self.n_sent = 0

    def send(self, event_id: int, run: int) -> None:
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
        if self.server is None:
            self.server = ScriptedExporter(self.port)


class ChaoticChamber:
    """The chamber; a context manager.

    Parameters
    ----------
    folder, shm_dir
        For files, and for the ring.
    seed
        Which kills, and when.

    Attributes
    ----------
    n_kills
        How often something was killed or began a new run.
    n_events, n_complete
        Events that were read and checked.
    """

    def __init__(self, folder: Path, shm_dir: Path, seed: int) -> None:
        self._choice = random.Random(seed)
        self._exporters = [_LiveExporter(boards) for boards in BOARDS]
        document = tpc_document(
            shm_dir,
            folder,
            [exporter.address for exporter in self._exporters],
            boards=[list(board) for board in ALL_BOARDS],
            builder={"ram_buffer_gb": 0.15, "time_limit_s": TIME_LIMIT_S, "reconnect_s": 0.05},
        )
        self.builder = BuilderProcess(folder, document)
        self._lock = threading.Lock()
        self._is_ending = threading.Event()
        self._run, self._event_id = 0, 0
        self._thread = threading.Thread(target=self._send)
        self._used: dict[int, int] = defaultdict(int)
        self._last: dict[int, int] = {}
        self._sent_run: dict[int, int] = {}
        self._first_epoch = 0
        self.n_kills = self.n_events = self.n_complete = 0

    def __enter__(self) -> "ChaoticChamber":
        try:
            self.builder.start()
        except BaseException:
            self._close()
            raise
        self._reader = EventReader(self.builder.config, start="oldest")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join()
        self._reader.close()
        self._close()

    def _close(self) -> None:
        self.builder.close()
        for exporter in self._exporters:
            if exporter.server is not None:
                exporter.server.close()

    def live(self, seconds: float) -> None:
        """Let things happen, and read all events."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._read(until_s=time.monotonic() + self._choice.uniform(0.05, 0.4), is_all=False)
            self._happen()
            self.n_kills += 1

    def check_account(self) -> None:
        """Wait until all is quiet, and check the account of the present builder."""
        self._is_ending.set()
        self._thread.join()
        expected = {exporter.address: exporter.n_sent for exporter in self._exporters}

        def received() -> dict[str, int]:
            return {address: sum(outcomes.values()) for address, outcomes in self.builder.outcomes().items()}

        wait_until(lambda: received() == expected, 20.0, lambda: f"{received()} received of {expected}")
        self._read(until_s=time.monotonic() + 2 * TIME_LIMIT_S)
        outcomes = self.builder.outcomes()
        n_used = sum(of_exporter["used"] for of_exporter in outcomes.values())
        assert n_used == sum(n for epoch, n in self._used.items() if epoch >= self._first_epoch), outcomes
        assert sum(of_exporter["damaged"] for of_exporter in outcomes.values()) == 0, outcomes
        assert self._reader.lost.n == 0

    def _send(self) -> None:
        while not self._is_ending.wait(PERIOD_S):
            with self._lock:
                for exporter in self._exporters:
                    exporter.send(self._event_id, self._run)
                self._event_id += 1

    def _happen(self) -> None:
        exporter = self._choice.choice(self._exporters)
        match self._choice.randrange(12):
            case 0:
                self._restart_builder()
            case 1 | 2:
                with self._lock:
                    self._run, self._event_id = self._run + 1, 0
            case 3 | 4 | 5:
                with self._lock:
                    exporter.kill(self._choice)
            case _:
                with self._lock:
                    for one in self._exporters:
                        one.revive()

    def _restart_builder(self) -> None:
        with self._lock:
            number = self._choice.choice((signal.SIGKILL, signal.SIGTERM))
            code, took_s = self.builder.end(number)
            assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL), self.builder.log
            assert took_s < 5.0
            self._read(until_s=time.monotonic())
            self._first_epoch = max(self._last, default=-1) + 1
            for exporter in self._exporters:
                if exporter.server is not None:
                    exporter.server.accept()
                    exporter.server.disconnect()
                exporter.n_sent = 0
        self.builder.start()

    def _read(self, until_s: float, *, is_all: bool = True) -> None:
        """Read events until a time, and unless told otherwise all that are there then."""
        while is_all or time.monotonic() < until_s:
            event = self._reader.next(max(0.0, until_s - time.monotonic()))
            if event is None:
                return
            self._check(event)

    def _run_of(self, event: Event, present: tuple[Board, ...]) -> int:
        """Return the run whose samples an event holds. Most often it is that of the event before in its epoch."""
        likely: int = self._sent_run.get(event.epoch, self._run)
        for run in (likely, *range(self._run, -1, -1)):
            if np.array_equal(event.traces, _rows(event.id, present, run)):
                return int(run)
        raise AssertionError(f"{event!r} holds other samples than those that were sent")

    def _check(self, event: Event) -> None:
        """Check that an event holds the frames of its boards in one run, and that it comes once, in its order."""
        missing = {(int(cobo), int(asad)) for cobo, asad in event.missing_boards}
        present = tuple(board for board in ALL_BOARDS if board not in missing)
        self._sent_run[event.epoch] = self._run_of(event, present)
        assert event.id > self._last.get(event.epoch, -1), f"{event!r} comes after {self._last}"
        self._last[event.epoch] = event.id
        self._used[event.epoch] += len(present)
        self.n_events += 1
        self.n_complete += event.is_complete


def main() -> int:
    """Run the chamber, print what happened, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        shm = Path(opened.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        chamber = opened.enter_context(ChaoticChamber(folder, shm, arguments.seed))
        chamber.live(arguments.seconds)
        chamber.check_account()
    sys.stdout.write(f"{chamber.n_kills} kills, {chamber.n_events} events, {chamber.n_complete} complete\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
