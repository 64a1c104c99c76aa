"""Rings whose headers are damaged: each is refused in words, or is what it was."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.shm.segment import PAGE
from std_daq.tpc.events.event_buffer import EventBuffer

N_DAMAGES = 400

Make = Callable[[Path], tuple[Any, bool]]


def make_images(path: Path) -> tuple[ImageBuffer, bool]:
    return ImageBuffer.create(path, shape=(64, 64), dtype=np.dtype("u2"), n_modules=2, buffer_bytes=100_000)


def make_frames(path: Path) -> tuple[FrameBuffer, bool]:
    return FrameBuffer.create(path, n_modules=2, frame_bytes=8192, n_units=8, buffer_bytes=1_000_000)


def make_events(path: Path) -> tuple[EventBuffer, bool]:
    return EventBuffer.create(path, buffer_bytes=1_000_000, max_traces=20)


def damages(header: bytes) -> list[bytes]:
    """Return headers with a flipped bit, and with other bytes, among them digits that make another number."""
    generator = random.Random(1)
    used = len(header.rstrip(b"\0"))
    found = []
    for _ in range(N_DAMAGES):
        damaged = bytearray(header)
        for _ in range(generator.choice((1, 1, 3))):
            at = generator.randrange(used)
            damaged[at] = generator.choice((damaged[at] ^ 1 << generator.randrange(8), *b'09-"'))
        found.append(bytes(damaged))
    return found


@pytest.mark.parametrize("make", [make_images, make_frames, make_events])
def test_damaged_header_is_refused_in_a_line(shm_dir: Path, make: Make) -> None:
    path = shm_dir / "ring"
    ring, _ = make(path)
    kind = type(ring)
    ring.close()
    with path.open("r+b") as file:
        whole = file.read(PAGE)
        refusals = []
        for header in damages(whole):
            file.seek(0)
            file.write(header)
            file.flush()
            try:
                kind.attach(path).close()
            except SharedMemoryError as error:
                refusals.append(str(error))
    assert len(refusals) > N_DAMAGES // 2
    assert all(str(path) in refusal and "\n" not in refusal for refusal in refusals)
