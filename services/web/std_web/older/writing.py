"""The paths below ``/writer`` and the log: runs, as the older interface starts, follows and stops them."""

import asyncio
import time
from pathlib import Path
from typing import Any

from fastapi import Request

from std_daq.errors import StdDaqError
from std_daq.recording.requests import WriteRequest, parse_write_request
from std_web.detectors import WatchedDetector
from std_web.older.acquisition import OlderRun
from std_web.older.acquisitions import MAX_KEPT, AcquisitionBook
from std_web.older.answers import OlderError, body_of
from std_web.state.poller import StatePoller

_LOOK_S = 0.05
_ACCEPT_S = 15.0
_STOP_S = 30.0
_SILENCE_S = 15.0
_IDLE = frozenset({"idle", "ended"})
_LAST_RUN_ID = 2**63 - 1
_MAX_RUN_ID_CHARS = 200
_BUSY = frozenset({"starting", "recovering", "waiting", "running", "draining", "finishing", "writing_master"})


class OlderWriting:
    """Starts, follows and stops the runs of one detector.

    Parameters
    ----------
    detector
        The detector.
    book
        Its runs.
    poller
        Tells what its writer agent does.
    """

    def __init__(self, detector: WatchedDetector, book: AcquisitionBook, poller: StatePoller) -> None:
        self._detector = detector
        self.book = book
        self._poller = poller
        self._starting = asyncio.Lock()

    async def write_async(self, request: Request) -> dict[str, Any]:
        """Start a run; answers when the writer agent has taken it."""
        run = await self._start(await body_of(request))
        return self._writer(run)

    async def write_sync(self, request: Request) -> dict[str, Any]:
        """Start a run; answers when it has ended, however long that takes."""
        run = await self._start(await body_of(request))
        while not run.is_over:
            await asyncio.sleep(_LOOK_S)
            self._reconcile()
        if run.state == "FAILED":
            raise OlderError(run.message)
        return self._writer(run)

    async def status(self, request: Request) -> dict[str, Any]:  # noqa: ARG002 - the signature of every handler
        """Tell what is written now, or was last."""
        self._reconcile()
        return self._writer(self.book.last())

    async def stop(self, request: Request) -> dict[str, Any]:  # noqa: ARG002
        """End all runs; answers when they have ended. Without a run it does nothing."""
        open_runs = self.book.open_runs()
        ids = {run.request_id for run in open_runs} | set(filter(None, [self._busy_with()]))
        for request_id in ids:
            await asyncio.to_thread(self.book.kill, request_id)
        deadline = time.monotonic() + _STOP_S
        while any(not run.is_over for run in open_runs):
            if time.monotonic() > deadline:
                raise OlderError(f"the run has not ended within {_STOP_S:g} s; it will")
            await asyncio.sleep(_LOOK_S)
            self._reconcile()
        return self._writer(self.book.last())

    async def logs(self, request: Request) -> dict[str, Any]:
        """Return the last runs, the newest first; those that failed as well."""
        text = request.path_params["n"]
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= MAX_KEPT):
            raise OlderError(f"'{text[:50]}' is not a number of runs from 1 to {MAX_KEPT}")
        return {"logs": [run.to_json() for run in self.book.ended(int(text))]}

    async def _start(self, body: dict[str, Any]) -> OlderRun:
        wanted, run_id = _wanted(body)
        async with self._starting:
            self._reconcile()
            busy = self._busy_with() or next((run.request_id for run in self.book.open_runs()), "")
            if busy:
                raise OlderError(
                    f"a run is being written ({busy}); wait for its end, stop it, or queue requests by "
                    f"POST /api/v1/detectors/{self._detector.name}/runs"
                )
            run = await asyncio.to_thread(self.book.send, wanted, run_id)
        deadline = time.monotonic() + _ACCEPT_S
        while not run.is_accepted:
            if time.monotonic() > deadline:
                raise OlderError(f"no answer from the writer agent within {_ACCEPT_S:g} s; is it running?")
            await asyncio.sleep(_LOOK_S)
        if run.refusal:
            raise OlderError(run.refusal)
        return run

    def _writer(self, run: OlderRun | None) -> dict[str, Any]:
        reading = self._poller.state.reading
        is_known = reading is not None and bool(reading.status.run.state)
        is_writing = bool(self._busy_with()) or (run is not None and not run.is_over)
        state = "WRITING" if is_writing else "READY" if is_known or run is not None else "UNKNOWN"
        return {"writer": {"state": state, "acquisition": None if run is None else run.to_json()}}

    def _reconcile(self) -> None:
        """Take runs as ended of which the writer agent, which can tell everything, has known nothing for a while."""
        reading = self._poller.state.reading
        if reading is None or reading.metrics.get("daq_requests_queued", 1):
            return
        run = reading.status.run
        if run.state in _IDLE and not run.broker and not run.n_waiting:
            self.book.give_up_before(reading.status.time_s - _SILENCE_S)

    def _busy_with(self) -> str:
        """Return the request that the writer agent carries out; empty if none, or if it has just ended."""
        reading = self._poller.state.reading
        if reading is None or reading.status.run.state not in _BUSY:
            return ""
        request_id = reading.status.run.request_id
        known = self.book.find(request_id) if request_id else None
        return "" if known is not None and known.is_over else request_id


def _wanted(body: dict[str, Any]) -> tuple[WriteRequest, int | str]:
    run_id = body.get("run_id", time.time_ns())
    is_number = isinstance(run_id, int) and not isinstance(run_id, bool) and 0 <= run_id <= _LAST_RUN_ID
    if not is_number and not (isinstance(run_id, str) and len(run_id) <= _MAX_RUN_ID_CHARS):
        raise OlderError("run_id is a number of at most 63 bits, or a text of at most 200 characters")
    missing = [key for key in ("n_images", "output_file") if key not in body]
    if missing:
        raise OlderError(f"the request lacks {' and '.join(missing)}")
    n_images, output_file = body["n_images"], body["output_file"]
    if not isinstance(n_images, int) or isinstance(n_images, bool) or n_images < 1:
        raise OlderError(f"n_images is a whole number from 1 on, not {str(n_images)[:50]}")
    if not isinstance(output_file, str) or not Path(output_file).is_absolute():
        raise OlderError(f"output_file is an absolute path, not {str(output_file)[:200]}")
    try:
        return parse_write_request({"n_images": n_images, "output_file": output_file}), run_id
    except StdDaqError as error:
        raise OlderError(str(error)) from None
