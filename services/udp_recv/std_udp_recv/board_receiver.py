"""BoardReceiver: the service for detectors whose boards all send to one port.

Packets of boards are few and small: a module of a telescope sends a few thousand in a second, of half a kilobyte each.
So one thread in Python receives, sorts and publishes them.
"""

import time

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.detectors.board_layout import BoardLayout
from std_daq.imaging.reception import PortReception, RefusedLength
from std_daq.shm.journal import Journal
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_udp_recv.board_frames import BoardFrames
from std_udp_recv.board_grouper import BoardEvent, BoardGrouper
from std_udp_recv.board_metrics import BoardCollector
from std_udp_recv.board_packets import read_packet
from std_udp_recv.board_port import BoardPort
from std_udp_recv.board_senders import BoardSenders
from std_udp_recv.reception import ReceptionWriter

PACKETS_A_STEP = 1024
_MAX_WAIT_MS = 100
_WAIT_WHILE_OPEN_MS = 5
_CHECK_S = 0.1
_LENGTHS = 8


class BoardReceiver:
    """Receives the packets of boards into the FrameBuffer, and announces each image.

    The receiver owns all its parts: `close` closes them.

    Parameters
    ----------
    layout
        Layout of the packets.
    port
        The port.
    senders
        Decides whose packets are used.
    grouper
        Brings together the packets of an image.
    frames
        Writes the frames.
    ring, journal, doorbell
        The FrameBuffer, the journal in which images are announced, and what wakes up its readers.
    metrics
        Metrics of the receiver.
    reception
        File that tells other processes what comes on the port.
    stats_period_s
        Time between two log entries with statistics, in seconds.
    """

    def __init__(
        self,
        *,
        layout: BoardLayout,
        port: BoardPort,
        senders: BoardSenders,
        grouper: BoardGrouper,
        frames: BoardFrames,
        ring: FrameBuffer,
        journal: Journal,
        doorbell: DoorbellPublisher,
        metrics: BoardCollector,
        reception: ReceptionWriter,
        stats_period_s: float,
    ) -> None:
        self._layout = layout
        self._port = port
        self._senders = senders
        self._told_strangers: set[str] = set()
        self._grouper = grouper
        self._frames = frames
        self._ring = ring
        self._journal = journal
        self._doorbell = doorbell
        self._metrics = metrics
        self._reception = reception
        self._stats_period_s = stats_period_s
        self._log = get_logger()
        self._conditions = ConditionLog()
        self._lengths: dict[int, int] = {}
        self._told: dict[tuple[int, int], tuple[int, int]] = {}
        self._next_check_s = time.monotonic()
        self._next_stats_s = self._next_check_s + stats_period_s

    is_ready = True
    """The port is open from the beginning."""
    why_not_ready = None

    @property
    def udp_ports(self) -> list[int]:
        """Number of the UDP port."""
        return [self._port.socket.port]

    def step(self) -> None:
        """Publish the images that have come; wait at most 0.1 s for them."""
        self._port.wait(_WAIT_WHILE_OPEN_MS if self._grouper.n_open else _MAX_WAIT_MS)
        for _ in range(PACKETS_A_STEP):
            received = self._port.receive()
            if received is None:
                break
            self._take(*received)
        for event in self._grouper.poll(time.monotonic_ns()):
            self._publish(event)
        now_s = time.monotonic()
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + _CHECK_S
            self._check(now_s)

    def close(self) -> None:
        """Publish what has come, and close the port and the ring."""
        while (received := self._port.receive()) is not None:
            self._take(*received)
        for event in self._grouper.flush():
            self._publish(event)
        self._log_stats()
        self._reception.remove()
        self._metrics.close()
        self._port.close()
        self._doorbell.close()
        self._frames.close()
        del self._journal
        self._ring.close()

    def _take(self, data: bytes, address: str) -> None:
        packet = read_packet(self._layout, data, time.time_ns())
        if isinstance(packet, str):
            if packet == "other_product" and self._port.pass_on(data):
                return
            self._grouper.refused[packet] += 1
            if packet == "wrong_length" and (len(data) in self._lengths or len(self._lengths) < _LENGTHS):
                self._lengths[len(data)] = self._lengths.get(len(data), 0) + 1
            return
        now_ns = time.monotonic_ns()
        admitted, is_new = self._senders.admit(packet, address, now_ns)
        if is_new:
            self._grouper.begin_anew(packet.source, packet.board)
        for one in admitted:
            for event in self._grouper.feed(one, now_ns):
                self._publish(event)

    def _publish(self, event: BoardEvent) -> None:
        raw = self._frames.write(event)
        self._journal.append(raw)
        self._doorbell.ring(raw)
        if event.n_lost_before or None in event.packets:
            first = next(packet for packet in event.packets if packet is not None)
            self._conditions.warning(
                "packets_of_boards_lost",
                image_id=int(raw["id"][0]),
                source=first.source,
                images_lost_before=event.n_lost_before,
                missing_boards=[board for board, packet in enumerate(event.packets) if packet is None],
            )

    def _check(self, now_s: float) -> None:
        if not self._ring.is_live:
            raise SharedMemoryError(
                f"{self._ring.segment.path} was removed while this receiver was running; start the receiver again"
            )
        self._tell_boards()
        self._grouper.refused["foreign_sender"] = self._senders.n_refused
        self._tell_strangers()
        n_faults = self._grouper.refused.total() + self._grouper.n_incomplete
        self._reception.update(n_faults, [self._port.n_received], lambda: [self._describe()], now_s)
        if now_s >= self._next_stats_s:
            self._next_stats_s = now_s + self._stats_period_s
            self._log_stats()

    def _tell_boards(self) -> None:
        """Log boards that have restarted or are not synchronised, one a second of each kind, however many there are."""
        restarted: list[tuple[int, int]] = []
        unsynchronised: list[tuple[int, int]] = []
        told, self._told = self._told, {}
        for key, counters in self._grouper.counters.items():
            before = told.get(key, (0, 0))
            if counters.restarts > before[0]:
                restarted.append(key)
            if counters.unsynchronised and not before[1]:
                unsynchronised.append(key)
            self._told[key] = counters.restarts, counters.unsynchronised
        if restarted:
            source, board = restarted[0]
            self._conditions.warning(
                "board_restarted",
                source=source,
                board=board,
                restarts=self._grouper.counters[restarted[0]].restarts,
                others=len(restarted) - 1,
            )
        if unsynchronised:
            source, board = unsynchronised[0]
            self._conditions.warning(
                "board_not_synchronised",
                source=source,
                board=board,
                others=len(unsynchronised) - 1,
                remedy="check its White Rabbit link",
            )

    def _tell_strangers(self) -> None:
        """Log each address from which packets are refused, once."""
        for address in self._senders.strangers.keys() - self._told_strangers:
            self._told_strangers.add(address)
            self._log.warning(
                "foreign_sender",
                udp_port=self._port.socket.port,
                address=address,
                packets=self._senders.strangers[address],
                remedy="stop what sends there; if it is a board, name the addresses of all boards in udp.senders",
            )

    def _describe(self) -> PortReception:
        grouper, layout = self._grouper, self._layout
        return PortReception(
            udp_port=self._port.socket.port,
            module=0,
            received=self._port.n_received,
            rejected=dict(grouper.refused),
            kernel_drops=self._port.kernel_drops,
            frames_complete=grouper.n_complete,
            frames_incomplete=grouper.n_incomplete,
            expected_length=str(layout.packet_bytes),
            refused_lengths=tuple(
                RefusedLength(n_bytes=n_bytes, n_packets=n) for n_bytes, n in sorted(self._lengths.items())
            ),
            packets_per_frame=layout.n_boards,
        )

    def _log_stats(self) -> None:
        grouper = self._grouper
        self._log.info(
            "statistics",
            received=self._port.n_received,
            lost=grouper.n_lost,
            kernel_drops=self._port.kernel_drops,
            images=grouper.n_complete + grouper.n_incomplete,
            boards=len(grouper.counters),
            passed_on=self._port.n_passed_on,
            rejected=dict(grouper.refused),
        )
