"""Pictures and files of single images: PNG in colours, arrays of numpy, and NeXus files."""

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from std_daq.imaging.buffers.image import Image
from std_daq.imaging.display.colour_maps import ColourMap, Scale
from std_daq.imaging.display.colouring import coloured, usual_limits
from std_web.live.live_images import PixelMeaning
from std_web.live.renderer import Rendered

_COMPRESS_LEVEL = 3  # half the time of the usual one


def picture(
    rendered: Rendered,
    *,
    low: float | None = None,
    high: float | None = None,
    scale: Scale = "linear",
    colours: ColourMap = "viridis",
) -> bytes:
    """Return a picture of an image, as a PNG file.

    Parameters
    ----------
    rendered
        The image.
    low, high
        Values of the first and the last colour; by default most of the image has different colours.
    scale, colours
        As for `coloured`.
    """
    shown = coloured(rendered.image, *limits_of(rendered, low, high), scale=scale, colours=colours)
    file = BytesIO()
    Picture.fromarray(shown).save(file, format="PNG", compress_level=_COMPRESS_LEVEL)
    return file.getvalue()


def limits_of(rendered: Rendered, low: float | None, high: float | None) -> tuple[float, float]:
    """Return the values of the first and the last colour; those that are None are found from the image."""
    usual = usual_limits(rendered.facts.percentiles, rendered.facts.values.largest)
    return usual[0] if low is None else low, usual[1] if high is None else high


def array_file(array: NDArray[Any]) -> bytes:
    """Return an array as a file that ``numpy.load`` reads."""
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def nexus_file(image: Image, meaning: PixelMeaning, notes: dict[str, Any]) -> bytes:
    """Return a NeXus file with one image, which has all that the files of a run say of an image.

    Parameters
    ----------
    image
        A copy of an image.
    meaning
        What its pixels mean.
    notes
        Notes of its ring, which name the files of its calibration.

    Raises
    ------
    OSError
        There is no room for the file.
    """
    from std_daq.imaging.detectors.interface import is_board_detector
    from std_daq.imaging.files.described import calibration_checksums, nexus_metadata, program_versions
    from std_daq.imaging.files.description import ImageFileDescription
    from std_daq.imaging.files.image_file import ImageFile
    from std_daq.recording.requests import RunReport, Verdict

    detector, config = meaning.detector, meaning.config
    metadata = image.metadata
    description = ImageFileDescription(
        detector_name=config.name,
        shape=(metadata.height, metadata.width),
        dtype=image.pixels.dtype,
        n_modules=len(image.modules),
        has_root_links=config.nexus.root_links,
        nexus=nexus_metadata(config.nexus),
        bit_depth_readout=detector.bit_depth_readout,
        pixel_mask=meaning.plane.pixel_mask,
        is_pixel_mask_applied=detector.is_pixel_mask_applied,
        n_requested=1,
        configuration_json=config.model_dump_json(),
        versions=program_versions(),
        own_columns=detector.own_columns() if is_board_detector(detector) else None,
    )
    with tempfile.TemporaryDirectory(prefix="std-web-") as folder:
        path = Path(folder) / f"{config.name}_{metadata.id}.h5"
        file = ImageFile.create(path, description)
        try:
            file.add_calibration(image.calibration, calibration_checksums(notes, image.calibration))
            file.append(np.ascontiguousarray(image.pixels), metadata, image.modules)
            file.finish(
                RunReport(
                    request_id="",
                    verdict=Verdict.COMPLETE if image.is_good else Verdict.INCOMPLETE,
                    reason="" if image.is_good else "the image is not good",
                    n_requested=1,
                    n_written=1,
                    n_incomplete=int(not image.is_good),
                    files=(path.name,),
                )
            )
        finally:
            file.close()
        return path.read_bytes()
