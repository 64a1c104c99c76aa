"""Workers: the processes that analyse, each with one event at a time."""

import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from std_daq.telemetry.logs import get_logger
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_event_analysis.worker import run_worker

_RESTART_S = 1.0
_END_S = 0.2
# A worker is one of many, so its libraries must not start a thread for each core.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(slots=True)
class _Running:
    process: BaseProcess
    connection: Connection
    is_ready: bool = False
    sequence: int | None = None
    revision: int = 0


class Workers:
    """Starts processes, gives them events, and starts those again that end.

    Parameters
    ----------
    n_workers
        Number of processes.
    ring
        Path of the ring.
    plane, parameters
        As for `Pipeline`.

    Attributes
    ----------
    n_died
        Processes that ended by themselves.
    """

    def __init__(self, n_workers: int, ring: Path, plane: PadPlane, parameters: AnalysisParameters) -> None:
        os.environ.update({name: value for name, value in _ONE_THREAD.items() if name not in os.environ})
        self._context = multiprocessing.get_context("spawn")
        self._ring, self._plane = ring, plane
        self._parameters, self._revision = parameters, 0
        self._n_workers = n_workers
        self._next_start = 0.0
        self.n_died = 0
        self._running: list[_Running] = [self._start() for _ in range(n_workers)]

    @property
    def n_ready(self) -> int:
        """Number of processes that take events."""
        return sum(one.is_ready for one in self._running)

    @property
    def n_free(self) -> int:
        """Number of processes that have no event now."""
        return sum(one.is_ready and one.sequence is None for one in self._running)

    @property
    def revision(self) -> int:
        """How often the parameters have changed."""
        return self._revision

    def change(self, parameters: AnalysisParameters) -> None:
        """Use other parameters for all events that are given from now on."""
        self._parameters = parameters
        self._revision += 1

    def give(self, sequence: int) -> None:
        """Give an event to a free process; call only if there is one."""
        one = next(one for one in self._running if one.is_ready and one.sequence is None)
        one.sequence = sequence
        try:
            if one.revision != self._revision:
                one.connection.send(("parameters", self._revision, self._parameters))
                one.revision = self._revision
            one.connection.send(("event", sequence))
        except OSError:
            pass  # it has died: `answers` tells

    def answers(self, timeout_s: float) -> list[tuple[Any, ...]]:
        """Return what the processes answer within a time; ``("died",)`` for an event whose process has ended."""
        self._start_missing()
        answers: list[tuple[Any, ...]] = []
        by_connection: dict[Any, _Running] = {one.connection: one for one in self._running}
        if not by_connection:
            time.sleep(timeout_s)
        for connection in wait(list(by_connection), timeout_s) if by_connection else ():
            one = by_connection[connection]
            try:
                answer = one.connection.recv()
            except (EOFError, OSError):
                if self._bury(one):
                    answers.append(("died",))
                continue
            if answer == ("ready",):
                one.is_ready = True
            else:
                one.sequence = None
                answers.append(answer)
        return answers

    def close(self) -> None:
        """End all processes."""
        for one in self._running:
            one.connection.close()
        deadline = time.monotonic() + _END_S
        for one in self._running:
            one.process.join(max(0.0, deadline - time.monotonic()))
            if one.process.is_alive():
                one.process.kill()
                one.process.join()
            one.process.close()
        self._running = []

    def _start(self) -> _Running:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=run_worker, args=(theirs, self._ring, self._plane, self._parameters), daemon=True
        )
        process.start()
        theirs.close()
        return _Running(process, ours)

    def _start_missing(self) -> None:
        if len(self._running) < self._n_workers and time.monotonic() >= self._next_start:
            self._running.append(self._start())

    def _bury(self, one: _Running) -> bool:
        """Forget a process that has ended; returns whether it had an event."""
        one.process.join()
        get_logger().error("worker_died", exit_code=one.process.exitcode, sequence=one.sequence)
        one.connection.close()
        one.process.close()
        self._running.remove(one)
        self.n_died += 1
        self._next_start = time.monotonic() + _RESTART_S
        return one.sequence is not None
