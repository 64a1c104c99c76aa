"""WriterRun: what this writer knows of the run that it is in."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from std_daq.recording.requests import RunReport, Verdict
from std_daq.recording.store_stream import StartRun
from std_h5_writer.run_files import RunFiles

MAX_LOST_IDS_A_REPORT = 10_000


@dataclass(slots=True)
class WriterRun:
    """A run as its h5_writer sees it.

    Attributes
    ----------
    start
        How it began.
    files
        Its files.
    lost_ids
        Images that are in no file, in the order in which that was noticed.
    is_ending, n_sent, deadline
        Whether the agent has ended the run; how many images it has sent, if it knows; and when waiting for the last
        of them ends (monotonic seconds).
    is_drained
        Whether nothing is left to do but to write the verdict.
    failure
        Why this writer cannot go on; empty while it can.
    n_files_reported
        Files that the last report has told.
    last_sequence
        Of the image that was named last.
    """

    start: StartRun
    files: RunFiles
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
        """The run's id."""
        return self.start.run_id

    @property
    def n_handled(self) -> int:
        """Images that are written or lost."""
        return self.files.n_written + len(self.lost_ids)

    @property
    def has_all(self) -> bool:
        """Whether all images that were sent are written or lost."""
        return self.n_sent is not None and self.n_handled >= self.n_sent

    @property
    def is_compressed(self) -> bool:
        """Whether the files hold compressed chunks."""
        return self.start.request.compression != "none"

    def unreported_ids(self) -> list[int]:
        """Return lost images that no report has told yet, as many as fit into one."""
        return self.lost_ids[self._n_lost_reported : self._n_lost_reported + MAX_LOST_IDS_A_REPORT]

    @property
    def n_lost_reported(self) -> int:
        """Lost images that reports have told."""
        return self._n_lost_reported

    def report_again(self) -> None:
        """Have all lost images told again: who has heard of them is gone."""
        self._n_lost_reported = 0

    def mark_reported(self, n_ids: int) -> None:
        """Remember that so many of `unreported_ids` were told."""
        self._n_lost_reported += n_ids

    def uncounted(self) -> tuple[int, int, int]:
        """Return images, those of them past the page cache, and bytes of pixels, written since this was asked last."""
        files = self.files
        (n_images, n_direct, n_bytes), self._counted = self._counted, (files.n_written, files.n_direct, files.n_bytes)
        return self._counted[0] - n_images, self._counted[1] - n_direct, self._counted[2] - n_bytes

    def report_failed(self, reason: str) -> RunReport:
        """Return the report of a run whose verdict nobody else will give, as far as this writer knows it."""
        return RunReport(
            request_id=self.start.request_id,
            verdict=Verdict.FAILED,
            reason=reason,
            n_requested=self.start.request.n_images,
            n_written=self.files.n_written,
            n_incomplete=self.files.n_incomplete,
            n_lost=len(self.lost_ids),
            lost_image_ids=tuple(self.lost_ids),
            files=tuple(str(path) for path in self.files.paths),
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
        )
