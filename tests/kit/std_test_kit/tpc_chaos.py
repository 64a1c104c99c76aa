"""A chamber whose exporters and builder are killed at random while it takes data, and the account of frames and events.

For minutes instead of seconds: ``python -m std_test_kit.tpc_chaos --seconds 300``
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from std_daq.tpc.events.event import Event
from std_daq.tpc.events.event_reader import EventReader
from std_test_kit.live_exporters import ALL_BOARDS, LiveExporters
from std_test_kit.tpc_builder_process import BuilderProcess, tpc_document
from std_test_kit.wait import wait_until

PERIOD_S = 0.02
TIME_LIMIT_S = 0.3


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
        self._exporters = LiveExporters(PERIOD_S)
        document = tpc_document(
            shm_dir,
            folder,
            self._exporters.addresses,
            boards=[list(board) for board in ALL_BOARDS],
            builder={"ram_buffer_gb": 0.15, "time_limit_s": TIME_LIMIT_S, "reconnect_s": 0.05},
        )
        self.builder = BuilderProcess(folder, document)
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
        self._exporters.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._exporters.stop()
        self._reader.close()
        self._close()

    def _close(self) -> None:
        self.builder.close()
        self._exporters.__exit__()

    def live(self, seconds: float) -> None:
        """Let things happen, and read all events."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._read(until_s=time.monotonic() + self._choice.uniform(0.05, 0.4), is_all=False)
            self._happen()
            self.n_kills += 1

    def check_account(self) -> None:
        """Wait until all is quiet, and check the account of the present builder."""
        self._exporters.stop()
        expected = {exporter.address: exporter.n_sent for exporter in self._exporters.all}

        def received() -> dict[str, int]:
            return {address: sum(outcomes.values()) for address, outcomes in self.builder.outcomes().items()}

        wait_until(lambda: received() == expected, 20.0, lambda: f"{received()} received of {expected}")
        self._read(until_s=time.monotonic() + 2 * TIME_LIMIT_S)
        outcomes = self.builder.outcomes()
        n_used = sum(of_exporter["used"] for of_exporter in outcomes.values())
        assert n_used == sum(n for epoch, n in self._used.items() if epoch >= self._first_epoch), outcomes
        assert sum(of_exporter["damaged"] for of_exporter in outcomes.values()) == 0, outcomes
        assert self._reader.lost.n == 0

    def _happen(self) -> None:
        match self._choice.randrange(12):
            case 0:
                self._restart_builder()
            case 1 | 2:
                self._exporters.begin_run()
            case 3 | 4 | 5:
                self._exporters.kill(self._choice)
            case _:
                self._exporters.revive()

    def _restart_builder(self) -> None:
        with self._exporters.lock:
            number = self._choice.choice((signal.SIGKILL, signal.SIGTERM))
            code, took_s = self.builder.end(number)
            assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL), self.builder.log
            assert took_s < 5.0
            self._read(until_s=time.monotonic())
            self._first_epoch = max(self._last, default=-1) + 1
            for exporter in self._exporters.all:
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

    def _check(self, event: Event) -> None:
        """Check that an event holds the frames of its boards in one run, and that it comes once, in its order."""
        self._sent_run[event.epoch] = self._exporters.run_of(
            event, self._sent_run.get(event.epoch, self._exporters.run)
        )
        assert event.id > self._last.get(event.epoch, -1), f"{event!r} comes after {self._last}"
        self._last[event.epoch] = event.id
        self._used[event.epoch] += len(ALL_BOARDS) - len(event.missing_boards)
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
