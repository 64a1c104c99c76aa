"""The number of slots of a FrameBuffer, where frame numbers do not rise by one."""

from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer


@pytest.mark.parametrize("frame_step", [1, 2, 3, 4, 6, 10, 64])
@pytest.mark.parametrize("n_slots", [16, 60, 64])
def test_frames_for_one_of_several_servers_use_all_slots_in_turn(tmp_path: Path, frame_step: int, n_slots: int) -> None:
    ring, _ = FrameBuffer.create(
        tmp_path / "ring",
        n_modules=1,
        frame_bytes=64,
        n_units=1,
        buffer_bytes=0,
        n_slots=n_slots,
        frame_step=frame_step,
    )
    used = {ring.index(3 + frame_step * i, 0) for i in range(ring.n_slots)}
    assert len(used) == ring.n_slots
    assert ring.n_slots > n_slots - 8
    ring.close()


def test_a_ring_with_too_few_slots_for_the_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 8 are needed"):
        FrameBuffer.create(
            tmp_path / "ring", n_modules=1, frame_bytes=64, n_units=1, buffer_bytes=0, n_slots=8, frame_step=2
        )
