"""StoreStream: the messages of the writer agent to the h5_writers, and the writers' reports to the agent.

Each message from the agent to a writer is one ZMQ part. Its first byte is its kind:

``I``
    A struct of `store_entry_dtype`, which names one image of the run (or whatever the ring holds). The writer reads
    the image from the ring.
``J``
    JSON of `StartRun`, `EndRun`, `FinishRun` or `WriteMaster`.

Each message from a writer to the agent is one ZMQ part with the JSON of a `WriterReport`.

The messages of a run are, in this order:

1. The agent sends StartRun to every writer that may get a file.
2. The agent sends the images, file by file. File ``i_image // images_per_file`` belongs to writer
   ``file % n_writers``.
3. The agent sends EndRun to each writer, with the number of images that were sent to this writer. The writer writes
   them and answers with a ``drained`` report.
4. The agent decides the verdict and sends FinishRun. Each writer writes the verdict into its files, closes them and
   reports ``finished``.
5. If the run has several files, the agent sends WriteMaster to writer 0, which answers ``master_written``.

A writer ignores messages about a run that it does not know. StartRun may come twice for a run of which no image was
sent. After a restart, the agent sends EndRun to the writers whose ``alive`` reports name the unfinished run, although
the agent does not know how many images it had sent; a writer then reports all lost images of the run again.

A writer may report ``failed`` at any time during a run. It answers EndRun and FinishRun also after that. If it cannot
write the end into the files, it reports ``failed`` before ``finished``. It answers WriteMaster with
``master_written`` or ``failed``.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from std_daq.config.bounds import LAST_USER_ID
from std_daq.recording.config import MAX_WRITERS
from std_daq.recording.measured_values import ValueLog
from std_daq.recording.requests import MAX_IMAGES, FaultCount, ImageCount, ImageId, RunReport, WriteRequest

_IMAGE = b"I"
_JSON = b"J"

UserId = Annotated[int, Field(ge=0, le=LAST_USER_ID)]
RunId = Annotated[int, Field(ge=0, le=2**64 - 1)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartRun(_Message):
    """Start of a run; the writer opens a file when the file's first image comes."""

    kind: Literal["start_run"] = "start_run"
    run_id: RunId
    request_id: str
    request: WriteRequest
    output_file: str = Field(description="Absolute path of the file, or of the master of several files.")
    user_id: UserId | None = Field(default=None, description="User to whom the files belong; None: as configured.")
    images_per_file: int | None = Field(
        ge=1, le=MAX_IMAGES, description="Images of a data file; None for one file, without a master."
    )


class EndRun(_Message):
    """End of the images: the writer writes what was sent, then reports ``drained``."""

    kind: Literal["end_run"] = "end_run"
    run_id: RunId
    n_sent: ImageCount | None = Field(
        description="Images of the run that were sent to this writer; None if the agent was restarted meanwhile."
    )


class FinishRun(_Message):
    """Verdict of a run: the writer writes it into its open files and closes them."""

    kind: Literal["finish_run"] = "finish_run"
    run_id: RunId
    report: RunReport
    logs: dict[str, ValueLog] = Field(
        default_factory=dict, description="What other programs have measured; of a run with a master, it gets them."
    )


class WriteMaster(_Message):
    """Request to write the master file over the data files, in the given order; all data files are closed."""

    kind: Literal["write_master"] = "write_master"
    run_id: RunId
    output_file: str = Field(description="Absolute path of the master; the writer need not have been in the run.")
    report: RunReport
    data_files: list[str]
    user_id: UserId | None = Field(default=None, description="As in StartRun.")
    logs: dict[str, ValueLog] = Field(default_factory=dict, description="What other programs have measured.")


RunMessage = Annotated[StartRun | EndRun | FinishRun | WriteMaster, Field(discriminator="kind")]
_RUN_MESSAGE: TypeAdapter[StartRun | EndRun | FinishRun | WriteMaster] = TypeAdapter(RunMessage)


class ReportKind(StrEnum):
    """Kind of a writer's report."""

    ALIVE = "alive"
    PROGRESS = "progress"
    DRAINED = "drained"
    FINISHED = "finished"
    MASTER_WRITTEN = "master_written"
    FAILED = "failed"


class WriterReport(_Message):
    """Report of a writer about itself and its part of a run; counts cover the whole run so far.

    A writer sends ``alive`` at least once per second, also without a run. ``failed`` says that it cannot continue the
    run.
    """

    kind: ReportKind
    writer: int = Field(ge=0, lt=MAX_WRITERS, description="Index of the writer.")
    instance: str = Field(description="New at each start of the process.")
    run_id: RunId | None = None
    n_written: ImageCount = Field(0, description="Images written.")
    n_flushed: ImageCount = Field(0, description="Images that stay readable if the writer crashes.")
    n_incomplete: ImageCount = Field(0, description="Images written with a status other than good.")
    faults: dict[str, FaultCount] = Field(default_factory=dict, description="These images by fault, as in RunReport.")
    lost_image_ids: list[ImageId] = Field(
        default_factory=list,
        description="Images that were overwritten in the ring before they were written, and are not yet reported.",
    )
    n_lost_before: ImageCount = Field(0, description="Number of lost images in earlier reports of the run.")
    files: list[str] = Field(
        default_factory=list,
        description="Data files of the writer, in the order of their images; empty in a progress report without news.",
    )
    n_bytes: int = Field(0, ge=0, le=2**63 - 1, description="Bytes of pixels in the files, after compression.")
    message: str = ""


def store_entry_dtype(metadata: np.dtype[Any]) -> np.dtype[Any]:
    """Return the struct that names one image of a run to a writer.

    Parameters
    ----------
    metadata
        Type of the entries in the ring's journal, such as ImageMetadata.

    Returns
    -------
    A struct of the metadata, the id of the run, the index of the image in the run (from 0), the number of images in the
    run (0 if it is unknown), and the index of the exposure in the run (from 0), which counts lost images as well.
    """
    names = ("run_id", "<u8"), ("i_image", "<u4"), ("n_images", "<u4"), ("i_exposure", "<u8")
    return np.dtype([("metadata", metadata), *names])


def encode_entries(entries: NDArray[Any]) -> list[bytes]:
    """Return the messages of several images, given as structs of `store_entry_dtype`, shape (n,)."""
    data, size = entries.tobytes(), entries.dtype.itemsize
    return [_IMAGE + data[start : start + size] for start in range(0, len(data), size)]


def encode_run_message(message: StartRun | EndRun | FinishRun | WriteMaster) -> bytes:
    """Return the message (kind ``J``) for a step of a run."""
    return _JSON + message.model_dump_json().encode()


def decode(message: bytes, entry: np.dtype[Any]) -> NDArray[Any] | StartRun | EndRun | FinishRun | WriteMaster:
    """Decode a message from the agent.

    Parameters
    ----------
    message
        One ZMQ part.
    entry
        Type of an image's struct, from `store_entry_dtype`.

    Returns
    -------
    A struct of shape (1,) for an image, or the message about a run.

    Raises
    ------
    ValueError
        The message is neither.
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
