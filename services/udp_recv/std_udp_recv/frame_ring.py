"""The receiver's part of the FrameBuffer: opens the ring, claims modules, and reads what a predecessor has left."""

from collections.abc import Sequence

from std_daq.errors import ConfigError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import frame_buffer_path
from std_daq.imaging.detectors.interface import Detector, is_board_detector
from std_daq.shm.journal import Journal
from std_daq.telemetry.logs import get_logger


def ports_per_submodule(detector: Detector) -> int:
    """Return the number of ports of each submodule, which bring alternate frames; 1 if all share a port."""
    return 1 if is_board_detector(detector) else detector.n_ports // detector.config.n_submodules


def open_ring(config: DetectorConfig, detector: Detector) -> FrameBuffer:
    """Create the FrameBuffer, or attach to it if it exists.

    Raises
    ------
    ConfigError
        The ring has too few slots for the window.
    SharedMemoryError
        The memory cannot be allocated.
    """
    layout = detector.packet_layout(0)
    memory = config.shared_memory
    n_ports = ports_per_submodule(detector)
    ring, is_new = FrameBuffer.create(
        frame_buffer_path(config),
        n_modules=config.n_submodules,
        frame_bytes=layout.frame_bytes,
        n_units=layout.n_units,
        buffer_bytes=int(memory.frame_buffer_gb * 1e9),
        n_slots=memory.frame_slots,
        slots_multiple=n_ports,
        frame_step=config.udp.numdst,
    )
    get_logger().info("ring_opened", path=str(ring.segment.path), slots=ring.n_slots, is_new=is_new)
    needed = 2 * (config.udp.window_frames + 1) * n_ports
    if ring.n_slots < needed:
        ring.close()
        raise ConfigError(
            f"the FrameBuffer has {ring.n_slots} slots, this window needs {needed}",
            key="udp.window_frames",
            value=config.udp.window_frames,
            remedy="make the window smaller or shared_memory.frame_buffer_gb larger",
        )
    return ring


def claim_submodules(ring: FrameBuffer, submodules: Sequence[int]) -> int:
    """Become the only writer of some submodules, and mark frames as empty that a predecessor left unfinished.

    Returns
    -------
    An epoch that is greater than those of all frames of these submodules in the ring.

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
    return int(epochs.max()) + 1


def last_exposure(journal: Journal) -> tuple[int, int] | None:
    """Return the epoch and frame number of the last published exposure; None if there is none."""
    entries = journal.read(journal.next_sequence - 1, 1).entries
    return (int(entries["epoch"][0]), int(entries["frame_index"][0])) if len(entries) else None


def max_waiting_exposures(config: DetectorConfig, ring: FrameBuffer) -> int:
    """Return how many exposures may wait for modules without being overwritten before they are used."""
    asked = config.module_sync_queue_size
    granted = min(asked, ring.n_slots * 3 // 4)
    if granted < asked:
        get_logger().info("sync_window_limited", module_sync_queue_size=asked, exposures=granted)
    return granted
