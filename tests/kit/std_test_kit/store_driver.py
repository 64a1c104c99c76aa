"""What stands around an h5_writer: a ring with images that tell which image they are, and the agent's side.

The pixels of an image follow from its id alone, and every row of them differs between images, so that an image that
was overwritten in part is noticed.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.config.paths import make_runtime_dir
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, PROTOCOL_VERSION, ImageStatus, dtype_code
from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.addresses import store_address, store_reports_address
from std_daq.recording.requests import RunReport, Verdict, WriteRequest
from std_daq.recording.store_stream import (
    EndRun,
    FinishRun,
    ReportKind,
    StartRun,
    WriteMaster,
    WriterReport,
    encode_entries,
    encode_run_message,
)
from std_daq.streams.queue import PullQueue, PushQueue

REQUEST_ID = "3b241101-e2bb-4255-8caf-4136c566a962"
RUN_ID = 41
N_MODULES = 2


def pixels_of(image_id: int, shape: tuple[int, int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the pixels of an image."""
    dtype = np.dtype(dtype)
    rows = (np.arange(shape[0]) * 31 + image_id * 7) % 251
    return (rows[:, None] + np.arange(shape[1]) % 3).astype(dtype)


def missing_packets_of(image_id: int, n_modules: int = N_MODULES) -> list[int]:
    """Return the missing packets of each module: every seventh image lacks some of module 1."""
    return [3 if module == 1 and image_id % 7 == 6 else 0 for module in range(n_modules)]


class RingPublisher:
    """An assembler without a detector.

    Parameters
    ----------
    path
        Path of the ring.
    shape, dtype, n_slots, n_modules
        Of the images, how many there are in the ring, and modules of the detector.
    """

    def __init__(
        self,
        path: Path,
        *,
        shape: tuple[int, int] = (64, 128),
        dtype: npt.DTypeLike = "u2",
        n_slots: int = 16,
        n_modules: int = N_MODULES,
    ) -> None:
        self.ring, _ = ImageBuffer.create(
            path, shape=shape, dtype=np.dtype(dtype), n_modules=n_modules, buffer_bytes=0, n_slots=n_slots
        )

    def publish(
        self, image_id: int, calibration: int = 0, uncalibrated: Mapping[int, int] | None = None
    ) -> npt.NDArray[Any]:
        """Put an image into the ring; returns its metadata, (1,).

        Parameters
        ----------
        image_id, calibration
            Stand in the metadata.
        uncalibrated
            Storage cells of the modules for which there is no calibration, by module.
        """
        ring = self.ring
        sequence = ring.journal.next_sequence
        slot = ring.slot(sequence)
        missing = missing_packets_of(image_id, ring.n_modules)
        metadata = np.zeros(1, IMAGE_METADATA)
        metadata["version"] = PROTOCOL_VERSION
        metadata["id"], metadata["sequence"] = image_id, sequence
        metadata["height"], metadata["width"] = ring.shape
        metadata["dtype"] = dtype_code(ring.dtype)
        metadata["pulse_id"], metadata["frame_index"] = image_id + 1000, image_id + 2000
        metadata["first_arrival_ns"] = image_id + 3000
        metadata["calibration"] = calibration
        metadata["status"] = ImageStatus.MISSING_PACKETS if any(missing) else ImageStatus.GOOD
        if uncalibrated:
            metadata["status"] |= np.uint16(ImageStatus.NOT_CALIBRATED)
        metadata["n_missing_packets"] = sum(missing)
        ring.begin(slot)
        ring.images[slot] = pixels_of(image_id, ring.shape, ring.dtype)
        ring.headers["metadata"][slot] = metadata[0]
        ring.headers["modules"]["missing_packets"][slot] = missing
        for module, cell in (uncalibrated or {}).items():
            ring.headers["modules"]["storage_cell"][slot, module] = cell
            ring.headers["modules"]["status"][slot, module] = ImageStatus.NOT_CALIBRATED
        ring.end(slot)
        ring.journal.append(metadata)
        return metadata

    def close(self) -> None:
        """Remove the ring."""
        self.ring.segment.remove()
        self.ring.close()


