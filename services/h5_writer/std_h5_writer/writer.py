"""H5Writer: the service that writes the images, or events, that the agent names, straight from the ring into files."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from std_daq.errors import EXIT_FAILED, StdDaqError
from std_daq.recording.fence import Fence
from std_daq.recording.measured_values import NO_LOGS, ValueLogs
from std_daq.recording.recorded import Recorded
from std_daq.recording.requests import RunReport
from std_daq.recording.store_stream import EndRun, FinishRun, ReportKind, StartRun, WriteMaster, decode
from std_daq.streams.queue import PullQueue
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_h5_writer.compression import Compressor
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.files_of_run import FileMaker
from std_h5_writer.metrics import WriterMetrics, WriterState
from std_h5_writer.reporter import Reporter
from std_h5_writer.ring_reader import RingReader, RunImage
from std_h5_writer.run import MAX_LOST_IDS_A_REPORT, WriterRun
from std_h5_writer.way_to_disk import WayToDisk

WAIT_S = 0.1
MESSAGES_A_STEP = 64
PROGRESS_PERIOD_S = 0.2
# The end of a run can come before its images only if the agent was restarted. Images that have not come after this
# time are lost.
MISSING_IMAGES_TIMEOUT_S = 2.0
CLOSE_DEADLINE_S = 2.0
# Longest time that a message can be on its way.
LAST_MESSAGE_S = 0.1


class H5Writer:
    """The service: writes one run at a time, one image after another.

    The service survives all failures of a run: it reports a run that cannot be written as failed, and takes the next.

    Parameters
    ----------
    inbox
        Queue of the StoreStream.
    reporter
        Sends reports to the agent.
    ring
        Finds images in their ring.
    recorded
        What is recorded: images or events.
    compressor
        Compresses images if the request asks for it.
    files
        Makes the files.
    owner
        User who is to own the files.
    way_to_disk
        Decides which uncompressed images are written past the page cache.
    fence
        Tells whether the agent has given this process up.
    metrics
        Metrics of the writer.
    flush_interval_s
        Time between two flushes, in seconds. If this process crashes, at most this much is lost.
    clock
        Returns the monotonic time in seconds.
    end_process
        Ends this process at once, and closes no file.
    """

    def __init__(
        self,
        *,
        inbox: PullQueue,
        reporter: Reporter,
        ring: RingReader[Any, Any],
        recorded: Recorded,
        compressor: Compressor,
        files: FileMaker,
        owner: FileOwner,
        way_to_disk: WayToDisk,
        fence: Fence,
        metrics: WriterMetrics,
        flush_interval_s: float,
        clock: Callable[[], float] = time.monotonic,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._inbox = inbox
        self._reporter = reporter
        self._ring = ring
        self._compressor = compressor
        self._files = files
        self._recorded = recorded
        self._entry = recorded.entry
        self._owner = owner
        self._way_to_disk = way_to_disk
        self._fence = fence
        self._metrics = metrics
        self._end_process = end_process
        self._flush_interval_s = flush_interval_s
        self._clock = clock
        self._log = get_logger()
        self._conditions = ConditionLog()
        self._run: WriterRun | None = None
        self._next_flush = 0.0
        self._next_progress = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether the writer can write images."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """Failure of the current run, until the run is finished; None if there is none."""
        run = self._run
        return None if run is None else run.failure or None

    def step(self) -> None:
        """Handle the messages that have come, a bounded number; wait at most 0.1 s for the first."""
        self._reporter.touch()
        message = self._inbox.pull(0.0 if self._compressor.n_in_flight else WAIT_S)
        if message is None and self._compressor.n_in_flight:
            self._write_oldest()
        for _ in range(MESSAGES_A_STEP):
            if message is None:
                break
            self._handle_message(message)
            message = self._inbox.pull()
        if message is not None:
            self._handle_message(message)
        self._do_what_is_due()

    def close(self) -> None:
        """Write the images that were already sent, as far as time allows, and end the run as failed."""
        deadline = self._clock() + CLOSE_DEADLINE_S
        while self._run is not None and self._clock() < deadline:
            message = self._inbox.pull(LAST_MESSAGE_S)
            if message is None:
                break
            self._handle_message(message)
        if self._run is not None:
            self._abandon_run("the writer was stopped")
        self._compressor.close()
        self._reporter.close()
        self._inbox.close()
        self._ring.close()

    def _handle_message(self, message: bytes) -> None:
        try:
            content = decode(message, self._entry)
        except ValueError as error:
            self._count_ignored("message_not_understood", error=str(error))
            return
        try:
            self._handle_content(content)
        except Exception as error:  # noqa: BLE001 -- whatever one message holds, the next one is handled
            reason = self._explain(error)
            if self._run is None:
                self._count_ignored("message_not_handled", error=reason)
            else:
                self._fail_run(self._run, reason)

    def _stop_if_given_up(self, run_id: int) -> None:
        """End this process if the agent has given it up in this run.

        The agent has told that images which are not flushed are lost, and that the files have no verdict. That stays
        true if this process ends as if it had been killed. Closing the files would complete them.
        """
        if self._fence.is_given_up(self._reporter.instance, run_id):
            reason = "this process was silent for too long, and the writer agent has ended its part of the run"
            self._log.error("run_given_up", run_id=run_id, reason=reason)
            self._end_process(EXIT_FAILED)

    def _handle_content(self, content: NDArray[Any] | StartRun | EndRun | FinishRun | WriteMaster) -> None:
        match content:
            case StartRun():
                self._start_run(content)
            case EndRun():
                self._end_run(content)
            case FinishRun():
                self._finish_run(content)
            case WriteMaster():
                self._stop_if_given_up(content.run_id)
                self._write_master(content)
            case _:
                self._handle_image(content)

    def _count_ignored(self, condition: str, **values: object) -> None:
        self._metrics.ignored.inc()
        self._conditions.warning(condition, **values)

    # -- images

    def _handle_image(self, store_image: NDArray[Any]) -> None:
        run = self._run
        run_id = int(store_image["run_id"][0])
        if run is None or run.run_id != run_id or run.is_drained:
            self._count_ignored("image_of_unknown_run", run_id=run_id)
            return
        if run.is_ending:
            run.deadline = self._clock() + MISSING_IMAGES_TIMEOUT_S
        run.last_sequence = int(store_image["metadata"]["sequence"][0])
        run_image = None if run.failure else self._find_in_ring(store_image)
        if run_image is None:
            self._record_lost(run, int(store_image["metadata"]["id"][0]))
        elif run.is_compressed:
            if self._compressor.is_full:
                self._write_oldest()
            self._compressor.submit(run_image, run.start.request.zstd_level)
        else:
            self._write_image(run, run_image, self._ring.pixels_of(run_image.image))

    def _find_in_ring(self, store_image: NDArray[Any]) -> RunImage[Any, Any] | None:
        run_image = self._ring.find(store_image)
        if run_image is None and not self._ring.is_current:
            self._write_all_in_flight()
            if self._ring.attach():
                run_image = self._ring.find(store_image)
        return run_image

    def _write_oldest(self) -> None:
        """Write the image that was submitted to the compressor first."""
        run_image, chunk = self._compressor.take()
        run = self._run
        if run is None:
            return
        if chunk is None or run.failure:
            self._record_lost(run, run_image.image.id)
        else:
            self._write_image(run, run_image, chunk)

    def _write_all_in_flight(self) -> None:
        while self._compressor.n_in_flight:
            self._write_oldest()

    def _write_image(self, run: WriterRun, run_image: RunImage[Any, Any], chunk: NDArray[Any]) -> None:
        self._stop_if_given_up(run.run_id)
        start = time.perf_counter()
        try:
            is_plain = not run.is_compressed
            is_past_cache = is_plain and self._way_to_disk.is_past_page_cache(
                self._ring.lag(run_image.image.sequence), run_image.ring.n_slots
            )
            run.files.append(run_image, chunk, past_page_cache=is_past_cache)
            if is_plain and not run_image.image.is_intact():
                run.files.drop_last(run_image)
                self._record_lost(run, run_image.image.id)
                return
        except Exception as error:  # noqa: BLE001 -- h5py raises nearly everything; it ends the run, not the writer
            self._fail_run(run, self._explain(error))
            self._record_lost(run, run_image.image.id)
            return
        seconds = time.perf_counter() - start
        self._way_to_disk.note(seconds, is_past_page_cache=is_past_cache)
        self._metrics.write_seconds.observe(seconds)

    def _record_lost(self, run: WriterRun, image_id: int) -> None:
        run.lost_ids.append(image_id)
        self._metrics.lost.inc()
        if not run.failure:
            self._conditions.warning("image_lost", run_id=run.run_id, image_id=image_id)

    # -- the life of a run

    def _start_run(self, start: StartRun) -> None:
        if self._run is not None:
            if self._run.run_id == start.run_id:
                self._count_ignored("run_started_twice", run_id=start.run_id)
                return
            self._abandon_run("the writer agent began another run")
        if not self._ring.is_current:
            self._ring.attach()

        self._run = WriterRun(start, self._files.files_of(start))
        self._reporter.run_id = start.run_id
        self._next_flush = self._clock() + self._flush_interval_s
        self._metrics.set_state(WriterState.WRITING)
        self._log.info("run_started", run_id=start.run_id, request_id=start.request_id, file=start.output_file)
        try:
            self._owner.act_for(start.user_id)
        except OSError as error:
            self._fail_run(self._run, str(error))

    def _end_run(self, end: EndRun) -> None:
        run = self._run
        if run is None or run.run_id != end.run_id:
            self._count_ignored("end_of_unknown_run", run_id=end.run_id)
            return
        self._write_all_in_flight()
        if end.n_sent is None:
            self._tell_new_agent(run)
        if run.is_drained:
            self._report_drained(run)
            return
        run.is_ending = True
        run.n_sent = end.n_sent
        run.deadline = self._clock() + MISSING_IMAGES_TIMEOUT_S

    def _tell_new_agent(self, run: WriterRun) -> None:
        """Report again what an agent knew that is gone; its successor ends the run."""
        run.report_again()
        if run.failure:
            self._send_report(ReportKind.FAILED, run, message=run.failure)

    def _finish_run(self, finish: FinishRun) -> None:
        run = self._run
        if run is None or run.run_id != finish.run_id:
            self._count_ignored("finish_of_unknown_run", run_id=finish.run_id)
            return
        self._finish_files(run, finish.report, finish.logs)

    def _write_master(self, master: WriteMaster) -> None:
        path = Path(master.output_file)
        try:
            self._owner.act_for(master.user_id)
            with self._owner.identity():
                data_files = [Path(name) for name in master.data_files]
                self._files.write_master(path, data_files, master.report, master.logs)
        except Exception as error:  # noqa: BLE001 -- see above
            reason = self._explain(error)
            self._log.error("master_failed", run_id=master.run_id, file=str(path), error=reason)
            self._reporter.send(
                ReportKind.FAILED, run_id=master.run_id, message=f"the master file cannot be written: {reason}"
            )
            return
        self._log.info("master_written", run_id=master.run_id, file=str(path))
        self._reporter.send(ReportKind.MASTER_WRITTEN, run_id=master.run_id, files=[str(path)])

    def _do_what_is_due(self) -> None:
        """Flush, report progress and drain the run, each when its time has come."""
        run = self._run
        if run is None:
            return
        self._stop_if_given_up(run.run_id)
        self._update_metrics(run)
        now = self._clock()
        if now >= self._next_flush:
            self._next_flush = now + self._flush_interval_s
            self._flush_files(run)
        if now >= self._next_progress:
            self._next_progress = now + PROGRESS_PERIOD_S
            self._send_report(ReportKind.PROGRESS, run)
        if run.is_ending and not run.is_drained and (run.has_all or now >= run.deadline):
            self._write_all_in_flight()
            self._drain_run(run)

    def _update_metrics(self, run: WriterRun) -> None:
        """Update the metrics, once for all images of a step."""
        n_images, n_direct, n_bytes = run.uncounted()
        self._metrics.written.inc(n_images)
        self._metrics.written_directly.inc(n_direct)
        self._metrics.written_bytes.inc(n_bytes)
        lag = 0 if run.last_sequence is None else self._ring.lag(run.last_sequence)
        self._metrics.ring.show(lag, self._ring.n_slots)

    def _drain_run(self, run: WriterRun) -> None:
        run.is_drained = True
        # All this comes before the agent decides the verdict, which counts the images in files.
        if run.failure:
            run.files.salvage()
        self._flush_files(run)
        self._look_for_files(run)
        self._report_drained(run)
        if not run.failure:
            self._metrics.set_state(WriterState.DRAINED)
        self._log.info("run_drained", run_id=run.run_id, n_written=run.files.n_written, n_lost=len(run.lost_ids))

    def _report_drained(self, run: WriterRun) -> None:
        n_missing = 0 if run.n_sent is None else run.n_sent - run.n_handled
        message = f"{n_missing} {self._recorded.nouns} were sent but never arrived" if n_missing > 0 else ""
        self._send_report(ReportKind.DRAINED, run, message=message)

    def _flush_files(self, run: WriterRun) -> None:
        self._stop_if_given_up(run.run_id)
        if run.failure:
            return
        try:
            run.files.flush()
        except Exception as error:  # noqa: BLE001 -- see above
            self._fail_run(run, self._explain(error))

    def _look_for_files(self, run: WriterRun) -> None:
        """Count images as lost whose closed files somebody has removed."""
        vanished = run.files.find_vanished()
        for image_id in vanished:
            self._record_lost(run, image_id)
        if vanished:
            self._fail_run(run, run.files.explain_vanished())

    def _finish_files(self, run: WriterRun, report: RunReport, logs: ValueLogs = NO_LOGS) -> None:
        """Write this report into the files, and end the run, whether or not that succeeds."""
        self._stop_if_given_up(run.run_id)
        self._write_all_in_flight()
        self._update_metrics(run)

        def after_each() -> None:
            self._reporter.touch()
            self._stop_if_given_up(run.run_id)

        try:
            run.files.finish(report, after_each, logs)
        except Exception as error:  # noqa: BLE001 -- see above
            self._fail_run(run, self._explain(error))
            for image_id in run.files.unflushed_ids:
                self._record_lost(run, image_id)
        self._send_report(ReportKind.FINISHED, run, message=run.failure, n_written=run.files.n_flushed)
        self._log.info("run_finished", run_id=run.run_id, verdict=report.verdict, n_written=run.files.n_flushed)
        self._run = None
        self._reporter.run_id = None
        self._metrics.ring.show(0, self._ring.n_slots)
        self._metrics.set_state(WriterState.IDLE)

    def _abandon_run(self, reason: str) -> None:
        """End a run as failed that the agent will not end, and close its files."""
        run = self._run
        if run is not None:
            self._write_all_in_flight()
            self._fail_run(run, reason)
            self._finish_files(run, run.report_failed(reason))

    def _explain(self, error: Exception) -> str:
        """Return the text of an error for a user; log the traceback of an error that nobody foresaw."""
        if isinstance(error, OSError) and error.strerror and error.filename:
            return f"{error.filename}: {error.strerror}"
        if isinstance(error, OSError | StdDaqError):
            return str(error)
        self._log.exception("unforeseen_failure")
        return repr(error)

    def _fail_run(self, run: WriterRun, reason: str) -> None:
        if run.failure:
            return
        run.failure = reason
        self._metrics.set_state(WriterState.FAILED)
        self._log.error("run_failed", run_id=run.run_id, error=reason)
        self._send_report(ReportKind.FAILED, run, message=reason)

    def _send_report(
        self, kind: ReportKind, run: WriterRun, *, message: str = "", n_written: int | None = None
    ) -> None:
        """Send a report of a run; before reports other than progress, report all lost images."""
        if kind is not ReportKind.PROGRESS:
            while len(run.unreported_ids()) == MAX_LOST_IDS_A_REPORT:
                if not self._send_one_report(ReportKind.PROGRESS, run):
                    break
        self._send_one_report(kind, run, message=message, n_written=n_written)

    def _send_one_report(
        self, kind: ReportKind, run: WriterRun, *, message: str = "", n_written: int | None = None
    ) -> bool:
        ids = run.unreported_ids()
        files = run.files
        # Progress reports pile up in the queue while the agent is not running, and a run may have a thousand files.
        # So they list the files only if there are new ones.
        is_known = kind is ReportKind.PROGRESS and len(files.paths) == run.n_files_reported
        is_sent = self._reporter.send(
            kind,
            run_id=run.run_id,
            n_written=files.n_written - files.n_vanished if n_written is None else n_written,
            n_flushed=files.n_flushed,
            n_incomplete=files.faults.n_images,
            faults=files.faults.faults,
            lost_image_ids=ids,
            n_lost_before=run.n_lost_reported,
            files=[] if is_known else [str(path) for path in files.paths],
            n_bytes=files.n_bytes,
            message=message,
        )
        if is_sent:
            run.mark_reported(len(ids))
            run.n_files_reported = len(files.paths)
        return is_sent
