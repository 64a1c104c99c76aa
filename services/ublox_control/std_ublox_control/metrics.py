"""Metrics of the control of a timing receiver."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.telescope.ubx.framing import FramerCounters
from std_ublox_control.message_hub import MessageHub

_TIME_PULSE = "TIM-TP"


class UbloxControlMetrics:
    """Metrics of the control of a timing receiver.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "daq_ublox_control_messages", "Messages that the receiver has sent.", ["identity"], registry=registry
        )
        self.skipped = Counter(
            "daq_ublox_control_skipped",
            "What has come between the messages, by what it is.",
            ["what"],
            registry=registry,
        )
        self.interruptions = Counter(
            "daq_ublox_control_interruptions", "Times that the receiver was gone or silent.", registry=registry
        )
        self.sent = Counter("daq_ublox_control_sent", "Messages that clients were sent.", registry=registry)
        self.dropped = Counter(
            "daq_ublox_control_dropped", "Messages that slow clients were not sent.", registry=registry
        )
        self.streams = Gauge("daq_ublox_control_streams", "Clients that are being sent messages.", registry=registry)
        self.is_read = Gauge("daq_ublox_control_is_read", "1 while an initialised receiver is read.", registry=registry)
        self.q_err = Gauge(
            "daq_ublox_control_q_err_picoseconds", "Quantisation error of the newest time pulse.", registry=registry
        )
        self._told: dict[str, int] = {}

    def update(self, hub: MessageHub, counters: FramerCounters, n_interruptions: int) -> None:
        """Take over the figures of the parts."""
        for identity, count in hub.counts.items():
            self._raise(identity, self.messages.labels(identity), count)
        for what in ("nmea", "rtcm", "damaged", "skipped_bytes"):
            self._raise(what, self.skipped.labels(what), getattr(counters, what))
        self._raise("interruptions", self.interruptions, n_interruptions)
        self._raise("sent", self.sent, hub.n_sent)
        self._raise("dropped", self.dropped, hub.n_dropped)
        self.streams.set(len(hub))
        self.is_read.set(hub.is_open)
        time_pulse = hub.newest(_TIME_PULSE)
        if time_pulse is not None and "qErr" in time_pulse.fields:
            self.q_err.set(time_pulse.fields["qErr"])

    def _raise(self, name: str, counter: Counter, value: int) -> None:
        counter.inc(value - self._told.get(name, 0))
        self._told[name] = value
