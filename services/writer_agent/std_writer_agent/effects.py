"""What a run wants to be done; `AgentRun` returns these, the agent does them in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from std_daq.recording.requests import Action, HeaderValue, RunReport
from std_daq.recording.store_stream import EndRun, FinishRun, StartRun, WriteMaster


@dataclass(frozen=True, slots=True)
class SendImages:
    """Give images to a writer, STORE_IMAGE structs of shape (n,)."""

    writer: int
    images: NDArray[Any]


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Tell a writer of the start or end of a run."""

    writer: int
    message: StartRun | EndRun | FinishRun | WriteMaster


@dataclass(frozen=True, slots=True)
class DropUnsent:
    """Forget what still waits to be sent to a writer: the process that it was meant for is gone."""

    writer: int


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell who asked how it goes."""

    action: Action
    message: str
    details: Mapping[str, HeaderValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeepReport:
    """Keep what is known, for the case that this process is killed: which images never came, at last what is done."""

    report: RunReport


@dataclass(frozen=True, slots=True)
class End:
    """The run is over."""

    report: RunReport


Effect = SendImages | SendMessage | DropUnsent | Announce | KeepReport | End
