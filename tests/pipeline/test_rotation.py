"""A rotation run through all services: the angles follow the frame numbers, so that lost images leave their gap."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.imaging.config import parse_config
from std_daq.imaging.files import layout
from std_daq.recording.status_channel import StatusListener
from std_test_kit.beamline import Beamline, wait_accepted
from std_test_kit.frame_sender import FrameSender

N_IMAGES = 12
LOST = 5
PERIOD_S = 0.03


@pytest.mark.parametrize("n_files", [1, 3])
def test_angles_of_a_rotation_keep_the_gap_of_a_lost_image(
    beamline_config: Callable[..., dict[str, Any]],
    open_beamline: Callable[[dict[str, Any]], Beamline],
    tmp_path: Path,
    n_files: int,
) -> None:
    document = beamline_config("eiger")
    beamline = open_beamline(document)
    file, tick = tmp_path / "rotation.h5", threading.Event()
    arguments = [*("--n-images", str(N_IMAGES)), *("--first-image-timeout-s", "8"), *("--image-timeout-s", "3")]
    arguments += ["--omega-start-deg", "10", "--omega-increment-deg", "0.1", "--omega-vector", "-1", "0", "0"]
    arguments += ["--distance-m", "0.2"]
    if n_files > 1:
        arguments += ["--n-files", str(n_files)]
    with StatusListener(beamline.broker_url) as listener, FrameSender(parse_config(document)) as sender:
        listener.connection.wait_connected(10.0)
        with beamline.write(file, *arguments) as writing:
            wait_accepted(listener, file)
            for number in range(1, N_IMAGES + 4):
                if number != LOST:
                    for module in range(document["n_modules"]):
                        sender.send(module, number)
                tick.wait(PERIOD_S)
            exit_code, _, _ = writing.finish(60.0)
    assert exit_code == 3
    numbers = np.array([number for number in range(1, N_IMAGES + 1) if number != LOST])
    with h5py.File(file) as opened:
        assert opened[layout.FRAME_INDEX][:].tolist() == numbers.tolist()
        omega = opened[f"{layout.SAMPLE_TRANSFORMATIONS}/omega"]
        np.testing.assert_allclose(omega[:], 10 + 0.1 * (numbers - 1), rtol=0, atol=1e-9)
        assert omega.attrs["units"] == b"deg"
        assert opened[f"{layout.DETECTOR}/distance"][()] == 0.2
