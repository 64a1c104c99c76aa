"""The checks of a detector's configuration that several services share, and those of its rings and ports."""

from collections.abc import Iterator
from contextlib import closing

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import frame_buffer_path, image_buffer_path
from std_daq.imaging.detectors.interface import Detector, is_board_detector
from std_daq.imaging.detectors.registry import open_detector
from std_daq.service.checks import Check
from std_daq.shm.ring import RingGeometry
from std_daq.shm.segment import PlannedSegment, check_room


def ports_per_submodule(detector: Detector) -> int:
    """Return the number of ports of each submodule, which bring alternate frames; 1 if all share a port."""
    return 1 if is_board_detector(detector) else detector.n_ports // detector.config.n_submodules


def plan_frame_buffer(config: DetectorConfig, detector: Detector) -> RingGeometry:
    """Return the geometry of the FrameBuffer; raises ConfigError if it is too small, also for the window."""
    from std_daq.imaging.buffers.frame_buffer import FrameBuffer

    layout = detector.packet_layout(0)
    memory = config.shared_memory
    n_ports = ports_per_submodule(detector)
    geometry = FrameBuffer.plan(
        n_modules=config.n_submodules,
        frame_bytes=layout.frame_bytes,
        n_units=layout.n_units,
        buffer_bytes=int(memory.frame_buffer_gb * 1e9),
        n_slots=memory.frame_slots,
        slots_multiple=n_ports,
        frame_step=config.udp.numdst,
    )
    needed = 2 * (config.udp.window_frames + 1) * n_ports
    if geometry.n_slots < needed:
        raise ConfigError(
            f"the FrameBuffer has {geometry.n_slots} slots, this window needs {needed}",
            key="udp.window_frames",
            value=config.udp.window_frames,
            remedy="make the window smaller or shared_memory.frame_buffer_gb larger",
        )
    return geometry


def plan_image_buffer(config: DetectorConfig, detector: Detector) -> RingGeometry:
    """Return the geometry of the ImageBuffer; raises ConfigError if it is too small."""
    from std_daq.imaging.buffers.image_buffer import ImageBuffer

    wanted = config.replication.receive
    return ImageBuffer.plan(
        shape=config.image_shape,
        dtype=detector.image_dtype,
        n_modules=config.n_modules,
        buffer_bytes=int(config.ram_buffer_gb * 1e9),
        n_slots=config.shared_memory.image_slots,
        frame_index_step=config.udp.numdst * (1 if wanted is None else wanted.share_of),
    )


def planned_rings(config: DetectorConfig, detector: Detector) -> Iterator[PlannedSegment]:
    """Yield the rings that the services of a configuration will create, in the order of the data."""
    from std_daq.imaging.buffers import frame_buffer, image_buffer

    if config.replication.receive is None:
        total = plan_frame_buffer(config, detector).offsets()["total"]
        yield PlannedSegment(frame_buffer_path(config), total, frame_buffer.SIZE_KEY)
    total = plan_image_buffer(config, detector).offsets()["total"]
    yield PlannedSegment(image_buffer_path(config), total, image_buffer.SIZE_KEY)


def planned_bytes(config: DetectorConfig, detector: Detector) -> int:
    """Return the memory that all rings take."""
    return sum(ring.total_bytes for ring in planned_rings(config, detector))


def _check_frame_buffer(config: DetectorConfig) -> None:
    plan_frame_buffer(config, open_detector(config))


def _check_image_buffer(config: DetectorConfig) -> None:
    plan_image_buffer(config, open_detector(config))


def _check_room(config: DetectorConfig) -> None:
    check_room(planned_rings(config, open_detector(config)))


def _check_calibration(config: DetectorConfig) -> None:
    open_detector(config).converter()


def _check_ports(config: DetectorConfig) -> None:
    detector = open_detector(config)
    place = config.udp.place
    for port in range(config.start_udp_port, config.start_udp_port + detector.n_ports):
        with closing(place.open_socket()) as opened:
            place.bind(opened, port)


DETECTOR = Check(subject="detector", run=open_detector, is_part_of_start=True)
CALIBRATION = Check(subject="calibration", run=_check_calibration, is_part_of_start=True)
FRAME_BUFFER = Check(subject="FrameBuffer", run=_check_frame_buffer, is_part_of_start=True)
IMAGE_BUFFER = Check(subject="ImageBuffer", run=_check_image_buffer, is_part_of_start=True)
RINGS = Check(subject="shared memory", run=_check_room, is_of_machine=True, is_part_of_start=True)
UDP_PORTS = Check(subject="UDP ports", run=_check_ports, is_of_machine=True)
