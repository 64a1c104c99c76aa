"""What a receiver reads of its predecessor: nonsense in the ring does not end it, now and at each start again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.shm.journal import MAX_EPOCH
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.frame_ring import claim_submodules, last_exposure
from std_udp_recv.port_receiver import EndedFrame


@pytest.fixture
def ring(shm_dir: Path) -> Iterator[FrameBuffer]:
    ring, _ = FrameBuffer.create(shm_dir / "frames", n_modules=1, frame_bytes=64, n_units=1, buffer_bytes=0, n_slots=8)
    yield ring
    ring.close()


def publish(ring: FrameBuffer, epoch: int, frame_index: int) -> None:
    entry = np.zeros(1, RAW_METADATA)
    entry["epoch"], entry["frame_index"] = epoch, frame_index
    ring.journals[0].append(entry)


def announce(ring: FrameBuffer, key: int) -> tuple[int, int]:
    """Announce a frame as a receiver does that begins with this ring; return epoch and frame number."""
    announcer = FrameAnnouncer({0: 0}, window=4, timeout_ns=10**9, last=last_exposure(ring.journals[0]))
    raw = announcer.feed(0, EndedFrame(key, 0, key, 0, 0, 0, 5, 6, 0, 0), 10)
    return int(raw[0]["epoch"][0]), int(raw[0]["frame_index"][0])


@pytest.mark.parametrize(
    ("epoch", "frame_index"), [(2**32 - 1, 5), (MAX_EPOCH, 5), (0, 2**63), (0, 2**64 - 1), (2**32 - 1, 2**64 - 1)]
)
def test_damaged_last_exposure_is_passed(ring: FrameBuffer, epoch: int, frame_index: int) -> None:
    assert last_exposure(ring.journals[0]) is None
    publish(ring, 2, 7)
    publish(ring, epoch, frame_index)
    assert last_exposure(ring.journals[0]) == (2, 7)
    assert announce(ring, 8) == (2, 8)
    assert announce(ring, 3) == (3, 3)


def test_damaged_epoch_of_a_frame_does_not_count(ring: FrameBuffer) -> None:
    ring.headers["epoch"][:3] = (4, 2**32 - 1, MAX_EPOCH)
    assert claim_submodules(ring, [0]) == 5


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(epoch=st.integers(0, 2**32 - 1), frame_index=st.integers(0, 2**64 - 1), key=st.integers(0, 2**63 - 1))
def test_a_receiver_begins_whatever_the_last_one_has_left(
    ring: FrameBuffer, epoch: int, frame_index: int, key: int
) -> None:
    publish(ring, epoch, frame_index)
    assert announce(ring, key)[1] == key
