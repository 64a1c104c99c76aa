"""Metrics of the live view."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_live_view.frame_hub import FrameHub
from std_live_view.sources.source import Source, SourceState
from std_live_view.streams import Streams


class LiveViewMetrics:
    """Metrics of the live view.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.frames = Counter(
            "daq_live_view_frames", "Images that have come from sources and uploads.", registry=registry
        )
        self.age = Gauge(
            "daq_live_view_age_seconds", "Age of the newest image.", ["module", "product"], registry=registry
        )
        self.sent = Counter("daq_live_view_sent", "Images handed to clients.", registry=registry)
        self.left_out = Counter(
            "daq_live_view_left_out", "Images that clients were not sent, by reason.", ["reason"], registry=registry
        )
        self.refused = Counter(
            "daq_live_view_refused", "Pieces of a source, and uploads, that are no image.", registry=registry
        )
        self.streams = Gauge("daq_live_view_streams", "Clients that are being sent images.", registry=registry)
        self._told: dict[str, int] = {}

    def update(
        self, hub: FrameHub, streams: Streams, sources: Iterable[Source], uploads: SourceState, now_ns: int
    ) -> None:
        """Take over the figures of the parts."""
        selections = [stream.selection for stream in streams]
        self._raise("frames", self.frames, hub.n_frames)
        self._raise("sent", self.sent, streams.n_sent + sum(one.n_sent for one in selections))
        by_interval = streams.n_by_interval + sum(one.n_by_interval for one in selections)
        by_slow_client = streams.n_by_slow_client + sum(one.n_by_slow_client for one in selections)
        self._raise("interval", self.left_out.labels("interval"), by_interval)
        self._raise("slow_client", self.left_out.labels("slow_client"), by_slow_client)
        self._raise("unwanted", self.left_out.labels("unwanted_module"), hub.n_unwanted)
        self._raise("no_room", self.left_out.labels("too_many_products"), hub.n_without_room)
        for source in sources:
            self._raise(f"refused {id(source)}", self.refused, source.state.n_refused)
        self._raise("uploads", self.refused, uploads.n_refused)
        self.streams.set(len(streams))
        for (key, _), counters in hub.counters.items():
            if counters.newest is not None:
                self.age.labels(str(key.module_id), key.product).set((now_ns - counters.newest.server_ns) / 1e9)

    def _raise(self, name: str, counter: Counter, value: int) -> None:
        counter.inc(max(0, value - self._told.get(name, 0)))
        self._told[name] = value
