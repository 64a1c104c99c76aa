"""OlderRun: a run as the older interface tells it, kept up to date by the statuses of its request."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from std_daq.recording.requests import Action, RunReport, StatusMessage, Verdict

FINISHED = "FINISHED"
FAILED = "FAILED"
_OVER = frozenset({FINISHED, FAILED})
_ID_LISTS = ("lost_image_ids", "incomplete_image_ids")
_MAX_IDS = 1000


@dataclass
class OlderRun:
    """One run.

    Parameters
    ----------
    request_id
        Id of its request.
    run_id
        The number or text that the user calls it by; by default when it was asked for, in nanoseconds since 1970.
    output_file
        The file, as it was asked for; as it is named once the writer has told.
    n_images
        Images asked for; None: until it is stopped.
    """

    request_id: str
    run_id: int | str
    output_file: str
    n_images: int | None
    state: str = "WAITING_IMAGES"
    message: str = ""
    n_requested: int = 0
    n_completed: int = 0
    start_s: float | None = None
    stop_s: float | None = None
    files: tuple[str, ...] = ()
    is_accepted: bool = False
    heard_s: float = 0.0
    refusal: str = ""
    report: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.state in _OVER

    def apply(self, status: StatusMessage, now_s: float) -> None:
        """Take what a status tells."""
        if self.is_over or status.action is Action.UNKNOWN:
            return
        self.is_accepted, self.heard_s = True, now_s
        if status.report is not None:
            self.end(status.report, now_s)
            return
        self.n_requested = _number(status.details.get("n_sent"), self.n_requested)
        self.n_completed = _number(status.details.get("n_written"), self.n_completed)
        if status.action is Action.START:
            self.start_s, self.state = now_s, "ACQUIRING_IMAGES"
        elif status.action is Action.PROGRESS:
            self.start_s = self.start_s or now_s
            if self.n_requested:
                is_sent = self.n_images is not None and self.n_requested >= self.n_images
                self.state = "FLUSHING_IMAGES" if is_sent else "WRITING"
        self.message = status.message

    def end(self, report: RunReport, now_s: float) -> None:
        """Take the report of the run; its times go before the time that is given, in seconds since 1970."""
        self.n_completed = report.n_written
        self.n_requested = max(self.n_requested, report.n_written + report.n_lost)
        self.start_s = _seconds(report.started_at) or self.start_s
        self.stop_s = _seconds(report.ended_at) or now_s
        self.files = report.files
        if report.files:
            self.output_file = report.files[0]
        self.report = _cut(report).model_dump(mode="json")
        match report.verdict:
            case Verdict.COMPLETE:
                self.state, self.message = FINISHED, "Completed."
            case Verdict.KILLED:
                self.state, self.message = FINISHED, "Interrupted."
            case Verdict.INCOMPLETE:
                self.state, self.message = FINISHED, f"ERROR:{report.reason}"
            case _:
                self.state, self.message = FAILED, f"ERROR:{report.reason or report.verdict}"
        if report.verdict is Verdict.REFUSED:
            self.refusal = report.reason

    def give_up(self, now_s: float) -> None:
        """Note that the end of the run was not heard: the broker, or this service, was away then."""
        self.state, self.stop_s = FAILED, now_s
        self.message = "ERROR:the end of the run was not heard, as the broker was away; its file has the verdict"

    def to_json(self) -> dict[str, Any]:
        """Return the acquisition as the older interface has it."""
        return {
            "state": self.state,
            "message": self.message,
            "info": {"n_images": self.n_images, "output_file": self.output_file, "run_id": self.run_id},
            "stats": {
                "n_write_requested": self.n_requested,
                "n_write_completed": self.n_completed,
                "start_time": self.start_s,
                "stop_time": self.stop_s,
            },
        }

    def to_record(self) -> dict[str, Any]:
        """Return all fields, for a file."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Return the acquisition of a record; raises TypeError if it is none."""
        return cls(**{**record, "files": tuple(record["files"])})


def _cut(report: RunReport) -> RunReport:
    """Return a report with few of its ids; there may be a million, and a thousand runs are kept."""
    lists = {name: getattr(report, name) for name in _ID_LISTS}
    return report.model_copy(
        update={name: ids[:_MAX_IDS] for name, ids in lists.items()}
        | {
            f"{name}_truncated": getattr(report, f"{name}_truncated") + max(0, len(ids) - _MAX_IDS)
            for name, ids in lists.items()
        }
    )


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _number(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) else otherwise
