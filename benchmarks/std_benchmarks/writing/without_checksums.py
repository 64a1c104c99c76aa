"""The service ``std-h5-writer`` as it would be without checksums of images: ``python -m ...without_checksums``."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from std_daq import checksums
from std_daq.imaging.files import image_columns


@contextmanager
def without_checksums() -> Iterator[None]:
    """Give each chunk and each row of metadata the checksum 0 while the context is open, without a thread."""
    with (
        patch.object(checksums.ChunkChecksums, "begin", lambda *_: _nothing),
        patch.object(image_columns, "metadata_checksums", _no_rows),
    ):
        yield


def _nothing() -> int:
    return 0


def _no_rows(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint64]:
    return np.zeros(len(next(iter(columns.values()))), np.uint64)


if __name__ == "__main__":
    from std_h5_writer.__main__ import main

    with without_checksums():
        sys.exit(main())
