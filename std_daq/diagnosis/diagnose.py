"""All checks of a machine, in the order in which data flow through it."""

from collections.abc import Iterator
from pathlib import Path

from std_daq.config.platform import PlatformConfig
from std_daq.diagnosis import kernel, memory, multicast, network, processor
from std_daq.diagnosis.broker import broker
from std_daq.diagnosis.container import container
from std_daq.diagnosis.finding import Finding
from std_daq.diagnosis.machine import Machine
from std_daq.diagnosis.start import start
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.recording.config import RecordingConfig

DEFAULT_SHM = Path("/dev/shm")  # noqa: S108


def diagnose(config: PlatformConfig | None, machine: Machine | None = None) -> Iterator[Finding]:
    """Run all checks, and yield their findings.

    Parameters
    ----------
    config
        System for which the machine is used; without it, only the checks that apply to any system are run.
    machine
        Files from which the checks read the state of the machine.
    """
    machine = machine or Machine()
    images = config if isinstance(config, DetectorConfig) else None
    if config is not None:
        yield from start(config)
    detector = None if images is None else open_detector(images)
    yield from container(machine, detector)
    yield from network.cards(machine, None if detector is None else detector.packet_layout(0).max_packet_bytes)
    if images is not None:
        yield from multicast.group(machine, images.udp.place)
    wanted = kernel.DEFAULT_SOCKET_BYTES if images is None else images.udp.socket_buffer_bytes
    yield from kernel.socket_buffer(machine, wanted)
    yield from kernel.packet_queue(machine)
    yield from kernel.limits()
    yield from processor.cpus(images)
    yield from processor.governor(machine)
    ring_paths = () if config is None else config.ring_paths
    for directory in sorted({path.parent for path in ring_paths} or {DEFAULT_SHM}):
        yield from memory.shared_memory(machine, detector, directory)
    yield from memory.huge_pages(machine)
    if isinstance(config, RecordingConfig):
        yield from memory.disks(config)
    if config is not None:
        yield broker(config)
