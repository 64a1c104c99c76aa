"""AcceptedRequest: a request that will be carried out when its turn comes."""

from dataclasses import dataclass
from pathlib import Path

from std_daq.imaging.files.names import RunNames
from std_daq.recording.requests import WriteRequest
from std_writer_agent.image_source import JournalPoint
from std_writer_agent.journal import JournalledRequest, RequestState
from std_writer_agent.plan import images_per_file


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request that the desk has accepted.

    Attributes
    ----------
    entry
        Its entry in the journal.
    request
        The request itself.
    asked_at
        Place of the next image when the request came; None if there was no ring.
    has_waited
        Whether its run could not begin at once, so that what was checked may have changed.
    """

    entry: JournalledRequest
    request: WriteRequest
    asked_at: JournalPoint | None
    has_waited: bool

    @property
    def names(self) -> RunNames:
        """Names of the files of its run."""
        return RunNames(Path(self.entry.output_file), images_per_file(self.request) is not None)

    @property
    def has_begun(self) -> bool:
        """Whether an earlier process of the agent has started the run of this request."""
        return self.entry.state is RequestState.STARTED
