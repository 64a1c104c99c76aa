"""Metrics of the live view."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_live_view.frame_hub import FrameHub
from std_live_view.live_frame import FrameKey
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
        self._refused_of: dict[int, tuple[SourceState, int]] = {}
        self._shown: set[FrameKey] = set()

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
        self._count_refused([*(source.state for source in sources), uploads])
        self.streams.set(len(streams))
        self._show_ages(hub, now_ns)

    def _count_refused(self, states: list[SourceState]) -> None:
        # Those that InitHpIo has just closed count for the last time.
        before = self._refused_of
        self._refused_of = {id(state): (state, state.n_refused) for state in states}
        for state, n_told in before.values():
            self.refused.inc(state.n_refused - n_told)
        self.refused.inc(sum(state.n_refused for state in states if id(state) not in before))

    def _show_ages(self, hub: FrameHub, now_ns: int) -> None:
        newest_ns: dict[FrameKey, int] = {}
        for (key, _), counters in hub.counters.items():
            if counters.newest is not None:
                newest_ns[key] = max(newest_ns.get(key, 0), counters.newest.server_ns)
        # A module that is shown no more would keep its last age for ever, and no alarm would ring.
        for key in self._shown - newest_ns.keys():
            self.age.remove(str(key.module_id), key.product)
        self._shown = set(newest_ns)
        for key, at_ns in newest_ns.items():
            self.age.labels(str(key.module_id), key.product).set((now_ns - at_ns) / 1e9)

    def _raise(self, name: str, counter: Counter, value: int) -> None:
        counter.inc(max(0, value - self._told.get(name, 0)))
        self._told[name] = value
