"""Workers: the processes that analyse, each with one event at a time."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from std_daq.telemetry.logs import get_logger
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_event_analysis.worker_link import WorkerLink

_RESTART_S = 1.0
_END_S = 0.2
# A function may be compiled for this long, or waited for while another process compiles it; more only on a machine that
# is far too busy.
_COMPILING_S = 300.0
# A worker is one of many, so its libraries must not start a thread for each core.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ENDED = select.POLLHUP | select.POLLERR


@dataclass(slots=True)
class _Running:
    process: "subprocess.Popen[bytes]"
    link: WorkerLink
    busy_since_s: float
    is_ready: bool = False
    is_compiling: bool = False
    has_timed_out: bool = False
    sequence: int | None = None
    revision: int = 0


class Workers:
    """Starts processes, gives them events, and starts those again that end.

    Nothing that a process does holds up the service: it may be killed or stopped at any time, also while it starts, or
    in the middle of a result.

    Parameters
    ----------
    n_workers
        Number of processes.
    ring
        Path of the ring.
    plane, parameters
        As for `Pipeline`.
    event_timeout_s
        A process that takes longer for an event, or to start, is killed. It may compile for longer: 300 s a function.

    Attributes
    ----------
    n_died
        Processes that ended by themselves, or were killed.
    """

    def __init__(
        self,
        n_workers: int,
        ring: Path,
        plane: PadPlane,
        parameters: AnalysisParameters,
        *,
        event_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring, self._plane = ring, plane
        self._parameters, self._revision = parameters, 0
        self._n_workers = n_workers
        self._event_timeout_s = event_timeout_s
        self._clock = clock
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
        one.busy_since_s = self._clock()
        if one.revision != self._revision:
            one.link.put(("parameters", self._revision, self._parameters))
            one.revision = self._revision
        one.link.put(("event", sequence))

    def answers(self, timeout_s: float) -> list[tuple[Any, ...]]:
        """Return what the processes answer within a time.

        For an event whose process has ended that is ``("died",)``, or ``("timed_out",)`` if it took too long.
        """
        self._start_missing()
        by_descriptor = {one.link.fileno(): one for one in self._running}
        poller = select.poll()
        for descriptor, one in by_descriptor.items():
            poller.register(descriptor, select.POLLIN | (select.POLLOUT if one.link.has_unsent else 0))
        answers: list[tuple[Any, ...]] = []
        for descriptor, what in poller.poll(timeout_s * 1000):
            one = by_descriptor[descriptor]
            if what & select.POLLOUT:
                one.link.send()
            if what & (select.POLLIN | _ENDED):
                answers += self._take(one)
        self._kill_stuck()
        return answers

    def close(self) -> None:
        """End all processes."""
        for one in self._running:
            one.link.close()
        deadline = time.monotonic() + _END_S
        for one in self._running:
            try:
                one.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
        self._running = []

    def _start(self) -> _Running:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "std_event_analysis.worker", str(theirs.fileno()), str(os.getpid())]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=_ONE_THREAD | os.environ
            )
        one = _Running(process, WorkerLink(ours), self._clock())
        one.link.put(("begin", self._ring, self._plane, self._parameters))
        return one

    def _start_missing(self) -> None:
        if len(self._running) < self._n_workers and self._clock() >= self._next_start:
            self._running.append(self._start())

    def _take(self, one: _Running) -> list[tuple[Any, ...]]:
        """Return the answers of a process."""
        try:
            messages = one.link.received()
        except EOFError:
            return self._bury(one)
        answers = []
        for message in messages:
            if message[0] == "compiling":
                one.is_compiling, one.busy_since_s = True, self._clock()
            elif message == ("ready",):
                one.is_ready, one.is_compiling = True, False
            else:
                one.sequence = None
                answers.append(message)
        return answers

    def _kill_stuck(self) -> None:
        """Kill the processes that take too long; their connections end, and `answers` tells it."""
        now_s = self._clock()
        for one in self._running:
            is_busy = one.sequence is not None or not one.is_ready
            limit_s = max(_COMPILING_S, self._event_timeout_s) if one.is_compiling else self._event_timeout_s
            if is_busy and not one.has_timed_out and now_s - one.busy_since_s > limit_s:
                one.has_timed_out = True
                one.process.kill()

    def _bury(self, one: _Running) -> list[tuple[Any, ...]]:
        """Forget a process that has ended; returns what to say of its event."""
        one.process.kill()  # it may have closed the connection only
        exit_code = one.process.wait()
        what, event = ("timed_out", "worker_timed_out") if one.has_timed_out else ("died", "worker_died")
        get_logger().error(event, exit_code=exit_code, sequence=one.sequence)
        one.link.close()
        self._running.remove(one)
        self.n_died += 1
        self._next_start = self._clock() + _RESTART_S
        return [] if one.sequence is None else [(what,)]
