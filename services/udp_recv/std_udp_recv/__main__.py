"""The command ``std-udp-recv``."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from std_daq.imaging.config.model import DetectorConfig
from std_daq.service import Service, ServiceContext, run_service
from std_udp_recv.service import SERVICE, instance_of, module_range


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service, and return its exit code."""
    return run_service(SERVICE, argv, start)


def start(context: ServiceContext[DetectorConfig]) -> Service:
    """Build the parts of the service and put them together."""
    from std_daq.imaging.config.paths import frames_address
    from std_daq.imaging.detectors.interface import is_board_detector
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.reception import reception_path
    from std_daq.streams.doorbell import DoorbellPublisher
    from std_udp_recv.announcer import FrameAnnouncer
    from std_udp_recv.board_opening import open_board_receiver
    from std_udp_recv.ended_signal import EndedSignal
    from std_udp_recv.frame_ring import claim_submodules, last_exposure, max_waiting_exposures, open_ring
    from std_udp_recv.metrics import ReceiverCollector
    from std_udp_recv.opening import open_ports, ports_of_receiver
    from std_udp_recv.receiver import Receiver
    from std_udp_recv.reception import ReceptionFile
    from std_udp_recv.same_packets import same_packets_of

    config = context.config
    part = module_range(context.arguments, config)
    detector = open_detector(config)
    if is_board_detector(detector):
        return open_board_receiver(context, detector)
    submodule_of_port = ports_of_receiver(config, detector, part)
    with ExitStack() as opened:
        ring = opened.enter_context(closing(open_ring(config, detector)))
        epoch = claim_submodules(ring, config.submodules(part.modules))
        journal = ring.journals[part[0]]
        refusals: dict[int, Callable[[int, int], bool]] = {}
        announcer = FrameAnnouncer(
            submodule_of_port,
            window=max_waiting_exposures(config, ring),
            timeout_ns=int(config.udp.module_timeout_s * 1e9),
            last=last_exposure(journal),
            has_refused=lambda port, *arrivals: refusals[port](*arrivals),
            clock=time.time_ns,
            frame_step=config.udp.numdst,
        )
        signal = opened.enter_context(closing(EndedSignal()))
        ports = open_ports(
            config,
            detector,
            ring,
            submodule_of_port,
            wake_fd=signal.fileno,
            epoch=epoch,
            published=announcer.published,
        )
        for port in ports:
            opened.enter_context(closing(port))
        refusals |= {port.index: port.has_refused for port in ports}
        layouts = {port: detector.packet_layout(submodule) for port, submodule in submodule_of_port.items()}
        same_packets = {
            port.index: same_packets_of(layouts[port.index], port.socket.port, port.module) for port in ports
        }
        doorbell = opened.enter_context(closing(DoorbellPublisher(frames_address(config, part))))
        metrics = opened.enter_context(closing(ReceiverCollector(context.registry, ports, announcer, ring.n_slots)))
        receiver = Receiver(
            ring=ring,
            journal=journal,
            doorbell=doorbell,
            ports=ports,
            signal=signal,
            announcer=announcer,
            same_packets=same_packets,
            metrics=metrics,
            reception=ReceptionFile(
                reception_path(config, instance_of(context.arguments, config)), layouts, same_packets
            ),
            stats_period_s=config.stats_collection_period,
        )
        opened.pop_all()
    return receiver


if __name__ == "__main__":
    sys.exit(main())
