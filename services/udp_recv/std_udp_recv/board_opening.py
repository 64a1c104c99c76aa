"""Opening the receiver of a detector whose boards all send to one port, according to its configuration."""

from contextlib import ExitStack, closing

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import frames_address
from std_daq.imaging.detectors.interface import BoardDetector
from std_daq.imaging.reception import reception_path
from std_daq.service import ServiceContext
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.telemetry.logs import get_logger
from std_udp_recv.board_frames import BoardFrames
from std_udp_recv.board_grouper import BoardGrouper
from std_udp_recv.board_metrics import BoardCollector
from std_udp_recv.board_port import BoardPort
from std_udp_recv.board_receiver import BoardReceiver
from std_udp_recv.board_senders import BoardSenders
from std_udp_recv.frame_ring import claim_submodules, last_exposure, open_ring
from std_udp_recv.opening import ports_of_receiver
from std_udp_recv.reception import ReceptionWriter
from std_udp_recv.service import instance_of
from std_udp_recv.udp_socket import UdpSocket


def open_board_receiver(context: ServiceContext[DetectorConfig], detector: BoardDetector) -> BoardReceiver:
    """Build the parts of the receiver and put them together.

    Raises
    ------
    ConfigError
        The configuration does not fit.
    SharedMemoryError
        The ring cannot be made, or another process writes it.
    PortError
        The port is in use or not allowed.
    """
    config = context.config
    (part,) = config.receivers
    ports_of_receiver(config, detector, part)  # at least one board is on
    layout = detector.board_layout()
    boards = frozenset(board for board in range(config.n_modules) if board not in config.deactivate)
    with ExitStack() as opened:
        ring = opened.enter_context(closing(open_ring(config, detector)))
        epoch = claim_submodules(ring, range(config.n_modules))
        journal = ring.journals[part[0]]
        grouper = BoardGrouper(
            layout, boards, window=config.udp.window_frames, idle_ns=int(config.udp.idle_flush_s * 1e9)
        )
        udp_socket = UdpSocket(config.udp.place, config.start_udp_port, config.udp.socket_buffer_bytes, gro=False)
        port = opened.enter_context(closing(BoardPort(udp_socket, detector.others_to)))
        get_logger().info(
            "receiving",
            udp_ports=[udp_socket.port],
            socket_buffer_asked_bytes=config.udp.socket_buffer_bytes,
            socket_buffer_granted_bytes=udp_socket.granted_bytes,
            frame_slots=ring.n_slots,
        )
        doorbell = opened.enter_context(closing(DoorbellPublisher(frames_address(config, part))))
        metrics = opened.enter_context(closing(BoardCollector(context.registry, port, grouper, ring.n_slots)))
        receiver = BoardReceiver(
            layout=layout,
            port=port,
            senders=BoardSenders(config.udp.senders_of, layout.number.mask + 1),
            grouper=grouper,
            frames=BoardFrames(ring, boards, epoch=epoch, last=last_exposure(journal)),
            ring=ring,
            journal=journal,
            doorbell=doorbell,
            metrics=metrics,
            reception=ReceptionWriter(reception_path(config, instance_of(context.arguments, config)), n_ports=1),
            stats_period_s=config.stats_collection_period,
        )
        opened.pop_all()
    return receiver
