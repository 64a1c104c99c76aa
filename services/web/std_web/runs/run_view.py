"""RunView: what the console knows of a run, and its forms in the API."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, JsonValue

from std_daq.recording.requests import FaultCount, RunReport, Verdict

State = Literal["sent", "queued", "started", "ended"]


class RunView(BaseModel):
    """A run, as lists show it."""

    request_id: str = Field(description="Id of the request, the text of a UUID.")
    place: str | None = Field(None, description="Place in the history: give it as `before` to list older runs.")
    state: State = Field(description="sent: the broker has the request; queued: accepted; started; ended.")
    verdict: Verdict | None = Field(None, description="How it ended.")
    message: str = Field("", description="The last status in words.")
    reason: str = Field("", description="Why it ended as it did.")
    output_file: str = Field("", description="File, or master file.")
    accepted_at: datetime | None = Field(None, description="When the request was accepted (UTC).")
    started_at: datetime | None = Field(None, description="When the run began (UTC).")
    ended_at: datetime | None = Field(None, description="When the run ended (UTC).")
    sender: str = Field("", description="Who asked: program, user and host, as the sender says.")
    user_name: JsonValue = Field(None, description="User named in the request.")
    sample_name: JsonValue = Field(None, description="Sample named in the request.")
    title: JsonValue = Field(None, description="Title given in the request.")
    format: JsonValue = Field(None, description="Format of the files.")
    n_requested: JsonValue = Field(None, description="Images asked for; null: until killed.")
    n_written: int = Field(0, description="Images in the files.")
    n_incomplete: int = Field(0, description="Images written that are not good.")
    n_lost: int = Field(0, description="Images of the run that are in no file.")
    n_files: int = Field(0, description="Files of the run.")
    images_per_second: float | None = Field(None, description="Images written per second, of a run that goes on.")
    seconds_left: float | None = Field(None, description="Time that the run will still take, at this rate.")


class RunDetails(RunView):
    """A run with all that is known of it."""

    request: dict[str, JsonValue] | None = Field(None, description="The request.")
    files: list[str] = Field(default_factory=list, description="Files, the master first.")
    files_truncated: int = Field(0, description="Files that the list leaves out.")
    faults: dict[str, FaultCount] = Field(default_factory=dict, description="Images that are not good, by fault.")
    lost_image_ids: str = Field("", description='Ids of the lost images as ranges: "12-40,57".')
    lost_image_ids_truncated: int = Field(0, description="Lost images that the ranges leave out.")
    incomplete_image_ids: str = Field("", description="Ids of the images that are not good, as ranges.")
    incomplete_image_ids_truncated: int = Field(0, description="Images that these ranges leave out.")
    first_image_id: int | None = Field(None, description="Id of the first image that came.")
    last_image_id: int | None = Field(None, description="Id of the last image that came.")


class RunList(BaseModel):
    """Runs, newest first."""

    runs: list[RunView]
    before: str | None = Field(None, description="Where to go on: the `before` of the next list; null: at the end.")
    problem: str = Field("", description="Why runs may be missing in the list; empty if none are.")


class RunPreview(BaseModel):
    """What the writer agent would say to a request."""

    output_file: str | None = Field(description="The file that the run would have; null: it would be refused.")
    refusal: str | None = Field(description="Why the request would be refused.")
    n_before: int = Field(description="Requests that have not ended and would be before this one.")
    is_checked: bool = Field(True, description="False: the agent does not answer, so nothing is known.")


class DeskState(BaseModel):
    """Whether requests and kills can be sent, and statuses come."""

    type: Literal["desk"] = "desk"
    is_connected: bool = Field(description="Whether the broker is there and takes messages.")
    problem: str = Field(description="Why not; empty if it does.")


def merged(history: dict[str, Any], live: RunView | None) -> dict[str, Any]:
    """Return a run of the journal with what the statuses have told since, if it has not ended in the journal."""
    if live is None or history.get("state") == "ended":
        return history
    told = live.model_dump(exclude_none=True, exclude_defaults=True)
    told["state"] = max(history["state"], live.state, key=_ORDER.index)
    return history | told


def report_of(run: RunDetails) -> RunReport:
    """Return the report of a run that has ended, as far as the run tells it."""
    return RunReport.from_wire(run.model_dump_json(include=set(RunReport.model_fields)))


_ORDER = ("sent", "queued", "started", "ended")
