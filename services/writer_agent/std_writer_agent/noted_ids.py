"""NotedIds: which images of a run came, and which of them are not good. Pure."""

from typing import Any

from numpy.typing import NDArray

from std_daq.recording.requests import RunReport
from std_writer_agent.counter import MAX_NAMED


class NotedIds:
    """Ids of the images, or events, that came.

    Attributes
    ----------
    first, last
        Id of the first and of the last one; None before one has come.
    incomplete
        Ids of those that are not good, in the order in which they came; `MAX_NAMED` at most.
    n_more
        Number of further ones that are not good.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None
        self.incomplete: list[int] = []
        self.n_more = 0

    @classmethod
    def of_report(cls, report: RunReport | None) -> "NotedIds":
        """Return what a report holds; nothing without a report."""
        noted = cls()
        if report is not None:
            noted.first, noted.last = report.first_image_id, report.last_image_id
            noted.incomplete = list(report.incomplete_image_ids)
            noted.n_more = report.incomplete_image_ids_truncated
        return noted

    @property
    def n_incomplete(self) -> int:
        """Number of images that came and are not good."""
        return len(self.incomplete) + self.n_more

    def feed(self, entries: NDArray[Any]) -> None:
        """Note images that came: their entries in the journal of the ring, with fields ``id`` and ``status``, (n,)."""
        if not len(entries):
            return
        if self.first is None:
            self.first = int(entries["id"][0])
        self.last = int(entries["id"][-1])
        ids = entries["id"][entries["status"] != 0].tolist()
        room = MAX_NAMED - len(self.incomplete)
        self.incomplete += ids[:room]
        self.n_more += max(0, len(ids) - room)
