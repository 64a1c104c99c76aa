"""All checks of a machine, in the order in which data flow through it."""

from collections.abc import Iterator
from pathlib import Path

from std_daq.diagnosis import kernel, memory, network, processor
from std_daq.diagnosis.broker import broker
from std_daq.diagnosis.container import container
from std_daq.diagnosis.finding import Finding
from std_daq.diagnosis.machine import Machine
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.interface import Detector

DEFAULT_SHM = Path("/dev/shm")  # noqa: S108


def diagnose(detector: Detector | None, machine: Machine | None = None) -> Iterator[Finding]:
    """Run all checks, and yield their findings.

    Parameters
    ----------
    detector
        Detector for which the machine is used; without it, only the checks that apply to any detector are run.
    machine
        Files from which the checks read the state of the machine.
    """
    machine = machine or Machine()
    config: DetectorConfig | None = None if detector is None else detector.config
    yield from container(machine, detector)
    yield from network.cards(machine, None if detector is None else detector.packet_layout(0).max_packet_bytes)
    if config is not None:
        yield network.address(config.udp.address)
    wanted = kernel.DEFAULT_SOCKET_BYTES if config is None else config.udp.socket_buffer_bytes
    yield from kernel.socket_buffer(machine, wanted)
    yield from kernel.packet_queue(machine)
    yield from kernel.limits()
    yield from processor.cpus(config)
    yield from processor.governor(machine)
    yield from memory.shared_memory(
        machine, detector, DEFAULT_SHM if config is None else config.shared_memory.directory
    )
    yield from memory.huge_pages(machine)
    if config is not None:
        yield from memory.disks(config)
        yield broker(config)
