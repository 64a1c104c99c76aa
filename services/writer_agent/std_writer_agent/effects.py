"""Effects: actions that `AgentRun` returns, and that the agent carries out in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from std_daq.recording.requests import Action, HeaderValue, RunReport
from std_daq.recording.store_stream import EndRun, FinishRun, StartRun, WriteMaster


@dataclass(frozen=True, slots=True)
class SendImages:
    """Send images to a writer: STORE_IMAGE structs of shape (n,)."""

    writer: int
    images: NDArray[Any]


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a writer a message about the start or the end of a run."""

    writer: int
    message: StartRun | EndRun | FinishRun | WriteMaster


@dataclass(frozen=True, slots=True)
class DropUnsent:
    """Discard the messages that wait to be sent to a writer, because the process for which they were meant is gone."""

    writer: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell a writer's process, should it come back, that it must write nothing more of a run."""

    writer: int
    instance: str
    run_id: int


@dataclass(frozen=True, slots=True)
class Announce:
    """Publish a status of the request."""

    action: Action
    message: str
    details: Mapping[str, HeaderValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeepReport:
    """Store a report in the journal, for the case that this process is killed.

    During the run the report holds the images that never came; before the files are closed, the final result.
    """

    report: RunReport


@dataclass(frozen=True, slots=True)
class End:
    """The run has ended, with this report."""

    report: RunReport


Effect = SendImages | SendMessage | DropUnsent | GiveUp | Announce | KeepReport | End
