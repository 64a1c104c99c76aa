"""Receiver: the service, with one receiving thread for each port, and a main thread that announces exposures."""

import heapq
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.frame_numbers import frames_ahead_text
from std_daq.imaging.image_faults import describe_status
from std_daq.shm.journal import Journal
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.ended_signal import EndedSignal
from std_udp_recv.metrics import ReceiverCollector, frames_ahead_of_modules
from std_udp_recv.port import total
from std_udp_recv.port_receiver import EndedFrame, PortReceiver
from std_udp_recv.reception import ReceptionFile
from std_udp_recv.records import REASONS
from std_udp_recv.same_packets import SamePackets

_MAX_WAIT_MS = 100
_CHECK_S = 0.1


class Receiver:
    """Receives the packets of some modules into the FrameBuffer, and announces each exposure.

    The receiver owns all its parts: `close` closes them.

    Parameters
    ----------
    ring
        FrameBuffer for the frames.
    journal
        Journal of the ring in which this receiver publishes exposures.
    doorbell
        Wakes up the readers of the journal.
    ports
        Receivers of the ports, each with a thread, which is started here.
    signal
        Signal that the ports give when frames have ended.
    announcer
        Brings together the frames of an exposure.
    same_packets
        For each port, by its index, what notices that of each frame the same packets come.
    metrics
        Metrics of the receiver.
    reception
        File that tells other processes what comes on the ports.
    stats_period_s
        Time between two log entries with statistics, in seconds.
    """

    def __init__(
        self,
        *,
        ring: FrameBuffer,
        journal: Journal,
        doorbell: DoorbellPublisher,
        ports: Sequence[PortReceiver],
        signal: EndedSignal,
        announcer: FrameAnnouncer,
        same_packets: Mapping[int, SamePackets],
        metrics: ReceiverCollector,
        reception: ReceptionFile,
        stats_period_s: float,
    ) -> None:
        self._ring = ring
        self._journal = journal
        self._doorbell = doorbell
        self._ports = list(ports)
        self._submodule_of = {port.index: port.submodule for port in ports}
        self._same_packets = dict(same_packets)
        self._signal = signal
        self._announcer = announcer
        self._metrics = metrics
        self._reception = reception
        self._stats_period_s = stats_period_s
        self._log = get_logger()
        self._conditions = ConditionLog()
        for port in self._ports:
            port.start()
        self._renumbered: set[int] = set()
        self._strangers: set[tuple[int, str]] = set()
        self._next_check_s = time.monotonic()
        self._next_stats_s = self._next_check_s + stats_period_s

    @property
    def is_ready(self) -> bool:
        """Whether the service is receiving on all ports."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """Ports on which the service is not receiving; None if it is receiving on all."""
        if not self._ports:
            return "no UDP port is open"
        idle = [str(port.socket.port) for port in self._ports if not port.is_running]
        return f"not receiving on UDP ports {', '.join(idle)}" if idle else None

    @property
    def udp_ports(self) -> list[int]:
        """Numbers of the UDP ports, in order."""
        return [port.socket.port for port in self._ports]

    def step(self) -> None:
        """Announce the exposures that have come; wait at most 0.1 s for them."""
        self._signal.wait(_MAX_WAIT_MS // 10 if self._announcer.n_waiting else _MAX_WAIT_MS)
        has_news = self._announce_ended()
        for raw in self._announcer.poll(time.monotonic_ns()):
            self._publish(raw)
        now_s = time.monotonic()
        if not has_news or now_s >= self._next_check_s:
            self._next_check_s = now_s + _CHECK_S
            self._check(now_s)

    def close(self) -> None:
        """End all frames, announce them, and close the ports and the ring, within 0.2 s."""
        for port in self._ports:
            port.request_stop()
        for port in self._ports:
            port.join()
        self._announce_ended()
        for raw in self._announcer.flush():
            self._publish(raw)
        self._log_stats()
        self._reception.remove()
        self._metrics.close()
        self._doorbell.close()
        del self._journal
        for port in self._ports:
            port.close()
        self._ports.clear()
        self._signal.close()
        self._ring.close()

    def _check(self, now_s: float) -> None:
        """Check the ports, the ring and the frame numbers, and log statistics when they are due."""
        self._check_numbers()
        for port in self._ports:
            port.check()
            self._tell_strangers(port)
        if not self._ring.is_live:
            raise SharedMemoryError(
                f"{self._ring.segment.path} was removed while this receiver was running; start the receiver again"
            )
        self._reception.update(self._ports, now_s)
        if now_s >= self._next_stats_s:
            self._next_stats_s = now_s + self._stats_period_s
            self._log_stats()

    def _check_numbers(self) -> None:
        """Log which modules have begun or ended to count differently from the others."""
        ahead = frames_ahead_of_modules(self._announcer, self._ports)
        for module in sorted(ahead.keys() - self._renumbered):
            self._log.warning("module_renumbered", module=module, meaning=frames_ahead_text(module, ahead[module]))
        for module in sorted(self._renumbered - ahead.keys()):
            self._log.info("module_counts_like_the_others", module=module)
        self._renumbered = set(ahead)

    def _tell_strangers(self, port: PortReceiver) -> None:
        """Log each address from which packets are refused, once."""
        for address, n_packets in port.strangers().items():
            if (port.index, address) not in self._strangers:
                self._strangers.add((port.index, address))
                self._log.warning(
                    "foreign_sender",
                    udp_port=port.socket.port,
                    module=port.module,
                    address=address,
                    packets=n_packets,
                    believed=port.believed(),
                    remedy="stop what sends there; if it is the detector, name its addresses in udp.senders",
                )

    def _announce_ended(self) -> bool:
        """Announce the frames that have ended on all ports, and return whether there were any."""
        # All queues are read before any frame is fed. Otherwise a frame that waits in a queue could be given up,
        # because feeding the frames of other ports took long.
        ended = [(port.index, port.read_ended()) for port in self._ports]
        now_ns = time.monotonic_ns()
        has_news = False
        for port, frame in in_order_of_arrival(ended):
            has_news = True
            self._watch_packets(port, frame)
            for raw in self._announcer.feed(port, frame, now_ns):
                self._publish(raw)
        return has_news

    def _watch_packets(self, port: int, frame: EndedFrame) -> None:
        """Tell the user if of each frame the same packets come, which is a setting of the detector."""
        same_packets = self._same_packets[port]
        if not frame.n_missing_packets:
            same_packets.feed_complete()
            return
        place = self._ring.find(frame.key, self._submodule_of[port], frame.first_arrival_ns, frame.first_arrival_ns)
        if place is not None and same_packets.feed(self._ring.headers[place[0]]["received"]):
            self._log.warning("frames_lack_the_same_packets", why=same_packets.describe())

    def _publish(self, raw: NDArray[Any]) -> None:
        self._journal.append(raw)
        self._doorbell.ring(raw)
        if raw["status"][0]:
            self._conditions.warning(
                "exposure_not_good",
                image_id=int(raw["id"][0]),
                why=describe_status(int(raw["status"][0])),
                missing_modules=int(raw["n_missing_modules"][0]),
            )

    def _log_stats(self) -> None:
        counters = total(port.counters for port in self._ports)
        self._log.info(
            "statistics",
            received=int(counters.received),
            messages=int(counters.messages),
            lost=int(counters.lost),
            kernel_drops=sum(self._metrics.kernel_drops().values()),
            frames=int(counters.frames_complete + counters.frames_incomplete),
            rejected={reason: int(n) for reason, n in zip(REASONS, counters.rejected, strict=True) if n},
        )


def in_order_of_arrival(ended: Iterable[tuple[int, list[EndedFrame]]]) -> Iterator[tuple[int, EndedFrame]]:
    """Yield the frames of all ports in the order of their arrival, each with its port.

    The frames of each port stay in order. The frames of different ports are merged, because many frames of one port
    before those of the next would fill the window, and exposures would be given up although all their frames are here.
    """
    pieces = [[(port, frame) for frame in frames] for port, frames in ended if frames]
    return iter(pieces[0]) if len(pieces) == 1 else heapq.merge(*pieces, key=lambda piece: piece[1].last_arrival_ns)
