"""Makes one picture of an image in a file: ``python -m std_web.filed_images.picture_process``.

It is a process of its own, because HDF5 may hang or crash over a file on a server that is away, or over a damaged one,
and because the memory that it takes has to be bounded. It reads a `PictureOrder` as JSON from the standard input, opens
and checks the file itself, and writes the picture to the standard output.
"""

import json
import os
import resource
import sys
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from std_web.filed_images.order import PictureOrder, Ranges

_MAX_BYTES = 4 << 30
_NICE = 10


def main() -> int:
    """Write the picture; returns the exit code. What is wrong goes to the standard error."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, _MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash over a damaged file leaves no image of the memory
    os.nice(_NICE)
    order = PictureOrder.from_wire(json.load(sys.stdin))
    from std_daq.errors import FileFormatError
    from std_web.filed_images.drawing import encoded

    try:
        picture = encoded(_pixels(order), order.size, order.encoding)
    except MemoryError:
        sys.stderr.write(f"{order.file}: the image has more pixels than there is memory for")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or order.file}: {error.strerror or error}")
        return 1
    except FileFormatError as error:
        sys.stderr.write(str(error))
        return 1
    sys.stdout.buffer.write(picture)
    return 0


def _pixels(order: PictureOrder) -> NDArray[np.float32]:
    from std_daq.imaging.files.contained import read_contained

    pixels = read_contained([Path(root) for root in order.roots], Path(order.file), order.row)
    if order.kept is None or pixels.shape != tuple(order.kept.shape):
        return pixels
    return pixels[np.ix_(_indices(order.kept.rows), _indices(order.kept.columns))]


def _indices(ranges: Ranges) -> list[int]:
    return list(chain.from_iterable(range(first, end) for first, end in ranges))


if __name__ == "__main__":
    sys.exit(main())
