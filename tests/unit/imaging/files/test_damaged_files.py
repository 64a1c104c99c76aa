"""Files that hold something else than they should are told as damaged, whatever h5py raises for them."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.picture import read_pixels
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import SHAPE, report_of, write_image_file

DATASETS = [
    layout.PIXELS,
    *layout.CHECKSUM_COLUMNS,
    *layout.PER_IMAGE,
    layout.LAYOUT_VERSION,
    layout.VERDICT,
    layout.REASON,
    layout.N_REQUESTED,
    layout.N_INCOMPLETE,
    layout.N_LOST,
    layout.N_IMAGES,
    layout.LOST_IMAGE_IDS,
    layout.CALIBRATIONS,
    layout.DESCRIPTION_CHECKSUMS,
    layout.END_CHECKSUM,
    f"{layout.DETECTOR}/pixel_mask",
]
REPLACEMENTS: dict[str, Callable[[h5py.File, str], object]] = {
    "nothing": lambda file, name: None,
    "group": lambda file, name: file.create_group(name),
    "text": lambda file, name: file.create_dataset(name, data="text"),
    "number": lambda file, name: file.create_dataset(name, data=np.float64("nan")),
    "texts": lambda file, name: file.create_dataset(name, data=["a", "b"]),
    "records": lambda file, name: file.create_dataset(name, data=np.zeros(3, [("a", "i4"), ("b", "f8")])),
    "cube": lambda file, name: file.create_dataset(name, data=np.zeros((2, 2, 2, 2), "u1"), chunks=True),
    "empty": lambda file, name: file.create_dataset(name, data=h5py.Empty("f4")),
    "endless": lambda file, name: file.create_dataset(name, shape=(2**40, 2, 2), dtype="u8", chunks=(1, 2, 2)),
    "broken link": lambda file, name: file.__setitem__(name, h5py.ExternalLink("nowhere.h5", "/a")),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "run.h5"
    return write_image_file(path, report=report_of(Verdict.COMPLETE), pixel_mask=np.zeros(SHAPE, np.uint32))


def use(path: Path) -> None:
    """Do with a file what commands do; only errors that commands tell may come out."""
    validate(path)
    for what in (lambda: recover(path), lambda: read_pixels(path), lambda: read_pixels(path, 3)):
        try:
            what()
        except (FileFormatError, OSError):
            continue


@pytest.mark.parametrize("replacement", REPLACEMENTS)
@pytest.mark.parametrize("name", DATASETS)
def test_dataset_that_is_something_else_ends_no_command(
    sound: Path, tmp_path: Path, name: str, replacement: str
) -> None:
    path = tmp_path / "run.h5"
    shutil.copy(sound, path)
    with h5py.File(path, "r+") as file:
        assert name in file
        del file[name]
        REPLACEMENTS[replacement](file, name)
    use(path)


def test_missing_pixels_are_an_error_of_the_validation(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    shutil.copy(sound, path)
    with h5py.File(path, "r+") as file:
        del file[layout.PIXELS]
        file.create_group(layout.PIXELS)
    report = validate(path)
    assert not report.is_valid
    with pytest.raises(FileFormatError):
        read_pixels(path)


@pytest.mark.parametrize("seed", range(60))
def test_changed_bytes_end_no_command(sound: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(sound.read_bytes())
    for _ in range(chance.choice([1, 3, 30])):
        data[chance.randrange(48, len(data))] = chance.randrange(256)
    path = tmp_path / "run.h5"
    path.write_bytes(data[: chance.choice([len(data), chance.randrange(1, len(data))])])
    use(path)
