import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.cli.__main__ import main
from std_daq.imaging.buffers.frame_follower import FrameFollower, RawFrame
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_test_kit.frames import FrameFeeder

JUNGFRAU = {
    "detector_name": "jf",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
    "module_positions": {},
}
ADC = {0: 4000, 1: 14500, 3: 14800}


@pytest.fixture
def config_file(tmp_path: Path, shm_dir: Path, runtime: Path) -> Path:
    return write_config(tmp_path, shm_dir, {})


def write_config(tmp_path: Path, shm_dir: Path, changes: dict[str, Any]) -> Path:
    path = tmp_path / "detector.json"
    memory = {"shared_memory": {"directory": str(shm_dir), "frame_slots": 16}}
    path.write_text(json.dumps(JUNGFRAU | memory | changes))
    return path


@contextmanager
def series_of_dark_images(
    config: DetectorConfig, codes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A detector that goes through its gains once, as soon as the command follows."""
    feeder = FrameFeeder(config)
    follows, n_read, read = threading.Event(), itertools.count(), FrameFollower.read

    def read_and_tell(follower: FrameFollower) -> Iterator[RawFrame]:
        if next(n_read):  # it has attached to the ring when it read the first time
            follows.set()
        return read(follower)

    monkeypatch.setattr(FrameFollower, "read", read_and_tell)

    def feed() -> None:
        follows.wait(20)
        for number, code in enumerate(code for code in codes for _ in range(8)):
            feeder.publish(number, np.full((config.n_modules, 512, 1024), code << 14 | ADC[code], np.uint16))

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        feeder.close()


@contextmanager
def dark_images(config: DetectorConfig, codes: tuple[int, ...] = (0, 1, 3), n_of_each: int = 8) -> Iterator[None]:
    """A detector that goes through its gains, a few images of each, until the end of the block."""
    feeder = FrameFeeder(config)
    stop = threading.Event()

    def feed() -> None:
        number = 0
        while not stop.is_set():
            for code in codes:
                for step in range(n_of_each):
                    value = (code << 14) | (ADC[code] + step % 2)
                    feeder.publish(number, np.full((config.n_modules, 512, 1024), value, np.uint16))
                    number += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        feeder.close()


def pedestal(config_file: Path, output: Path, *more: str) -> int:
    options = ("--n-images-per-gain", "4", "--n-skipped", "1", "--timeout-s", "20")
    return main(["pedestal", "--config", str(config_file), "--output", str(output), *options, *more])


def test_dark_images_become_a_pedestal_file(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pedestal.h5"
    with dark_images(load_config(config_file)):
        assert pedestal(config_file, output) == 0
    with h5py.File(output) as file:
        assert file["gains"].shape == (3, 512, 1024)
        for plane, adc in enumerate(ADC.values()):
            np.testing.assert_allclose(file["gains"][plane], adc + 0.5, atol=0.5)
        assert file.attrs["detector_name"] == "jf"
    assert "3 gain stages of 1 modules" in capsys.readouterr().out


def test_module_that_is_off_is_dead_in_the_file(
    tmp_path: Path, shm_dir: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    positions = {"0": [0, 0, 1023, 511], "1": [0, 512, 1023, 1023]}
    changes = {"n_modules": 2, "image_pixel_height": 1024, "module_positions": positions, "deactivate": [0]}
    config_file = write_config(tmp_path, shm_dir, changes)
    output = tmp_path / "pedestal.h5"
    with dark_images(load_config(config_file)):
        assert pedestal(config_file, output) == 0
    with h5py.File(output) as file:
        assert file["gains"].shape == (3, 1024, 1024)
        assert (file["pixel_mask"][:512] != 0).all()
        assert file["gains"][0, 512:].min() >= ADC[0]


def test_gain_that_never_comes_ends_with_what_was_taken(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pedestal.h5"
    assert pedestal(config_file, output, "--timeout-s", "0.2") == 1
    assert "no complete image arrived" in capsys.readouterr().err
    assert not output.exists()


def test_what_came_is_kept_what_is_missing_is_told_and_can_be_added(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "pedestal.h5"
    with series_of_dark_images(load_config(config_file), (0, 1), monkeypatch):
        assert pedestal(config_file, output, "--timeout-s", "1") == 1
    told = capsys.readouterr()
    assert "missing: gain 2 of module 0: 0 of 4 images" in told.err
    assert f"std-daq pedestal --add-to {output}" in told.err
    with h5py.File(output) as file:
        assert file["n_frames"][0].tolist() == [7, 7, 0]
        assert np.isnan(file["gains"][2]).all()
    options = ("--n-images-per-gain", "4", "--n-skipped", "1", "--timeout-s", "20", "--json")
    with dark_images(load_config(config_file), (3,)):
        assert main(["pedestal", "--config", str(config_file), "--add-to", str(output), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["missing"] == []
    assert report["n_frames"]["gain 0"] == 7
    with h5py.File(output) as file:
        np.testing.assert_allclose(file["gains"][:, 0, 0], [value + 0.5 for value in ADC.values()], atol=0.5)


def test_images_of_pedestal_mode_become_a_pedestal_file(config_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "pedestal.h5"
    loop = [0] * 9
    with dark_images(load_config(config_file), (*loop, 1, *loop, 1, *loop, 3, *loop, 3), n_of_each=1):
        assert pedestal(config_file, output, "--n-skipped", "5") == 0
    with h5py.File(output) as file:
        np.testing.assert_allclose(file["gains"][:, 0, 0], list(ADC.values()), atol=0.5)
        assert file["n_frames"][0].min() >= 4


def test_existing_file_is_not_touched(config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "pedestal.h5"
    output.write_text("kept")
    assert pedestal(config_file, output) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_text() == "kept"


def test_detector_without_pedestals_is_refused(
    tmp_path: Path, shm_dir: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"detector_type": "eiger", "image_pixel_height": 256, "image_pixel_width": 514}
    config_file = write_config(tmp_path, shm_dir, changes)
    assert pedestal(config_file, tmp_path / "pedestal.h5") == 2
    assert "this detector has no pedestals" in capsys.readouterr().err
