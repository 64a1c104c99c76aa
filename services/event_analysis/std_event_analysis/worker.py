"""A worker: a process that analyses one event after another.

Its messages are tuples, as `WorkerLink` sends them. First it gets ``("begin", ring, PadPlane, AnalysisParameters)``,
then ``("parameters", revision, AnalysisParameters)`` and ``("event", sequence)``. It answers ``("compiling", name)``
before each function that it may have to compile, then ``("ready",)``, and for each event
``("result", EventResult, seconds)``, ``("overwritten",)`` or ``("failed", text)``.

Arguments: DESCRIPTOR PARENT. The kernel kills it when the service is killed, whatever it does.
"""

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.errors import SharedMemoryError, StdDaqError
from std_daq.tpc.events.event import Event
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_event_analysis.worker_link import pack, read_message

if TYPE_CHECKING:
    from std_daq.tpc.reconstruction.pipeline import Pipeline

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Work until the service closes the connection, or is gone."""
    descriptor, parent = map(int, sys.argv[1:])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    for number in (signal.SIGINT, signal.SIGTERM):  # the service ends its workers
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        run_worker(connection)


def run_worker(connection: socket.socket) -> None:
    """Work until the other end of the connection is closed."""
    with connection.makefile("rb") as stream:
        begin = read_message(stream)
        if begin is None:
            return
        worker = Worker(*begin[1:])
        try:
            for name in worker.compile():
                connection.sendall(pack(("compiling", name)))
            connection.sendall(pack(("ready",)))
            while (message := read_message(stream)) is not None:
                kind, *values = message
                if kind == "parameters":
                    worker.change(*values)
                else:
                    connection.sendall(pack(worker.analyse(*values)))
        except OSError:
            return
        finally:
            worker.close()


class Worker:
    """Reads events from the ring, and analyses them.

    Parameters
    ----------
    ring
        Path of the ring.
    plane, parameters
        As for `Pipeline`.
    """

    def __init__(self, ring: Path, plane: PadPlane, parameters: AnalysisParameters) -> None:
        self._path = ring
        self._plane = plane
        self._pipeline = self._new_pipeline(parameters)
        self._revision = 0
        self._ring: EventBuffer | None = None

    def change(self, revision: int, parameters: AnalysisParameters) -> None:
        """Use other parameters from the next event on."""
        self._pipeline = self._new_pipeline(parameters)
        self._revision = revision

    def compile(self) -> Iterator[str]:
        """Compile what the phases need, or load it from the cache; yields the name of each function before."""
        from std_daq.tpc.reconstruction.compilation import kernels_of_phases

        for name, kernel in kernels_of_phases():
            yield name
            kernel.compile()

    def analyse(self, sequence: int) -> tuple[Any, ...]:
        """Analyse an event of the ring, and return the answer."""
        event = self._read(sequence)
        if event is None:
            return ("overwritten",)
        begun = time.perf_counter()
        try:
            result = self._pipeline.run(event.id, event.epoch, event.traces)
        except StdDaqError as error:
            return ("failed", str(error))
        about = event.metadata
        result = result.of_ring(
            sequence=about.sequence,
            timestamp=about.timestamp,
            built_ns=about.built_ns,
            n_missing_boards=about.n_missing_boards,
            revision=self._revision,
        )
        return ("result", result, time.perf_counter() - begun)

    def close(self) -> None:
        """Release the ring."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _new_pipeline(self, parameters: AnalysisParameters) -> "Pipeline":
        """Return a pipeline; its libraries are imported here, so that the service itself does without them."""
        from std_daq.tpc.reconstruction.pipeline import Pipeline

        return Pipeline(self._plane, parameters)

    def _read(self, sequence: int) -> Event | None:
        """Return a copy of an event; None if it is not in the ring."""
        if self._ring is None or not self._ring.is_live:
            self.close()
            try:
                self._ring = EventBuffer.attach(self._path)
            except SharedMemoryError:
                return None
        event = self._ring.view(sequence)
        return None if event is None else event.copy()


if __name__ == "__main__":
    main()
