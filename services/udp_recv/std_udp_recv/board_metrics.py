"""BoardCollector: the counters of a receiver of boards as Prometheus metrics, which are read on request."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from std_udp_recv.board_grouper import BoardGrouper
from std_udp_recv.board_port import BoardPort

_BY_BOARD = (
    ("daq_board_packets", "Packets used.", "received"),
    ("daq_board_packets_lost", "Packet numbers that a board has left out.", "lost"),
    ("daq_board_packets_late", "Packets that came after they had been counted as lost.", "late"),
    ("daq_board_packets_unsynchronised", "Packets of a board whose clock is not synchronised.", "unsynchronised"),
    ("daq_board_restarts", "Times that a board has begun to count anew.", "restarts"),
)
_ALL = "all"
"""Label of counts that are not divided by module: all boards send to one port."""


class BoardCollector(Collector):
    """All metrics of a receiver of boards; they stay in the registry until `close`.

    Parameters
    ----------
    registry
        Registry of the process.
    port
        The port of the boards.
    grouper
        Brings together the packets of an image.
    n_slots
        Number of slots of the FrameBuffer.
    """

    def __init__(self, registry: CollectorRegistry, port: BoardPort, grouper: BoardGrouper, n_slots: int) -> None:
        self._port = port
        self._grouper = grouper
        self._n_slots = n_slots
        self._registry = registry
        registry.register(self)

    def close(self) -> None:
        """Remove the metrics from the registry; call this before the port is closed."""
        self._registry.unregister(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        counters = dict(self._grouper.counters)
        for name, text, field in _BY_BOARD:
            family = CounterMetricFamily(name, text, labels=["source", "board"])
            for (source, board), of_board in counters.items():
                family.add_metric([str(source), str(board)], getattr(of_board, field))
            yield family
        port = self._port
        for name, text, value in (
            ("daq_udp_packets_received", "Packets that the kernel delivered.", port.n_received),
            ("daq_udp_kernel_drops", "Packets that the kernel dropped because the buffer was full.", port.kernel_drops),
            ("daq_udp_packets_lost", "Packet numbers that boards have left out.", self._grouper.n_lost),
        ):
            family = CounterMetricFamily(name, text, labels=["module"])
            family.add_metric([_ALL], value)
            yield family
        passed_on = "Packets of another product that were passed on."
        yield CounterMetricFamily("daq_board_packets_passed_on", passed_on, value=port.n_passed_on)
        rejected = CounterMetricFamily(
            "daq_udp_packets_rejected", "Packets that were refused, by the reason.", labels=["module", "reason"]
        )
        for reason, n in dict(self._grouper.refused).items():
            rejected.add_metric([_ALL, reason], n)
        yield rejected
        exposures = CounterMetricFamily(
            "daq_udp_exposures", "Exposures published, with all modules or without some.", labels=["modules"]
        )
        exposures.add_metric(["all"], self._grouper.n_complete)
        exposures.add_metric(["some"], self._grouper.n_incomplete)
        yield exposures
        waiting = "Exposures that wait for modules."
        yield GaugeMetricFamily("daq_udp_exposures_waiting", waiting, value=self._grouper.n_open)
        buffers = GaugeMetricFamily(
            "daq_udp_socket_buffer_bytes", "Receive buffer that the kernel granted.", labels=["port"]
        )
        buffers.add_metric([str(port.socket.port)], port.granted_bytes)
        yield buffers
        yield GaugeMetricFamily("daq_ring_slots", "Slots of the FrameBuffer.", value=self._n_slots)
