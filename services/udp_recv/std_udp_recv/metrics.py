"""ReceiverCollector: the counters of the compiled loops as Prometheus metrics, which are read on request."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

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
    ("daq_udp_frames_refused", "Frames that ended, and of which packets were refused.", "frames_refused"),
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
        self._registry = registry
        registry.register(self)

    def close(self) -> None:
        """Remove the metrics from the registry; call this before the ports are closed."""
        self._registry.unregister(self)

    def kernel_drops(self) -> dict[int, int]:
        """Return the number of packets that the kernel has dropped, by module."""
        drops: dict[int, int] = defaultdict(int)
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
        unused = "Frames whose exposure was already published or given up."
        yield _by_module("daq_udp_frames_late", unused, self._of_modules(self._announcer.n_unused()))
        odd = "Frames with another pulse id than those of most modules of the exposure."
        yield _by_module("daq_udp_frames_out_of_step", odd, self._of_modules(self._announcer.n_out_of_step()))
        renumbered = "Frames that were not used, because their module counts differently from the others."
        yield _by_module("daq_udp_frames_renumbered", renumbered, self._of_modules(self._announcer.n_renumbered()))
        yield self._frames_ahead()
        dropped = "Packets that the kernel dropped because the socket's buffer was full; with UDP_GRO, messages."
        yield _by_module("daq_udp_kernel_drops", dropped, self.kernel_drops())
        yield self._socket_buffers()
        yield self._gro()
        yield GaugeMetricFamily("daq_ring_slots", "Slots of the FrameBuffer.", value=self._n_slots)
        yield GaugeMetricFamily(
            "daq_udp_exposures_waiting", "Exposures that wait for modules.", value=self._announcer.n_waiting
        )
        yield self._exposures()

    def _of_modules(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Return the counts of modules, given those of submodules."""
        module_of = {port.submodule: port.module for port in self._ports}
        of_modules: dict[int, int] = defaultdict(int)
        for submodule, n in counts.items():
            of_modules[module_of.get(submodule, submodule)] += n
        return of_modules

    def _frames_ahead(self) -> Metric:
        family = GaugeMetricFamily(
            "daq_udp_frames_ahead", "By how many frames a module counts ahead of the others.", labels=["module"]
        )
        ahead = frames_ahead_of_modules(self._announcer, self._ports)
        for module in sorted({port.module for port in self._ports}):
            family.add_metric([str(module)], ahead.get(module, 0))
        return family

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


def frames_ahead_of_modules(announcer: FrameAnnouncer, ports: Sequence[PortReceiver]) -> dict[int, int]:
    """Return how many frames each module that counts differently is ahead of the others; negative: behind.

    If the halves of a module differ, the one that differs more counts.
    """
    ahead = announcer.frames_ahead()
    of_modules: dict[int, int] = {}
    for port in ports:
        if port.submodule in ahead:
            of_modules[port.module] = max(of_modules.get(port.module, 0), ahead[port.submodule], key=abs)
    return of_modules


def _by_module(name: str, text: str, counts: Mapping[int, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["module"])
    for module, n in counts.items():
        family.add_metric([str(module)], n)
    return family


def _rejected(totals: dict[int, Record]) -> Metric:
    family = CounterMetricFamily(
        "daq_udp_packets_rejected", "Packets that were refused, by the reason.", labels=["module", "reason"]
    )
    for module, counters in totals.items():
        for reason, n in zip(REASONS, counters.rejected, strict=True):
            family.add_metric([str(module), reason], int(n))
    return family
