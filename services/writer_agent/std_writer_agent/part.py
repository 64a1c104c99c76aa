"""WriterPart: the images of a run that one h5_writer was given, and what it has reported about them. Pure."""

from collections import Counter, deque
from collections.abc import Iterable
from enum import StrEnum

from std_daq.recording.requests import FaultCount
from std_daq.recording.store_stream import ReportKind, WriterReport


class PartState(StrEnum):
    """State of a writer's part."""

    OPEN = "open"
    DRAINED = "drained"
    FINISHED = "finished"
    LOST = "lost"


class WriterPart:
    """One writer's part of a run.

    Parameters
    ----------
    writer, instance
        Index of the writer, and the id of its process.
    now
        Monotonic time in seconds.

    Attributes
    ----------
    state
        State of the part.
    has_failed
        Whether the writer has reported that it cannot go on; it still closes its files.
    n_sent
        Images that were sent to the writer.
    n_written, n_flushed, n_incomplete, faults, files
        Values of the writer's last report.
    lost_ids
        Ids of the images that the writer has reported as lost.
    seen_at
        Time of the writer's last report of any kind.
    moved_at
        Time when the writer last made progress, or was given its first image.
    succeeded_at
        Time of the first report of a process that has taken this one's place; None without one.
    """

    def __init__(self, writer: int, instance: str, now: float) -> None:
        self.writer = writer
        self.instance = instance
        self.state = PartState.OPEN
        self.has_failed = False
        self.n_sent = 0
        self.n_written = 0
        self.n_flushed = 0
        self.n_incomplete = 0
        self.faults: dict[str, FaultCount] = {}
        self.files: list[str] = []
        self.lost_ids: list[int] = []
        self.seen_at = now
        self.moved_at = now
        self.succeeded_at: float | None = None
        # Ids of images that were sent and not flushed, oldest first. Lost images stay in this queue until all images
        # before them are flushed; until then _lost_ahead counts them.
        self._unflushed: deque[int] = deque()
        self._lost_ahead: Counter[int] = Counter()

    @property
    def name(self) -> str:
        """Name of the writer in messages."""
        return f"h5_writer {self.writer}"

    @property
    def n_in_files(self) -> int:
        """Images that are readable in the writer's files."""
        return min(self.n_flushed if self._is_broken else self.n_written, self.n_sent)

    @property
    def n_lost(self) -> int:
        """Images that were sent and are not in a file, or not yet."""
        return self.n_sent - self.n_in_files

    @property
    def _is_broken(self) -> bool:
        return self.has_failed or self.state is PartState.LOST

    def assign(self, ids: Iterable[int], now: float) -> None:
        """Record that images are sent to the writer."""
        before = len(self._unflushed)
        if not self.n_sent:
            self.seen_at = self.moved_at = now
        self._unflushed.extend(ids)
        self.n_sent += len(self._unflushed) - before

    def feed(self, report: WriterReport, now: float) -> None:
        """Apply a report about this run, which must come from the process that has the part."""
        lost_ids = self._new_lost_ids(report)
        has_moved = report.n_written > self.n_written or bool(lost_ids)
        if report.kind in _NEXT_STATE:  # now the writer knows whether its files are still there
            self.n_written = report.n_written
        else:
            self.n_written = max(self.n_written, report.n_written)
        if report.n_incomplete >= self.n_incomplete:
            self.n_incomplete, self.faults = report.n_incomplete, report.faults
        self.files = report.files or self.files
        self.lost_ids += lost_ids
        self._lost_ahead.update(lost_ids)
        self._flush(report.n_flushed)
        if report.kind in _NEXT_STATE:
            self.n_flushed = report.n_flushed
        self.has_failed = self.has_failed or report.kind is ReportKind.FAILED
        if report.kind in _NEXT_STATE and self.state in {PartState.OPEN, PartState.DRAINED}:
            self.state = _NEXT_STATE[report.kind]
            has_moved = True
        if has_moved:
            self.moved_at = now

    def known_lost_ids(self) -> list[int]:
        """Return the ids of images that are in no file: reported as lost, or not flushed by a failed or lost writer."""
        if not self._is_broken:
            return list(self.lost_ids)
        ahead = Counter(self._lost_ahead)
        unflushed = []
        for image_id in self._unflushed:
            if ahead[image_id]:
                ahead[image_id] -= 1
            else:
                unflushed.append(image_id)
        return self.lost_ids + unflushed

    def _new_lost_ids(self, report: WriterReport) -> list[int]:
        """Return the ids in a report that are not known yet.

        Nothing is returned if ids before them are missing: a predecessor of this process has received those.
        """
        n_known = len(self.lost_ids) - report.n_lost_before
        return report.lost_image_ids[n_known:] if n_known >= 0 else []

    def _flush(self, n_flushed: int) -> None:
        for _ in range(min(n_flushed - self.n_flushed, len(self._unflushed))):
            while self._unflushed:
                image_id = self._unflushed.popleft()
                if not self._lost_ahead[image_id]:
                    break
                self._lost_ahead[image_id] -= 1
                if not self._lost_ahead[image_id]:
                    del self._lost_ahead[image_id]
        self.n_flushed = max(self.n_flushed, n_flushed)


_NEXT_STATE = {
    ReportKind.DRAINED: PartState.DRAINED,
    ReportKind.FINISHED: PartState.FINISHED,
}
