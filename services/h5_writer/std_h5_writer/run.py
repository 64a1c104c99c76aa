"""WriterRun: what this writer knows about its current run."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from std_daq.recording.requests import RunReport, Verdict
from std_daq.recording.store_stream import StartRun
from std_h5_writer.files_of_run import FilesOfRun

MAX_LOST_IDS_A_REPORT = 10_000


@dataclass(slots=True)
class WriterRun:
    """A run as its h5_writer sees it.

    Attributes
    ----------
    start
        Message that began the run.
    files
        Files of the run.
    lost_ids
        Ids of lost images, in the order in which the losses were noticed.
    is_ending, n_sent, deadline
        Whether the agent has ended the run; how many images it has sent, if it knows the number; and until when the
        writer waits for the last of them (monotonic seconds).
    is_drained
        Whether all images are handled, so that only the verdict is still to be written.
    failure
        Why this writer cannot go on; empty while it can.
    n_files_reported
        Number of files in the last report.
    last_sequence
        Sequence number of the image that the agent has named last.
    """

    start: StartRun
    files: FilesOfRun
    lost_ids: list[int] = field(default_factory=list)
    is_ending: bool = False
    n_sent: int | None = None
    deadline: float = 0.0
    is_drained: bool = False
    failure: str = ""
    n_files_reported: int = 0
    last_sequence: int | None = None
    _started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _n_lost_reported: int = 0
    _counted: tuple[int, int, int] = (0, 0, 0)

    @property
    def run_id(self) -> int:
        """Id of the run."""
        return self.start.run_id

    @property
    def n_handled(self) -> int:
        """Images that are written or lost."""
        return self.files.n_written - self.files.n_vanished + len(self.lost_ids)

    @property
    def has_all(self) -> bool:
        """Whether all images that were sent are written or lost."""
        return self.n_sent is not None and self.n_handled >= self.n_sent

    @property
    def is_compressed(self) -> bool:
        """Whether the files hold compressed chunks."""
        return self.start.request.compression != "none"

    def unreported_ids(self) -> list[int]:
        """Return ids of lost images that are not yet reported, as many as fit into one report."""
        return self.lost_ids[self._n_lost_reported : self._n_lost_reported + MAX_LOST_IDS_A_REPORT]

    @property
    def n_lost_reported(self) -> int:
        """Number of lost images that are reported."""
        return self._n_lost_reported

    def report_again(self) -> None:
        """Have all lost images reported again, because the agent that received the reports is gone."""
        self._n_lost_reported = 0

    def mark_reported(self, n_ids: int) -> None:
        """Record that this many of `unreported_ids` are reported."""
        self._n_lost_reported += n_ids

    def uncounted(self) -> tuple[int, int, int]:
        """Return what was written since the last call: images, images past the page cache, and bytes of pixels."""
        files = self.files
        (n_images, n_direct, n_bytes), self._counted = self._counted, (files.n_written, files.n_direct, files.n_bytes)
        return self._counted[0] - n_images, self._counted[1] - n_direct, self._counted[2] - n_bytes

    def report_failed(self, reason: str) -> RunReport:
        """Return the report of a run that the agent will not end, as far as this writer knows the run."""
        return RunReport(
            request_id=self.start.request_id,
            verdict=Verdict.FAILED,
            reason=reason,
            n_requested=self.start.request.n_images,
            n_written=self.files.n_written - self.files.n_vanished,
            n_incomplete=self.files.faults.n_images,
            faults=self.files.faults.faults,
            n_lost=len(self.lost_ids),
            lost_image_ids=tuple(self.lost_ids),
            files=tuple(str(path) for path in self.files.paths),
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
        )
