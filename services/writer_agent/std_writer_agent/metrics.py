"""Metrics of the writer agent."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.recording.requests import RunReport, Verdict
from std_daq.telemetry.reader_metrics import ReaderMetrics
from std_writer_agent.run import AgentRun, RunState
from std_writer_agent.run_values import ValueFate

IDLE = "idle"


class AgentMetrics:
    """Metrics of the agent.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        state = Gauge("daq_run_state", "1 for the state of the run.", ["state"], registry=registry)
        self._states: dict[str, Gauge] = {name: state.labels(name) for name in (IDLE, *RunState)}
        self._shown_state: str = IDLE
        self._requests = Counter("daq_requests", "Requests that ended, by verdict.", ["verdict"], registry=registry)
        self.queued = Gauge("daq_requests_queued", "Requests that wait for their turn.", registry=registry)
        self.sent = Counter("daq_run_images_sent", "Images or events given to the writers.", registry=registry)
        self._requested = Gauge(
            "daq_run_images_requested",
            "Images or events asked for by the run; 0 where that is open.",
            registry=registry,
        )
        self._written = Gauge("daq_run_images_written", "Images or events that the run has written.", registry=registry)
        self._lost = Gauge("daq_run_images_lost", "Images or events that the run has lost.", registry=registry)
        self._request = Gauge(
            "daq_run_request",
            "1 for the request that is carried out.",
            ["request_id", "output_file"],
            registry=registry,
        )
        self._shown_request = ""
        self.backlog = Gauge(
            "daq_run_backlog_images", "Images or events that wait for room to a writer.", registry=registry
        )
        self.ring = ReaderMetrics(registry, "writer-agent")
        self._is_connected = Gauge("daq_broker_connected", "1 while the broker is there.", registry=registry)
        self._blocked = Gauge(
            "daq_broker_blocked", "1 while the broker takes no messages.", ["reason"], registry=registry
        )
        self._waiting = Gauge("daq_broker_messages_waiting", "Messages that wait to be published.", registry=registry)
        self._why_blocked: str | None = None
        self._values = Counter(
            "daq_measured_values", "Values of other programs, by what became of them.", ["fate"], registry=registry
        )
        for fate in ValueFate:
            self._values.labels(fate)
        for verdict in Verdict:
            self._requests.labels(verdict)
        self.show(None)

    def show(self, run: AgentRun | None) -> None:
        """Set the metrics of the current run; without a run, the numbers of the last one stay."""
        shown = IDLE if run is None else run.state
        if shown != self._shown_state:
            self._states[self._shown_state].set(0)
            self._shown_state = shown
        self._states[shown].set(1)
        if run is not None:
            parts = run.parts.values()
            self._requested.set(run.plan.request.n_images or 0)
            self._written.set(sum(part.n_in_files for part in parts))
            self._lost.set(run.counter.n_missed + sum(len(part.lost_ids) for part in parts))
        self._show_request(run)

    def show_broker(self, *, is_connected: bool, why_blocked: str | None, n_waiting: int) -> None:
        """Set the metrics of the broker."""
        self._is_connected.set(is_connected)
        self._waiting.set(n_waiting)
        if why_blocked != self._why_blocked:
            self._why_blocked = why_blocked
            self._blocked.clear()
            if why_blocked is not None:
                self._blocked.labels(why_blocked).set(1)

    def _show_request(self, run: AgentRun | None) -> None:
        request_id = "" if run is None else run.plan.request_id
        if request_id == self._shown_request:
            return
        self._shown_request = request_id
        self._request.clear()
        if run is not None:
            self._request.labels(request_id, run.plan.output_file).set(1)

    def count_values(self, fate: ValueFate, n: int) -> None:
        """Count measured values with the same fate."""
        self._values.labels(fate).inc(n)

    def count_end(self, report: RunReport) -> None:
        """Count a request that has ended."""
        self._requests.labels(report.verdict).inc()
        if report.verdict is not Verdict.REFUSED:
            self._written.set(report.n_written)
            self._lost.set(report.n_lost)
