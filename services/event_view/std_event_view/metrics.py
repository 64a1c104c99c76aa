"""Metrics of the event view."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class EventViewMetrics:
    """Metrics of the event view.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.results = Counter("daq_event_view_results", "Results of the analysis that were taken.", registry=registry)
        self.missed = Counter(
            "daq_event_view_missed", "Results that were published and did not come here.", registry=registry
        )
        self.left_out = Counter("daq_event_view_left_out", "Events that the analysis left out.", registry=registry)
        self.damaged = Counter("daq_event_view_damaged", "Messages that are no results.", registry=registry)
        self.shown = Counter(
            "daq_event_view_shown", "Events that a viewer has, by viewer.", ["viewer"], registry=registry
        )
        self.replaced = Counter(
            "daq_event_view_replaced",
            "Events that a newer one replaced before the viewer could take them, by viewer.",
            ["viewer"],
            registry=registry,
        )
        self.connected = Gauge(
            "daq_event_view_connected",
            "Whether a viewer takes what is drawn, by viewer.",
            ["viewer"],
            registry=registry,
        )
        self.age = Gauge(
            "daq_event_view_age_seconds", "Age of the newest event when its result was taken.", registry=registry
        )
        self.shown_age = Gauge(
            "daq_event_view_shown_age_seconds",
            "Age of the event that a viewer took last, when it had it, by viewer.",
            ["viewer"],
            registry=registry,
        )
        self.unrecorded = Counter(
            "daq_event_view_unrecorded",
            "Events that are not in the file, because writing it took too long.",
            registry=registry,
        )
