"""AcquisitionBook: the runs of a detector, also those of other clients, as the older interface tells them."""

import asyncio
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Self

from std_daq.config.paths import runtime_dir
from std_daq.errors import StdDaqError
from std_daq.folders.new_file import NewFile
from std_daq.recording.requests import StatusMessage, WriteRequest, new_request_id, parse_write_request
from std_daq.telemetry.logs import ConditionLog
from std_web.older.acquisition import OlderRun
from std_web.runs.desk import RunDesk
from std_web.runs.run_view import RunDetails, report_of

MAX_KEPT = 1000
RUN_ID = "run_id"
_CONNECT_S = 5.0


class AcquisitionBook(AbstractAsyncContextManager["AcquisitionBook"]):
    """Keeps the runs that a desk hears of, in a file, so that a restart forgets none.

    Parameters
    ----------
    desk
        Sends requests and kills, and hears what becomes of them.
    clock
        Returns seconds since 1970.
    """

    def __init__(self, desk: RunDesk, clock: Callable[[], float] = time.time) -> None:
        self._desk = desk
        self._clock = clock
        self._path = runtime_dir(desk.detector.config) / "web-acquisitions.json"
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._runs: OrderedDict[str, OlderRun] = OrderedDict()
        self._conditions = ConditionLog(60.0)
        desk.observe(self)

    # -- runs

    def send(self, request: WriteRequest, run_id: int | str) -> OlderRun:
        """Send a request; returns its run, which goes on while nobody waits for it.

        Raises
        ------
        BrokerError
            The request could not be sent.
        """
        request = request.model_copy(update={"user_metadata": {**request.user_metadata, RUN_ID: run_id}})
        run = OlderRun(new_request_id(), run_id, request.output_file, request.n_images, heard_s=self._clock())
        with self._lock:
            self._add(run)
        try:
            self._desk.wait_connected(_CONNECT_S)
            self._desk.start(request, run.request_id)
        except StdDaqError:
            with self._lock:
                self._runs.pop(run.request_id, None)
            raise
        return run

    def kill(self, request_id: str) -> None:
        """Ask the writer to end a run; raises BrokerError."""
        self._desk.wait_connected(_CONNECT_S)
        self._desk.kill(request_id)

    def open_runs(self) -> list[OlderRun]:
        """Return the runs that have not ended, the oldest first."""
        with self._lock:
            return [run for run in self._runs.values() if not run.is_over]

    def give_up_before(self, time_s: float) -> None:
        """Take the open runs of which nothing was heard since a time as ended; the writer agent has none any more."""
        with self._lock:
            forgotten = [run for run in self._runs.values() if not run.is_over and run.heard_s < time_s]
            for run in forgotten:
                run.give_up(self._clock())
        if forgotten:
            self._save()

    def last(self) -> OlderRun | None:
        """Return the run that is written or was last; None if none is known."""
        with self._lock:
            runs = list(self._runs.values())
        return next((run for run in runs if not run.is_over), runs[-1] if runs else None)

    def ended(self, n: int) -> list[OlderRun]:
        """Return the last runs that have ended, the newest first; also those that failed."""
        with self._lock:
            return [run for run in reversed(self._runs.values()) if run.is_over][:n]

    def find(self, name: str) -> OlderRun | None:
        """Return the newest run with this request id or run id."""
        with self._lock:
            if name in self._runs:
                return self._runs[name]
            return next((run for run in reversed(self._runs.values()) if str(run.run_id) == name), None)

    # -- what the desk hears

    def take_status(self, status: StatusMessage) -> None:
        """Take a status of the writer agent."""
        if not status.request_id.isprintable():  # no answer could tell it
            return
        with self._lock:
            run = self._runs.get(status.request_id)
            if run is None:
                run = _of_others(status)
                if run is None:
                    return
                self._add(run)
            run.apply(status, self._clock())
        if run.is_over:
            self._save()

    def take_history(self, run: RunDetails) -> None:
        """Take the end of a run of which no status has told: broker, or console, was away then."""
        with self._lock:
            known = self._runs.get(run.request_id)
            if known is None or known.is_over or run.state != "ended":
                return
            known.end(report_of(run), self._clock())
        self._save()

    # -- life

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._load)
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Do nothing: each end of a run was saved when it came."""

    def _add(self, run: OlderRun) -> None:
        self._runs[run.request_id] = run
        while len(self._runs) > MAX_KEPT:
            self._runs.popitem(last=False)

    # -- the file

    def _load(self) -> None:
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError):
            records: list[dict[str, Any]] = json.loads(self._path.read_text())
            loaded = OrderedDict((run.request_id, run) for run in map(OlderRun.from_record, records[-MAX_KEPT:]))
            with self._lock:
                heard, self._runs = self._runs, loaded
                for run in heard.values():
                    self._add(run)

    def _save(self) -> None:
        try:
            with self._saving:
                with self._lock:
                    records = [run.to_record() for run in self._runs.values() if run.is_over]
                with NewFile(self._path, mode=0o660) as new:
                    new.write(json.dumps(records).encode())
                    new.replace()
        except OSError as error:
            self._conditions.warning("runs_not_kept", file=str(self._path), error=error.strerror)


def _of_others(status: StatusMessage) -> OlderRun | None:
    """Return the run of a request that another client has sent; None if the status does not have the request."""
    try:
        request = parse_write_request(status.body)
    except StdDaqError:
        return None
    run_id = request.user_metadata.get(RUN_ID, status.request_id)
    name = run_id if isinstance(run_id, int | str) else str(run_id)
    return OlderRun(status.request_id, name, request.output_file, request.n_images)
