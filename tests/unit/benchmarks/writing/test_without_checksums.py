"""The writer without checksums, beside which their cost is measured, writes the same file otherwise."""

from pathlib import Path

import h5py
import numpy as np

from std_benchmarks.writing.without_checksums import without_checksums
from std_daq.imaging.files import layout
from std_test_kit.image_files import write_image_file


def test_only_the_checksums_of_images_are_not_computed(tmp_path: Path) -> None:
    with without_checksums():
        without = write_image_file(tmp_path / "without.h5", range(5))
    with_them = write_image_file(tmp_path / "with.h5", range(5))
    with h5py.File(without) as ours, h5py.File(with_them) as others:
        assert np.array_equal(ours[layout.PIXELS][:], others[layout.PIXELS][:])
        for path in layout.CHECKSUM_COLUMNS:
            assert not ours[path][:].any()
            assert others[path][:].all()
