"""A rotation run through all services: the angles follow the frame numbers, so that lost images leave their gap."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.imaging.files import layout
from std_daq.recording.status_channel import StatusListener
from std_test_kit.beamline import Beamline, wait_accepted
from std_test_kit.frame_sender import FrameSender

N_IMAGES = 12
LOST = 4  # its index
PERIOD_S = 0.03


@pytest.mark.long
def test_angles_of_a_rotation_keep_the_gap_of_a_lost_image(
    beamline_config: Callable[..., dict[str, Any]], open_beamline: Callable[[dict[str, Any]], Beamline], tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger"))
    one_file, first = tmp_path / "one_file.h5", 1
    record_rotation(beamline, one_file, first)
    check_rotation(one_file, first)
    three_files, first = tmp_path / "three_files.h5", 101
    record_rotation(beamline, three_files, first, "--n-files", "3")
    check_rotation(three_files, first)


def record_rotation(beamline: Beamline, file: Path, first: int, *more: str) -> None:
    """Have a rotation written of which one image is lost."""
    arguments = [*("--n-images", str(N_IMAGES)), *("--first-image-timeout-s", "8"), *("--image-timeout-s", "3")]
    arguments += ["--omega-start-deg", "10", "--omega-increment-deg", "0.1", "--omega-vector", "-1", "0", "0"]
    arguments += ["--distance-m", "0.2", *more]
    tick = threading.Event()
    with StatusListener(beamline.broker_url) as listener, FrameSender(beamline.config) as sender:
        listener.connection.wait_connected(10.0)
        with beamline.write(file, *arguments) as writing:
            wait_accepted(listener, file)
            for index in range(N_IMAGES + 3):
                if index != LOST:
                    for module in range(beamline.config.n_modules):
                        sender.send(module, first + index)
                tick.wait(PERIOD_S)
            exit_code, _, _ = writing.finish(60.0)
    assert exit_code == 3


def check_rotation(file: Path, first: int) -> None:
    """Check that the angles follow the frame numbers."""
    indices = np.array([index for index in range(N_IMAGES) if index != LOST])
    with h5py.File(file) as opened:
        assert opened[layout.FRAME_INDEX][:].tolist() == (first + indices).tolist()
        omega = opened[f"{layout.SAMPLE_TRANSFORMATIONS}/omega"]
        np.testing.assert_allclose(omega[:], 10 + 0.1 * indices, rtol=0, atol=1e-9)
        assert omega.attrs["units"] == b"deg"
        assert opened[f"{layout.DETECTOR}/distance"][()] == 0.2
