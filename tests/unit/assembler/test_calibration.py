from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_assembler import assembler as assembler_module
from std_assembler.__main__ import start
from std_assembler.calibration_watch import CalibrationWatch
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config import DetectorConfig, parse_config
from std_daq.imaging.config.paths import image_buffer_path
from std_test_kit.frames import FrameFeeder
from std_test_kit.services import service_context

SHAPE = (3, 512, 1024)
RAW = np.full((1, 512, 1024), 1000, np.uint16)


def write_tables(folder: Path, pedestal: float, shape: tuple[int, ...] = SHAPE) -> None:
    """Write files beside and put them in place at once, as users are told to do."""
    with h5py.File(folder / "pedestal.new", "w") as file:
        file["gains"] = np.full(shape, pedestal, np.float32)
        file["pixel_mask"] = np.zeros(shape[1:], np.uint32)
    (folder / "pedestal.new").rename(folder / "pedestal.h5")


@pytest.fixture
def config(shm_dir: Path, runtime: Path, tmp_path: Path) -> DetectorConfig:
    write_tables(tmp_path, 500.0)
    with h5py.File(tmp_path / "gain.h5", "w") as file:
        file["gains"] = np.full((4, 512, 1024), 2.0, np.float32)
    return parse_config(
        {
            "detector_name": "jungfrau",
            "detector_type": "jungfrau",
            "n_modules": 1,
            "bit_depth": 16,
            "image_pixel_height": 512,
            "image_pixel_width": 1024,
            "start_udp_port": 50000,
            "detector": {
                "conversion": "kev",
                "pedestal_file": str(tmp_path / "pedestal.h5"),
                "gain_file": str(tmp_path / "gain.h5"),
            },
            "shared_memory": {"directory": str(shm_dir), "frame_slots": 16, "image_slots": 8},
        }
    )


@pytest.fixture
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembler_module, "CalibrationWatch", lambda converter: CalibrationWatch(converter, 0.02))


class Line:
    def __init__(self, config: DetectorConfig) -> None:
        self.feeder = FrameFeeder(config)
        self.assembler = start(service_context(config))
        self.images = ImageBuffer.attach(image_buffer_path(config))

    def image_after(self, number: int) -> tuple[int, float]:
        """Publish an exposure; return the calibration index of its image, and its (uniform) value."""
        self.feeder.publish(number, RAW)
        while self.images.journal.next_sequence < number:
            self.assembler.step()
        entry: Any = self.images.journal.read(number - 1, 1).entries[0]
        image = self.images.images[self.images.slot(number - 1)]
        assert (image == image[0, 0]).all()
        return int(entry["calibration"]), float(image[0, 0])

    def close(self) -> None:
        self.images.close()
        self.assembler.close()
        self.feeder.close()


def test_replaced_table_is_taken_between_two_images_and_named(
    config: DetectorConfig, quick_watch: None, tmp_path: Path
) -> None:
    line = Line(config)
    assert line.image_after(1) == (0, 250.0)
    write_tables(tmp_path, 600.0)
    number, seen = 1, (0, 250.0)
    while seen == (0, 250.0) and number < 2000:
        number += 1
        seen = line.image_after(number)
    assert seen == (1, 200.0)
    calibrations = line.images.read_notes()["calibration"]
    pedestals = [file["sha256"] for entry in calibrations for file in entry["files"] if file["role"] == "pedestal"]
    assert [entry["index"] for entry in calibrations] == [0, 1]
    assert len(set(pedestals)) == 2
    line.close()


def test_table_that_does_not_fit_is_refused_and_the_old_one_goes_on(
    config: DetectorConfig, quick_watch: None, tmp_path: Path
) -> None:
    line = Line(config)
    write_tables(tmp_path, 600.0, shape=(3, 512, 1000))
    number = 0
    while line.assembler._watch.n_refused == 0 and number < 2000:
        number += 1
        assert line.image_after(number) == (0, 250.0)
    assert line.assembler._watch.n_refused == 1
    write_tables(tmp_path, 700.0)
    seen = (0, 250.0)
    while seen == (0, 250.0) and number < 4000:
        number += 1
        seen = line.image_after(number)
    assert seen == (1, 150.0)
    line.close()
