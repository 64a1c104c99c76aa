"""ImageReader: reads the images of a ring while the detector takes data, for example in a notebook.

::

    from std_daq.client import ImageReader

    with ImageReader("detector.json") as images:
        for image in images:
            print(image.id, image.status, image.pixels.mean())

    if image := images.by_id(17):
        print(image.pixels.max())
    else:
        print(image)  # image 17: overwritten

The writer never waits for a reader. It uses the slots of the ring in turn, so an image stays until the writer has
filled the whole ring once. A reader that falls further behind loses images, and `ImageReader.lost` tells which.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path, images_address
from std_daq.reading.entry_reader import EntryReader, Start
from std_daq.reading.missing_entry import MissingEntry

__all__ = ["ImageReader", "MissingImage", "Start"]


@dataclass(frozen=True, slots=True)
class MissingImage(MissingEntry):
    """Stands for an image that is not in the ring; its truth value is False."""

    noun: ClassVar[str] = "image"


class ImageReader(EntryReader[Image, MissingImage]):
    """Reads the images of one detector; a context manager, and an iterator over new images.

    Parameters
    ----------
    source
        The configuration of the detector, the path of its ``detector.json``, or the path of its ring. A path that ends
        with ``.json`` is a configuration. The path of a ring does not tell its doorbell, so the reader then looks for
        new images 100 times a second.
    start, copy, timeout_s
        As for every `EntryReader`.

    Raises
    ------
    ConfigError
        The configuration cannot be read.
    SharedMemoryError
        The file is not a ring of images, or permissions are missing; all methods that look for images raise it, too.
    """

    def __init__(
        self,
        source: DetectorConfig | Path | str,
        *,
        start: Start = "now",
        copy: bool = True,
        timeout_s: float | None = None,
    ) -> None:
        config = _config_of(source)
        path = Path(str(source)) if config is None else image_buffer_path(config)
        super().__init__(
            partial(ImageBuffer.attach, path),
            None if config is None else images_address(config),
            MissingImage,
            start=start,
            copy=copy,
            timeout_s=timeout_s,
        )

    @property
    def ring(self) -> ImageBuffer | None:
        """The ring that is read now; None while there is none."""
        ring = super().ring
        assert ring is None or isinstance(ring, ImageBuffer)  # noqa: S101 - what `attach` returns
        return ring


def _config_of(source: DetectorConfig | Path | str) -> DetectorConfig | None:
    """Return the configuration of a source, or None if the source is a ring."""
    if isinstance(source, DetectorConfig):
        return source
    return load_config(source) if Path(source).suffix == ".json" else None
