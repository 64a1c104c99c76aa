"""Metrics of exporters and builder, which are read on request."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from std_daq.tpc.building.board_frame import FrameOutcome
from std_daq.tpc.building.event_builder import EventBuilder
from std_daq.tpc.frames.frame import Frame

if TYPE_CHECKING:
    from std_event_builder.event_publisher import EventPublisher
    from std_event_builder.exporters import Exporters


class BuilderCollector(Collector):
    """The counters of exporters and builder; they stay in the registry until `close`.

    Parameters
    ----------
    registry
        Registry of the process.
    builder
        Brings the boards together.
    exporters
        The connections.
    publisher
        Decodes the events.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        builder: EventBuilder[Frame],
        exporters: "Exporters",
        publisher: "EventPublisher",
    ) -> None:
        self._registry = registry
        self._builder = builder
        self._exporters = exporters
        self._publisher = publisher
        registry.register(self)

    def close(self) -> None:
        """Remove the metrics from the registry."""
        self._registry.unregister(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        yield from self._by_exporter()
        yield from self._by_board()
        yield from self._of_events()
        items = CounterMetricFamily("daq_builder_items", "Items of frames, by what became of them.", labels=["outcome"])
        for name, n in self._publisher.item_counts.items():
            items.add_metric([name], n)
        yield items

    def _by_exporter(self) -> Iterator[Metric]:
        frames = CounterMetricFamily(
            "daq_builder_frames", "Frames received, by what became of them.", labels=["exporter", "outcome"]
        )
        faults = CounterMetricFamily(
            "daq_builder_frame_faults", "Damaged frames, by what was wrong.", labels=["exporter", "fault"]
        )
        connected = GaugeMetricFamily(
            "daq_builder_connected", "Whether there is a connection to the exporter.", labels=["exporter"]
        )
        counters = {
            name: CounterMetricFamily(name, text, labels=["exporter"])
            for name, text in (
                ("daq_builder_bytes", "Bytes received."),
                ("daq_builder_connections", "Connections made."),
                ("daq_builder_connections_given_up", "Connections whose stream could not be cut into frames any more."),
                ("daq_builder_wrong_sizes", "Frames whose size word was wrong; their header decided."),
                ("daq_builder_zero_sizes", "Size words of 0, which are skipped."),
            )
        }
        for exporter, outcomes in zip(self._exporters.all, self._builder.outcomes, strict=True):
            counts = exporter.counts
            for outcome, n in outcomes.items():
                n_damaged = counts.n_damaged if outcome is FrameOutcome.DAMAGED else 0
                frames.add_metric([exporter.address, outcome], n + n_damaged)
            for fault, n in counts.faults.items():
                faults.add_metric([exporter.address, fault.name.lower()], n)
            connected.add_metric([exporter.address], exporter.is_connected)
            values = (
                exporter.n_bytes,
                exporter.n_connections,
                exporter.n_lost,
                counts.n_wrong_sizes,
                counts.n_zero_sizes,
            )
            for family, value in zip(counters.values(), values, strict=True):
                family.add_metric([exporter.address], value)
        yield from (frames, faults, connected, *counters.values())

    def _by_board(self) -> Iterator[Metric]:
        used = CounterMetricFamily("daq_builder_board_frames", "Frames used of each board.", labels=["board"])
        for board, state in list(self._builder.states.items()):
            used.add_metric([f"{board[0]}-{board[1]}"], state.n_used)
        missing = CounterMetricFamily(
            "daq_builder_board_missing", "Events that were given out without each board.", labels=["board"]
        )
        for board, n in list(self._builder.missing.items()):
            missing.add_metric([f"{board[0]}-{board[1]}"], n)
        yield from (used, missing)

    def _of_events(self) -> Iterator[Metric]:
        builder = self._builder
        events = CounterMetricFamily("daq_builder_events", "Events given out.", labels=["status"])
        events.add_metric(["complete"], builder.n_complete)
        events.add_metric(["incomplete"], builder.n_incomplete)
        yield events
        crowded = "Events that were given out before their time, because too much waited."
        yield CounterMetricFamily("daq_builder_events_crowded", crowded, value=builder.n_crowded)
        waiting = "Events that wait for boards, or to be decoded."
        yield GaugeMetricFamily("daq_builder_events_waiting", waiting, value=builder.n_open + self._publisher.n_waiting)
        yield GaugeMetricFamily("daq_builder_held_bytes", "Size of the frames that wait.", value=builder.held_bytes)
        yield GaugeMetricFamily("daq_builder_frames_in_doubt", "Frames in doubt.", value=builder.n_doubtful)
        yield GaugeMetricFamily("daq_builder_epoch", "Number of runs before this one.", value=builder.newest_epoch)
        yield GaugeMetricFamily("daq_builder_boards", "Boards of a complete event.", value=len(builder.boards))
