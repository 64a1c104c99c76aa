"""RunPlan: everything that is decided about a run before it begins."""

from dataclasses import dataclass
from typing import Self

from std_daq.recording.config import RecordingConfig
from std_daq.recording.file_users import allowed_user_id
from std_daq.recording.recorded import Recorded
from std_daq.recording.requests import WriteRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Plan of a run: what is written, where, by how many writers, and with which time limits.

    Attributes
    ----------
    recorded
        What is written: images or events.
    run_id
        Number of the run between the agent and the writers.
    request_id, request
        The request and its id.
    output_file
        Absolute path of the file; with several data files, path of the master.
    images_per_file
        Number of images in each data file; None for a single file without a master.
    n_writers
        Number of writers that take part: those with index 0 to ``n_writers - 1``.
    first_image_timeout_s, image_timeout_s
        Longest wait for the first image and for each further image, in seconds.
    writer_timeout_s
        A writer counts as lost if it reports nothing, or makes no progress with work that it has, for this time, in
        seconds.
    user_id
        User to whom the files belong; None: as the writer is configured.
    max_data_files
        More data files than this are told with the verdict.
    """

    recorded: Recorded
    run_id: int
    request_id: str
    request: WriteRequest
    output_file: str
    images_per_file: int | None
    n_writers: int
    first_image_timeout_s: float
    image_timeout_s: float
    writer_timeout_s: float
    max_data_files: int
    user_id: int | None = None

    @classmethod
    def of_request(
        cls,
        config: RecordingConfig,
        recorded: Recorded,
        *,
        run_id: int,
        request_id: str,
        request: WriteRequest,
        output_file: str,
    ) -> Self:
        """Return the plan of a request; values that the request leaves out come from the configuration."""
        per_file = images_per_file(request)
        n_writers = config.number_of_writers
        if per_file is None:
            n_writers = 1
        elif request.n_images is not None:
            n_writers = min(n_writers, -(-request.n_images // per_file))
        return cls(
            recorded=recorded,
            run_id=run_id,
            request_id=request_id,
            request=request,
            output_file=output_file,
            images_per_file=per_file,
            n_writers=n_writers,
            first_image_timeout_s=request.first_image_timeout_s or config.writer.first_image_timeout_s,
            image_timeout_s=request.image_timeout_s or config.writer.image_timeout_s,
            writer_timeout_s=config.writer.writer_timeout_s,
            max_data_files=config.writer.max_data_files,
            user_id=None if request.user is None else allowed_user_id(request.user, config.writer.users),
        )


def images_per_file(request: WriteRequest) -> int | None:
    """Return the number of images in each data file; None if one file holds all images, or one writer all files."""
    if request.format == "pff":
        return None
    n_images, per_file = request.n_images, request.images_per_file
    if request.n_files is not None and n_images is not None:
        per_file = -(-n_images // request.n_files)
    if per_file is None or (n_images is not None and per_file >= n_images):
        return None
    return per_file
