"""Reporter: sends reports of this writer to the writer agent, and tells it that the writer is alive."""

import time
import uuid
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

from std_daq.recording.store_stream import ReportKind, WriterReport
from std_daq.streams.queue import PushQueue
from std_daq.telemetry.logs import ConditionLog

ALIVE_PERIOD_S = 0.5
_LINGER_S = 0.5


class Reporter:
    """Sends reports to the writer agent.

    ``alive`` reports are sent from a thread, because a single write may take long. The thread stops reporting when the
    writer has not called `touch` for `patience_s`. For example, a disk that never answers blocks the writer in a call;
    after this time the agent notices that the writer is silent, and ends the run.

    Parameters
    ----------
    address
        ZMQ address of the agent's queue of reports.
    writer
        Index of this writer.
    patience_s
        Time after the last `touch` for which the thread reports that the writer is alive, in seconds.
    clock
        Returns the monotonic time in seconds.

    Attributes
    ----------
    instance
        Id of this process; new at each start.
    run_id
        Run of the writer; None if there is none.
    """

    def __init__(
        self, address: str, writer: int, *, patience_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.instance = uuid.uuid4().hex
        self.run_id: int | None = None
        self._writer = writer
        self._patience_s = patience_s
        self._clock = clock
        self._touched = clock()
        self._conditions = ConditionLog()
        self._queue = PushQueue(address, bind=False)
        self._lock = Lock()
        self._stop = Event()
        self._thread = Thread(target=self._stay_alive, name="alive", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """Record that the writer's loop is running; the writer calls this regularly."""
        self._touched = self._clock()

    def send(self, kind: ReportKind, **fields: Any) -> bool:
        """Send a report with the given fields of `WriterReport`, and return whether it was queued."""
        report = WriterReport(kind=kind, writer=self._writer, instance=self.instance, **fields)
        with self._lock:
            is_queued = self._queue.push(report.model_dump_json().encode())
        if not is_queued:
            self._conditions.warning("report_not_sent", kind=kind, reason="the queue to the writer agent is full")
        return is_queued

    def close(self) -> None:
        """Stop reporting; queued reports are still sent."""
        self._stop.set()
        self._thread.join()
        self._queue.close(_LINGER_S)

    def _stay_alive(self) -> None:
        while True:
            if self._clock() - self._touched <= self._patience_s:
                self.send(ReportKind.ALIVE, run_id=self.run_id)
            if self._stop.wait(ALIVE_PERIOD_S):
                return
