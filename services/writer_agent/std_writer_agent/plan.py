"""RunPlan: all that is decided about a run before it begins."""

from dataclasses import dataclass
from typing import Self

from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.requests import WriteRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a run has to do.

    Attributes
    ----------
    run_id
        Number of the run, for the writers.
    request_id, request
        What was asked for.
    output_file
        Absolute path of the file, or of the master of several.
    images_per_file
        Images of a data file; None for one file without a master.
    n_writers
        Writers that may get a file: numbers 0 to ``n_writers - 1``.
    first_image_timeout_s, image_timeout_s
        Longest wait for the first and for each further image.
    writer_timeout_s
        How long a writer may be silent, or make no progress when it should.
    """

    run_id: int
    request_id: str
    request: WriteRequest
    output_file: str
    images_per_file: int | None
    n_writers: int
    first_image_timeout_s: float
    image_timeout_s: float
    writer_timeout_s: float

    @classmethod
    def of_request(
        cls, config: DetectorConfig, *, run_id: int, request_id: str, request: WriteRequest, output_file: str
    ) -> Self:
        """Fill in what the request leaves to the configuration."""
        per_file = images_per_file(request)
        n_writers = config.number_of_writers
        if per_file is None:
            n_writers = 1
        elif request.n_images is not None:
            n_writers = min(n_writers, -(-request.n_images // per_file))
        return cls(
            run_id=run_id,
            request_id=request_id,
            request=request,
            output_file=output_file,
            images_per_file=per_file,
            n_writers=n_writers,
            first_image_timeout_s=request.first_image_timeout_s or config.writer.first_image_timeout_s,
            image_timeout_s=request.image_timeout_s or config.writer.image_timeout_s,
            writer_timeout_s=config.writer.writer_timeout_s,
        )


def images_per_file(request: WriteRequest) -> int | None:
    """Return the images of a data file, None where one file holds all of them."""
    n_images, per_file = request.n_images, request.images_per_file
    if request.n_files is not None and n_images is not None:
        per_file = -(-n_images // request.n_files)
    if per_file is None or (n_images is not None and per_file >= n_images):
        return None
    return per_file