class StoreDriver:
    """The writer agent's side of the StoreStream of one writer or of several.

    Parameters
    ----------
    config
        Tells the addresses and the number of writers.
    """

    def __init__(self, config: DetectorConfig) -> None:
        make_runtime_dir(config)
        self._writers = [
            PushQueue(store_address(config, writer), bind=True) for writer in range(config.number_of_writers)
        ]
        self._inbox = PullQueue(store_reports_address(config), bind=True)
        self.reports: list[WriterReport] = []
        self.lost_image_ids: list[int] = []

    def start(
        self,
        output_file: Path,
        *,
        images_per_file: int | None = None,
        run_id: int = RUN_ID,
        writer: int = 0,
        user_id: int | None = None,
        **request: Any,
    ) -> None:
        """Begin a run with one writer; ``request`` are further fields of the request."""
        start = StartRun(
            run_id=run_id,
            request_id=REQUEST_ID,
            request=WriteRequest(output_file=str(output_file), **request),
            output_file=str(output_file),
            images_per_file=images_per_file,
            user_id=user_id,
        )
        self._push(encode_run_message(start), writer)

    def send(
        self,
        metadata: npt.NDArray[Any],
        i_image: int,
        *,
        i_exposure: int | None = None,
        run_id: int = RUN_ID,
        writer: int = 0,
    ) -> None:
        """Name an image of the run; without ``i_exposure``, no image was lost before it."""
        entry = np.zeros(1, STORE_IMAGE)
        entry["metadata"], entry["run_id"], entry["i_image"] = metadata, run_id, i_image
        entry["i_exposure"] = i_image if i_exposure is None else i_exposure
        [message] = encode_entries(entry)
        self._push(message, writer)

    def end(self, n_sent: int | None, *, run_id: int = RUN_ID, writer: int = 0) -> None:
        """Tell that no further image follows."""
        self._push(encode_run_message(EndRun(run_id=run_id, n_sent=n_sent)), writer)

    def finish(
        self,
        verdict: Verdict | None = None,
        *,
        reason: str = "",
        run_id: int = RUN_ID,
        writer: int = 0,
    ) -> None:
        """Tell the verdict, by default that which follows from the reports."""
        self._push(encode_run_message(FinishRun(run_id=run_id, report=self._report(verdict, reason))), writer)

    def master(
        self, output_file: Path, data_files: list[str], *, run_id: int = RUN_ID, user_id: int | None = None
    ) -> None:
        """Have the master written by writer 0."""
        message = WriteMaster(
            run_id=run_id,
            output_file=str(output_file),
            report=self._report(None, ""),
            data_files=data_files,
            user_id=user_id,
        )
        self._push(encode_run_message(message), 0)

    def receive(self, timeout_s: float = 0.0) -> WriterReport | None:
        """Return the next report, if one comes in time; all are kept in ``reports``."""
        message = self._inbox.pull(timeout_s)
        if message is None:
            return None
        report = WriterReport.model_validate_json(message)
        self.reports.append(report)
        self.lost_image_ids.extend(report.lost_image_ids)
        return report

    def wait_for(self, kind: ReportKind, *, timeout_s: float = 20.0, writer: int | None = None) -> WriterReport:
        """Return the next report of a kind; raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            report = self.receive(0.1)
            if report is not None and report.kind == kind and writer in {None, report.writer}:
                return report
        raise TimeoutError(f"no report '{kind}' within {timeout_s} s; the last ones: {self.reports[-3:]}")

    def close(self) -> None:
        """Let go of the addresses."""
        for queue in self._writers:
            queue.close()
        self._inbox.close()

    def _push(self, message: bytes, writer: int) -> None:
        deadline = time.monotonic() + 20.0
        while not self._writers[writer].push(message):
            if time.monotonic() > deadline:
                raise TimeoutError(f"writer {writer} does not take messages")
            time.sleep(0.01)

    def _report(self, verdict: Verdict | None, reason: str) -> RunReport:
        """Sum up what the writers reported last, as the agent does."""
        last = {report.writer: report for report in self.reports if report.kind is not ReportKind.ALIVE}
        lost = tuple(sorted(self.lost_image_ids))
        n_written = sum(report.n_written for report in last.values())
        n_incomplete = sum(report.n_incomplete for report in last.values())
        return RunReport(
            request_id=REQUEST_ID,
            verdict=verdict or (Verdict.INCOMPLETE if n_incomplete or lost else Verdict.COMPLETE),
            reason=reason,
            n_requested=n_written + len(lost),
            n_written=n_written,
            n_incomplete=n_incomplete,
            n_lost=len(lost),
            lost_image_ids=lost,
        )
