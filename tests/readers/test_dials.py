"""DIALS takes a rotation run for one sweep, and finds every pixel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_test_kit.image_files import image_of, write_image_file

from .conftest import INCOMPLETE, is_unknown, write

Read = Callable[[Path], dict[str, Any]]


def test_a_rotation_is_one_sweep_with_geometry_and_pixels(path: Path, read_with_dxtbx: Read) -> None:
    read = read_with_dxtbx(path)
    assert (read["n_experiments"], read["n_images"]) == (1, 8)
    assert read["oscillation"] == pytest.approx([10, 0.1])
    assert read["axis"] == [1, 0, 0]  # in the coordinates of imgCIF
    assert read["distance_mm"] == pytest.approx(200)
    assert read["beam_px"] == pytest.approx([24, 16])
    assert (read["wavelength"], read["exposure_s"]) == (1.0, 0.002)
    assert read["pixels"] == image_of(1).ravel().tolist()
    assert read["is_good"].count(False) == 1


def test_a_lost_image_leaves_one_sweep(tmp_path: Path, read_with_dxtbx: Read) -> None:
    read = read_with_dxtbx(write(tmp_path / "a.h5", (1, 2, 3, 5, 6, 7, 8)))
    assert (read["n_experiments"], read["n_images"]) == (1, 7)
    assert read["oscillation"] == pytest.approx([10, 0.1])


def test_without_a_rotation_there_are_stills(tmp_path: Path, read_with_dxtbx: Read) -> None:
    path = write_image_file(tmp_path / "a.h5", range(3), INCOMPLETE, pixel_mask=np.zeros((32, 48), np.uint32))
    assert read_with_dxtbx(path)["n_experiments"] == 3


def test_a_distance_that_nobody_gave_is_not_a_number(tmp_path: Path, read_with_dxtbx: Read) -> None:
    read = read_with_dxtbx(write(tmp_path / "a.h5", nexus={"distance_m": None}))
    assert is_unknown(read["distance_mm"])


@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i4", 32)])
def test_the_highest_values_of_the_depth_are_not_changed_and_good_below_saturation(
    tmp_path: Path, read_with_dxtbx: Read, monkeypatch: pytest.MonkeyPatch, dtype: str, bits: int
) -> None:
    highest = 2**bits - 1 if dtype[0] == "u" else 2**31 - 3
    pixels = np.full((32, 48), highest, dtype)
    pixels[0] -= 1
    monkeypatch.setattr("std_test_kit.image_files.image_of", lambda image_id, dtype="u2": pixels)
    known = {"saturation_value": None, "underload_value": None}
    read = read_with_dxtbx(write(tmp_path / "a.h5", dtype=dtype, bit_depth_readout=bits, nexus=known))
    assert read["pixels"] == pixels.ravel().tolist()
    # Versions of DIALS differ in whether a pixel at the saturation value is good.
    assert all(read["is_good"][:48])
