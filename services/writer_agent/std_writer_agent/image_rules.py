"""ImageRules: what may be asked of a detector of images."""

from collections.abc import Collection

from pydantic import ValidationError

from std_daq.errors import RequestRefusedError
from std_daq.imaging.config.experiment import Experiment
from std_daq.imaging.config.model import NexusConfig
from std_daq.recording.requests import WriteRequest, parse_experiment


class ImageRules:
    """The rules of a detector of images.

    Parameters
    ----------
    nexus
        Section of the configuration, to which the section ``experiment`` of a request is added.
    image_bytes
        Size of an image without compression.
    formats
        Formats of files that the detector can have.
    """

    def __init__(self, nexus: NexusConfig, image_bytes: int, formats: Collection[str] = ("hdf5",)) -> None:
        self.image_bytes = image_bytes
        self._nexus = nexus
        self._formats = frozenset(formats)

    def check(self, request: WriteRequest) -> None:
        """Raise RequestRefusedError if the detector has no such files, or the experiment does not fit."""
        if request.format not in self._formats:
            raise RequestRefusedError(
                f"format {request.format}: this detector writes {', '.join(sorted(self._formats))}"
            )
        if request.layout is not None:
            raise RequestRefusedError("layout: only the merged files of a chamber have layouts; leave it out")
        experiment = parse_experiment(request.experiment, Experiment)
        try:
            self._nexus.with_experiment(experiment)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise RequestRefusedError(f"experiment, with section nexus of the configuration: {problem}") from None
        for axis in experiment.goniometer:
            n_values = None if axis.values is None else len(axis.values)
            if n_values is not None and n_values != request.n_images:
                wanted = "n_images is not given" if request.n_images is None else f"n_images is {request.n_images}"
                raise RequestRefusedError(
                    f"experiment: axis {axis.name} has {n_values} values, one for each image, but {wanted}"
                )
