"""PFF files copied into HDF5."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.telescope.pff import PRODUCTS, PffFile, Product
from std_daq.telescope.pff.hdf5_copy import copy_to_hdf5
from std_test_kit.telescope_frames import write_pff


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_copy_has_all_pixels_numbers_and_times(product: Product, tmp_path: Path) -> None:
    paths = write_pff(tmp_path, product, 9, module_id=3, max_file_bytes=5000)
    assert len(paths) > 1
    assert copy_to_hdf5(paths, tmp_path / "x.h5") == 9
    files = [PffFile(path) for path in paths]
    with h5py.File(tmp_path / "x.h5") as copy:
        pixels = copy["entry/data/data"]
        assert pixels.dtype == product.dtype
        np.testing.assert_array_equal(pixels[:], np.concatenate([file.pixels for file in files]))
        for name in ("received_ns", "white_rabbit_ns"):
            times = np.concatenate([getattr(file, name)() for file in files])
            np.testing.assert_array_equal(copy["entry/frames"][name][:], times)
        np.testing.assert_array_equal(
            copy["entry/frames/pkt_num"][:], np.concatenate([file.stamps()[0]["pkt_num"] for file in files])
        )
        assert copy["entry/frames/is_sound"][:].all()
        assert copy["entry/product"].asstr()[()] == product.name
        assert copy["entry/module_id"][()] == 3
        assert [name.decode() for name in copy["entry/files"][:]] == [path.name for path in paths]
    for file in files:
        file.close()


def test_files_of_another_module_are_refused_and_nothing_is_made(tmp_path: Path) -> None:
    paths = [write_pff(tmp_path, PRODUCTS["ph256"], 1, module_id=module_id)[0] for module_id in (1, 2)]
    with pytest.raises(FileFormatError, match="is of another product or module than"):
        copy_to_hdf5(paths, tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()


def test_empty_file_gives_no_copy(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no whole frame"):
        copy_to_hdf5(write_pff(tmp_path, PRODUCTS["img8"], 0), tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()
