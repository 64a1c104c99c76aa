"""Makes the messages of images that a client uploads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.telescope.daqdata import daq_data_pb2 as messages

_MAX_BYTES_PER_PIXEL = 4


def make_pano_image(
    pixels: npt.ArrayLike,
    *,
    module_id: int,
    is_pulse_height: bool = False,
    header: Mapping[str, Any] | None = None,
    file: str = "",
    frame_number: int = 0,
) -> messages.PanoImage:
    """Return the message of an image, for `DaqDataClient.upload_images`.

    Parameters
    ----------
    pixels
        Integers of at most 32 bits (rows, columns); signed ones travel as the bits of their type.
    module_id
        Number of the module.
    is_pulse_height
        Whether the type is PULSE_HEIGHT; else it is MOVIE.
    header
        What a JSON object can hold.
    file, frame_number
        Where the image comes from; free for uploads.

    Raises
    ------
    ValueError
        The pixels are no integers of at most 32 bits.
    """
    array = np.ascontiguousarray(pixels)
    if array.dtype.kind not in "iu" or array.dtype.itemsize > _MAX_BYTES_PER_PIXEL:
        raise ValueError(f"pixels are {array.dtype}; give integers of 8, 16 or 32 bits")
    kind = messages.PanoImage.PULSE_HEIGHT if is_pulse_height else messages.PanoImage.MOVIE
    image = messages.PanoImage(
        type=kind,
        shape=array.shape,
        bytes_per_pixel=array.dtype.itemsize,
        image_array=array.view(f"{array.dtype.byteorder}u{array.dtype.itemsize}").reshape(-1).tolist(),
        file=file,
        frame_number=frame_number,
        module_id=module_id,
    )
    image.header.update(dict(header or {}))
    return image


def as_own_message(image: Any) -> messages.PanoImage:
    """Return an image of another package's messages as one of ours."""
    if isinstance(image, messages.PanoImage):
        return image
    return messages.PanoImage.FromString(image.SerializeToString())
