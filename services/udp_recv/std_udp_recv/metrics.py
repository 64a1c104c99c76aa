"""ReceiverCollector: the counters of the compiled loops as Prometheus metrics, which are read on request."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.port import total
from std_udp_recv.port_receiver import PortReceiver
from std_udp_recv.records import REASONS, Record

_COUNTERS = (
    ("daq_udp_packets_received", "Packets that the kernel delivered.", "received"),
    ("daq_udp_messages_received", "Messages from the kernel, each with one packet or several.", "messages"),
    ("daq_udp_packets_placed", "Packets whose pixels are in the FrameBuffer.", "placed"),
    ("daq_udp_packets_displaced", "Placed packets that needed a second copy.", "displaced"),
    ("daq_udp_packets_lost", "Packets that were missing when their frame ended.", "lost"),
    ("daq_udp_frames_complete", "Frames that ended with all packets.", "frames_complete"),
    ("daq_udp_frames_incomplete", "Frames that ended with missing packets.", "frames_incomplete"),
    ("daq_udp_frames_unannounced", "Frames not announced, because the queue was full.", "frames_unannounced"),
    ("daq_udp_detector_restarts", "Jumps of the frame number, back or far ahead.", "restarts"),
)


class ReceiverCollector(Collector):
    """All metrics of one receiver; they stay in the registry until `close`.

    Parameters
    ----------
    registry
        Registry of the process.
    ports
        Ports of the receiver.
    announcer
        Synchronises the frames of the ports.
    n_slots
        Number of slots of the FrameBuffer.
    """

    def __init__(
        self, registry: CollectorRegistry, ports: Sequence[PortReceiver], announcer: FrameAnnouncer, n_slots: int
    ) -> None:
        self._ports = ports
        self._announcer = announcer
        self._n_slots = n_slots
        self._lock = threading.Lock()
        self._registry = registry
        registry.register(self)

    def close(self) -> None:
        """Remove the metrics from the registry; call this before the ports are closed."""
        self._registry.unregister(self)

    def kernel_drops(self) -> dict[int, int]:
        """Return the number of packets that the kernel has dropped, by module."""
        drops: dict[int, int] = defaultdict(int)
        with self._lock:
            for port in self._ports:
                drops[port.module] += port.kernel_drops()
        return drops

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        by_module: dict[int, list[Record]] = defaultdict(list)
        for port in self._ports:
            by_module[port.module].append(port.counters)
        totals = {module: total(counters) for module, counters in by_module.items()}
        for name, text, counter in _COUNTERS:
            family = CounterMetricFamily(name, text, labels=["module"])
            for module, counters in totals.items():
                family.add_metric([str(module)], int(counters[counter]))
            yield family
        yield _rejected(totals)
        unused = CounterMetricFamily(
            "daq_udp_frames_late", "Frames whose exposure was already published or given up.", labels=["module"]
        )
        for module, n in self._announcer.n_unused().items():
            unused.add_metric([str(module)], n)
        yield unused
        dropped = CounterMetricFamily(
            "daq_udp_kernel_drops",
            "Packets that the kernel dropped because the socket's buffer was full; with UDP_GRO, messages.",
            labels=["module"],
        )
        for module, n in self.kernel_drops().items():
            dropped.add_metric([str(module)], n)
        yield dropped
        yield self._socket_buffers()
        yield self._gro()
        yield GaugeMetricFamily("daq_ring_slots", "Slots of the FrameBuffer.", value=self._n_slots)
        yield GaugeMetricFamily(
            "daq_udp_exposures_waiting", "Exposures that wait for modules.", value=self._announcer.n_waiting
        )
        yield self._exposures()

    def _socket_buffers(self) -> Metric:
        family = GaugeMetricFamily(
            "daq_udp_socket_buffer_bytes", "Receive buffer that the kernel granted.", labels=["port"]
        )
        for port in self._ports:
            family.add_metric([str(port.socket.port)], port.socket.granted_bytes)
        return family

    def _gro(self) -> Metric:
        family = GaugeMetricFamily(
            "daq_udp_gro", "Whether the kernel may deliver several packets as one message.", labels=["port"]
        )
        for port in self._ports:
            family.add_metric([str(port.socket.port)], port.socket.is_gro)
        return family

    def _exposures(self) -> Metric:
        counters = self._announcer.counters
        family = CounterMetricFamily(
            "daq_udp_exposures", "Exposures published, with all modules or without some.", labels=["modules"]
        )
        family.add_metric(["all"], counters.complete)
        family.add_metric(["some"], counters.incomplete)
        return family


def _rejected(totals: dict[int, Record]) -> Metric:
    family = CounterMetricFamily(
        "daq_udp_packets_rejected", "Packets that were refused, by the reason.", labels=["module", "reason"]
    )
    for module, counters in totals.items():
        for reason, n in zip(REASONS, counters.rejected, strict=True):
            family.add_metric([str(module), reason], int(n))
    return family
