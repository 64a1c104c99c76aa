"""StoreStream: what the writer agent tells the h5_writers, and what they report back.

Agent to writer, each message one ZMQ part that begins with a byte for its kind:

``I``
    A struct of `store_entry_dtype`: one image of the run (or what else the ring holds), to be read from the ring.
``J``
    JSON of `StartRun`, `EndRun`, `FinishRun` or `WriteMaster`.

Writer to agent: JSON of a `WriterReport`, one ZMQ part each.

A run goes: StartRun to every writer that may get a file; its images, file by file (file ``i_image //
images_per_file`` belongs to writer ``file % n_writers``); EndRun with the number of images sent to that writer; each
writer answers with a ``drained`` report; the agent decides the verdict and sends it as FinishRun; each writer closes
its files and reports ``finished``; with several files, WriteMaster goes to writer 0 at last, which reports
``master_written``.

A run that is not known is nothing to a writer: messages for it are left aside. StartRun may come twice for a run of
which no image was sent. After a restart the agent sends EndRun to the writers whose ``alive`` names the run that it
finds unfinished, without knowing how much it has sent; a writer then tells all lost images again, from the first on.

``failed`` may come at any time in a run; EndRun and FinishRun are answered all the same (where the end cannot be
written into the files, by ``failed`` before ``finished``), WriteMaster by ``master_written`` or ``failed`` alone.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from std_daq.recording.requests import RunReport, WriteRequest

_IMAGE = b"I"
_JSON = b"J"


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartRun(_Message):
    """A run begins; files are opened when their first image comes."""

    kind: Literal["start_run"] = "start_run"
    run_id: int
    request_id: str
    request: WriteRequest
    output_file: str = Field(description="Absolute path of the file, or of the master of several files.")
    images_per_file: int | None = Field(description="Images of a data file; None for one file, without a master.")


class EndRun(_Message):
    """No further image follows; what was sent is to be written, then reported as drained."""

    kind: Literal["end_run"] = "end_run"
    run_id: int
    n_sent: int | None = Field(
        description="Images of the run that were sent to this writer; None if the agent was restarted meanwhile."
    )


class FinishRun(_Message):
    """The verdict is known: write it into the open files and close them."""

    kind: Literal["finish_run"] = "finish_run"
    run_id: int
    report: RunReport


class WriteMaster(_Message):
    """All data files are closed: write the master over them, in this order."""

    kind: Literal["write_master"] = "write_master"
    run_id: int
    output_file: str = Field(description="Absolute path of the master; the writer need not have been in the run.")
    report: RunReport
    data_files: list[str]


RunMessage = Annotated[StartRun | EndRun | FinishRun | WriteMaster, Field(discriminator="kind")]
_RUN_MESSAGE: TypeAdapter[StartRun | EndRun | FinishRun | WriteMaster] = TypeAdapter(RunMessage)


class ReportKind(StrEnum):
    """What a writer reports."""

    ALIVE = "alive"
    PROGRESS = "progress"
    DRAINED = "drained"
    FINISHED = "finished"
    MASTER_WRITTEN = "master_written"
    FAILED = "failed"


class WriterReport(_Message):
    """What a writer says of itself and of its part of a run; counts are of the whole run so far.

    ``alive`` is sent at least once a second also without a run. ``failed`` says that this writer cannot go on with
    the run.
    """

    kind: ReportKind
    writer: int = Field(description="Index of the writer.")
    instance: str = Field(description="New at each start of the process.")
    run_id: int | None = None
    n_written: int = Field(0, description="Images written.")
    n_flushed: int = Field(0, description="Images that a crash of the writer would leave readable.")
    n_incomplete: int = Field(0, description="Images written with a status other than good.")
    lost_image_ids: list[int] = Field(
        default_factory=list,
        description="Images that were overwritten before they were written; those that were not told before.",
    )
    n_lost_before: int = Field(0, description="How many lost images earlier reports of the run have told.")
    files: list[str] = Field(
        default_factory=list,
        description="Its data files, in the order of their images; empty in a report of progress if nothing is new.",
    )
    n_bytes: int = Field(0, description="Bytes of pixels written, as they are in the file.")
    message: str = ""


def store_entry_dtype(metadata: np.dtype[Any]) -> np.dtype[Any]:
    """Return the struct that hands one image of a run to a writer.

    Parameters
    ----------
    metadata
        The entries of the ring's journal, as ImageMetadata.

    Returns
    -------
    A struct of the metadata, the run's id, the place of the image in the run from 0 on, and the images of the run
    (0 where that is not known).
    """
    return np.dtype([("metadata", metadata), ("run_id", "<u8"), ("i_image", "<u4"), ("n_images", "<u4")])


def encode_entries(entries: NDArray[Any]) -> list[bytes]:
    """Return the messages of several images, given as structs of `store_entry_dtype`, shape (n,)."""
    data, size = entries.tobytes(), entries.dtype.itemsize
    return [_IMAGE + data[start : start + size] for start in range(0, len(data), size)]


def encode_run_message(message: StartRun | EndRun | FinishRun | WriteMaster) -> bytes:
    """Return the message for the start or end of a run."""
    return _JSON + message.model_dump_json().encode()


def decode(message: bytes, entry: np.dtype[Any]) -> NDArray[Any] | StartRun | EndRun | FinishRun | WriteMaster:
    """Return what a message says.

    Parameters
    ----------
    message
        One ZMQ part.
    entry
        The struct of an image, from `store_entry_dtype`.

    Returns
    -------
    A struct of shape (1,), or the message of a run.

    Raises
    ------
    ValueError
        It is neither.
    """
    kind, body = message[:1], message[1:]
    if kind == _IMAGE and len(body) == entry.itemsize:
        return np.frombuffer(body, entry)
    if kind == _JSON:
        try:
            return _RUN_MESSAGE.validate_json(body)
        except ValidationError as error:
            raise ValueError(f"not a message of a StoreStream: {error.errors()[0]['msg']}") from None
    raise ValueError(f"not a message of a StoreStream: kind {kind!r}, {len(body)} bytes")
