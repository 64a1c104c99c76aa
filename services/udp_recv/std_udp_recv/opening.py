"""Opening the ports of a receiver, according to the configuration."""

from collections.abc import Mapping
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig, ModuleRange
from std_daq.imaging.detectors.interface import Detector
from std_daq.imaging.start_checks import ports_per_submodule
from std_daq.telemetry.logs import get_logger
from std_udp_recv.port import make_port
from std_udp_recv.port_receiver import PortReceiver, compile_receiver
from std_udp_recv.service import active_modules
from std_udp_recv.udp_socket import UdpSocket


def ports_of_receiver(config: DetectorConfig, detector: Detector, part: ModuleRange) -> dict[int, int]:
    """Return the submodule of each port of a receiver; raises ConfigError if all its modules are deactivated."""
    submodules = frozenset(config.submodules(active_modules(config, part)))
    submodule_of_port = {port: detector.submodule_of_port(port) for port in range(detector.n_ports)}
    return {port: submodule for port, submodule in submodule_of_port.items() if submodule in submodules}


def open_ports(
    config: DetectorConfig,
    detector: Detector,
    ring: FrameBuffer,
    submodule_of_port: Mapping[int, int],
    *,
    wake_fd: int,
    epoch: int,
    published: NDArray[np.int64],
) -> list[PortReceiver]:
    """Open the sockets of some ports, prepare a thread for each, and compile the receive loop.

    Parameters
    ----------
    config, detector
        Configuration of the detector, and the detector.
    ring
        FrameBuffer for the frames.
    submodule_of_port
        Submodule whose frames arrive on each port.
    wake_fd
        Descriptor of an eventfd that is written when frames have ended.
    epoch
        Epoch of the first frames.
    published
        See `Port`.

    Raises
    ------
    PortError
        A port is in use or not allowed.
    """
    udp = config.udp
    log = get_logger()
    receivers: list[PortReceiver] = []
    with ExitStack() as opened:
        for port, submodule in submodule_of_port.items():
            senders = udp.senders_of(submodule // udp.numinterfaces)
            state = make_port(
                detector.packet_layout(submodule),
                ring,
                submodule,
                window_frames=udp.window_frames,
                key_step=ports_per_submodule(detector) * udp.numdst,
                epoch=epoch,
                published=published,
                senders=senders,
            )
            if not receivers:
                compile_receiver(state)
            udp_socket = UdpSocket(udp.place, config.start_udp_port + port, udp.socket_buffer_bytes, gro=udp.gro)
            receiver = PortReceiver(
                state,
                port,
                submodule // udp.numinterfaces,
                udp_socket,
                wake_fd=wake_fd,
                idle_flush_s=udp.idle_flush_s,
                latency_budget_us=udp.latency_budget_us,
                cpu=udp.cpus[port % len(udp.cpus)] if udp.cpus else None,
                senders=senders,
            )
            receivers.append(opened.enter_context(closing(receiver)))
        udp_ports = [receiver.socket.port for receiver in receivers]
        log.info(
            "receiving",
            udp_ports=udp_ports if len(udp_ports) <= 2 else f"{udp_ports[0]} to {udp_ports[-1]}",
            socket_buffer_asked_bytes=udp.socket_buffer_bytes,
            socket_buffer_granted_bytes=min(receiver.socket.granted_bytes for receiver in receivers),
            frame_slots=ring.n_slots,
            gro=all(receiver.socket.is_gro for receiver in receivers),
        )
        opened.pop_all()
    return receivers
