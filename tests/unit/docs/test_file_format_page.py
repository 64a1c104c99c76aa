"""The page of the file format names every dataset of an image file, and no others."""

import dataclasses
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.imaging.detectors.pixel_mask import MaskBit
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.master_file import write_master
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import SHAPE, describe, report_of, write_image_file

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "file-format.md"


def datasets(path: Path) -> set[str]:
    found: set[str] = set()

    def take(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            found.add(f"/{name}")

    with h5py.File(path) as file:
        file.visititems(take)
    return found


@pytest.fixture
def written(tmp_path: Path) -> set[str]:
    """Return the paths of all datasets of a data file and of its master."""
    axis = SampleAxis(name="omega", vector=(1.0, 0.0, 0.0), is_rotation=True, increment=1.0)
    nexus = dataclasses.replace(
        describe().nexus,
        axes=(axis,),
        flux_hz=1.0,
        beam_size_m=(1.0, 1.0),
        transmission=1.0,
        sample_description="of salt",
        sample_temperature_k=1.0,
        proposal="7",
        user_name="me",
    )
    report = report_of(Verdict.COMPLETE)
    data_file = write_image_file(
        tmp_path / "run_data_000001.h5",
        report=report,
        nexus=nexus,
        master_file="run.h5",
        pixel_mask=np.zeros(SHAPE, np.uint32),
    )
    write_master(tmp_path / "run.h5", [data_file], report)
    return datasets(data_file) | datasets(tmp_path / "run.h5")


def test_page_has_the_datasets_of_the_files(written: set[str]) -> None:
    named = set(re.findall(r"`(/entry/[\w/]+)`", PAGE.read_text())) - {"/entry/instrument/detector/data"}
    assert named == written


def test_page_has_the_bits_of_the_mask() -> None:
    text = PAGE.read_text()
    for bit in MaskBit:
        assert f"{bit.bit_length() - 1} {str(bit.name).lower().replace('_', '-')}" in text
