"""The receiver's part of the FrameBuffer: opens the ring, claims modules, and reads what a predecessor has left."""

from collections.abc import Sequence

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import frame_buffer_path
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.start_checks import plan_frame_buffer
from std_daq.shm.journal import MAX_EPOCH, Journal
from std_daq.telemetry.logs import get_logger

_END_OF_NUMBERS = 2**63  # frame numbers of ports are signed


def open_ring(config: DetectorConfig, detector: Detector) -> FrameBuffer:
    """Create the FrameBuffer, or attach to it if it exists.

    Raises
    ------
    ConfigError
        The ring has too few slots for the window.
    SharedMemoryError
        The memory cannot be allocated.
    """
    geometry = plan_frame_buffer(config, detector)
    ring, is_new = FrameBuffer.create_planned(frame_buffer_path(config), geometry)
    get_logger().info("ring_opened", path=str(ring.segment.path), slots=ring.n_slots, is_new=is_new)
    return ring


def claim_submodules(ring: FrameBuffer, submodules: Sequence[int]) -> int:
    """Become the only writer of some submodules, and mark frames as empty that a predecessor left unfinished.

    Returns
    -------
    An epoch that is greater than those of all frames of these submodules in the ring, damaged ones not counted.

    Raises
    ------
    SharedMemoryError
        Another process writes one of the submodules.
    """
    for submodule in submodules:
        ring.segment.lock(submodule, f"receiver of submodule {submodule}")
    unfinished = ring.invalidate_unfinished(list(submodules))
    if unfinished:
        get_logger().warning("unfinished_frames_invalidated", frames=unfinished)
    epochs = ring.headers["epoch"].reshape(ring.n_slots, -1)[:, submodules]
    return int(epochs.max(where=epochs < MAX_EPOCH, initial=0)) + 1


def last_exposure(journal: Journal) -> tuple[int, int] | None:
    """Return the epoch and frame number of the last published exposure that is not damaged; None if there is none."""
    entries = journal.read(journal.oldest_sequence, journal.next_sequence).entries
    sound = entries[(entries["epoch"] < MAX_EPOCH) & (entries["frame_index"] < _END_OF_NUMBERS)]
    return (int(sound["epoch"][-1]), int(sound["frame_index"][-1])) if len(sound) else None


def max_waiting_exposures(config: DetectorConfig, ring: FrameBuffer) -> int:
    """Return how many exposures may wait for modules without being overwritten before they are used."""
    asked = config.module_sync_queue_size
    granted = min(asked, ring.n_slots * 3 // 4)
    if granted < asked:
        get_logger().info("sync_window_limited", module_sync_queue_size=asked, exposures=granted)
    return granted
