"""FakeStoreWriter: an h5_writer that follows the StoreStream but writes nothing, for tests of the writer agent."""

import threading
import uuid
from collections.abc import Collection
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.addresses import store_address, store_reports_address
from std_daq.recording.requests import FaultCount, RunReport
from std_daq.recording.store_stream import EndRun, FinishRun, ReportKind, StartRun, WriteMaster, WriterReport, decode
from std_daq.streams.queue import PullQueue, PushQueue


class FakeStoreWriter:
    """Takes messages of a StoreStream and returns what a writer would report.

    Parameters
    ----------
    writer
        Index of the writer.
    overwritten
        Ids of images that it finds overwritten.
    fail_at
        It fails at the so many-th image of a run.
    master_failure
        Why it cannot write a master; empty if it can.

    Attributes
    ----------
    written
        Ids of the images of each file, in order, by run id and file.
    runs
        The runs that it was told of.
    reports
        The reports that came with FinishRun and WriteMaster.
    faults
        The faults that it reports of the images of a run.
    """

    def __init__(
        self,
        writer: int = 0,
        *,
        overwritten: Collection[int] = (),
        fail_at: int | None = None,
        master_failure: str = "",
    ) -> None:
        self.writer = writer
        self.instance = str(uuid.uuid4())
        self.overwritten = overwritten
        self.fail_at = fail_at
        self.master_failure = master_failure
        self.written: dict[int, dict[str, list[int]]] = {}
        self.runs: dict[int, StartRun] = {}
        self.reports: list[RunReport] = []
        self.faults: dict[str, FaultCount] = {}
        self.n_flushed = 0
        self._open: int | None = None
        self._n_handled = 0
        self._lost: list[int] = []
        self._n_lost_told = 0

    def alive(self) -> WriterReport:
        """Return the report that it sends at least once a second."""
        return self._report(ReportKind.ALIVE)

    def flush(self) -> WriterReport:
        """Put on disk what is written, and report it."""
        if self.fail_at is None or self._n_handled < self.fail_at:
            self.n_flushed = self._n_written()
        return self._report(ReportKind.PROGRESS)

    def handle(self, message: bytes) -> list[WriterReport]:
        """Do what a message says and return what is to be reported."""
        match decode(message, STORE_IMAGE):
            case StartRun() as start:
                self._start(start)
            case EndRun(run_id=run_id, n_sent=n_sent) if run_id == self._open:
                if n_sent is None:
                    self._n_lost_told = 0
                progress = self.flush()
                return [progress, self._report(ReportKind.DRAINED)]
            case FinishRun(run_id=run_id, report=report) if run_id == self._open:
                self.reports.append(report)
                finished = self._report(ReportKind.FINISHED)
                self._open = None
                return [finished]
            case WriteMaster(run_id=run_id, report=report):
                self.reports.append(report)
                if self.master_failure:
                    return [self._report(ReportKind.FAILED, run_id, self.master_failure)]
                return [self._report(ReportKind.MASTER_WRITTEN, run_id)]
            case np.ndarray() as image if int(image["run_id"][0]) == self._open:
                return self._write(image)
        return []

    def _start(self, start: StartRun) -> None:
        self.runs[start.run_id] = start
        self.written[start.run_id] = {}
        self._open = start.run_id
        self._n_handled = self.n_flushed = self._n_lost_told = 0
        self._lost = []

    def _write(self, image: NDArray[Any]) -> list[WriterReport]:
        self._n_handled += 1
        image_id, run_id = int(image["metadata"]["id"][0]), int(image["run_id"][0])
        has_failed = self.fail_at is not None and self._n_handled >= self.fail_at
        if has_failed or image_id in self.overwritten:
            self._lost.append(image_id)
            if self._n_handled == self.fail_at:
                return [self._report(ReportKind.FAILED, message="no space left on device")]
        else:
            file = self._file(self.runs[run_id], int(image["i_image"][0]))
            self.written[run_id].setdefault(file, []).append(image_id)
        return []

    def _file(self, start: StartRun, i_image: int) -> str:
        if start.images_per_file is None:
            return start.output_file
        return f"{start.output_file.removesuffix('.h5')}_{i_image // start.images_per_file:06d}.h5"

    def _n_written(self) -> int:
        return 0 if self._open is None else sum(map(len, self.written[self._open].values()))

    def _report(self, kind: ReportKind, run_id: int | None = None, message: str = "") -> WriterReport:
        n_told, self._n_lost_told = self._n_lost_told, len(self._lost)
        files = self.written.get(self._open or 0, {})
        return WriterReport(
            kind=kind,
            writer=self.writer,
            instance=self.instance,
            run_id=self._open if run_id is None else run_id,
            n_written=self._n_written(),
            n_flushed=self.n_flushed,
            n_incomplete=sum(fault.n_images for fault in self.faults.values()),
            faults=self.faults,
            lost_image_ids=self._lost[n_told:],
            n_lost_before=n_told,
            files=list(files),
            message=message,
        )


class StoreWriterThread:
    """A `FakeStoreWriter` at the sockets of a real one; a context manager that ends like a killed process.

    Parameters
    ----------
    config
        Tells the addresses.
    writer
        What is done with the messages.

    Attributes
    ----------
    is_paused
        While set, nothing is taken and nothing is said.
    """

    def __init__(self, config: DetectorConfig, writer: FakeStoreWriter) -> None:
        self.writer = writer
        self.is_paused = threading.Event()
        self._config = config
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"fake-writer-{writer.writer}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        inbox = PullQueue(store_address(self._config, self.writer.writer), bind=False)
        reports = PushQueue(store_reports_address(self._config), bind=False)
        try:
            while not self._stop.wait(0.01):
                if not self.is_paused.is_set():
                    self._step(inbox, reports)
        finally:
            inbox.close()
            reports.close()

    def _step(self, inbox: PullQueue, reports: PushQueue) -> None:
        said = [self.writer.alive()]
        while (message := inbox.pull()) is not None:
            said += self.writer.handle(message)
        for report in [*said, self.writer.flush()]:
            reports.push(report.model_dump_json().encode())
