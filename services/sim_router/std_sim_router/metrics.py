"""Metrics of the router."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from std_daq.photons.request_table import RequestTable
from std_sim_router.farm import Farm


class RouterMetrics:
    """Metrics of the router.

    Parameters
    ----------
    registry
        Registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._workers = Gauge("daq_sim_router_workers", "Workers, by state.", ["state"], registry=registry)
        self._waiting = Gauge("daq_sim_router_waiting", "Requests that no worker has yet.", registry=registry)
        self._in_flight = Gauge("daq_sim_router_in_flight", "Requests that workers have.", registry=registry)
        self._known_bytes = Gauge(
            "daq_sim_router_known_reply_bytes", "Replies that are kept for clients that ask again.", registry=registry
        )
        self._counters = {
            name: Counter(f"daq_sim_router_{name}", text, registry=registry)
            for name, text in {
                "completed": "Events that workers have simulated.",
                "failed": "Replies of workers that say that an event cannot be simulated.",
                "resent": "Requests that were known already.",
                "refused": "Requests that got NO_WORKERS.",
                "malformed": "Messages of clients that are no request.",
                "moved": "Requests that went from one worker to another.",
                "given_up": "Events that got SIM_FAILED because too many workers died with them.",
                "worker_deaths": "Workers that were gone while they had a request.",
                "late": "Replies of workers for which nobody waited.",
                "strange": "Messages of workers that are none.",
                "undelivered": "Replies to clients that had gone, or did not read.",
                "connections_ended": "Connections ended because there were too many.",
            }.items()
        }
        self._told: dict[str, int] = {}

    def update(self, farm: Farm, table: RequestTable, *, n_malformed: int, n_undelivered: int, n_ended: int) -> None:
        """Take over the figures of the router."""
        workers = farm.workers
        in_flight = sum(len(worker.in_hand) for worker in workers)
        self._waiting.set(table.n_waiting)
        self._in_flight.set(in_flight)
        self._known_bytes.set(table.replies.n_bytes)
        refused = sum(worker.is_refused for worker in workers)
        stuck = sum(worker.is_stuck for worker in workers)
        busy = sum(worker.is_busy and not worker.is_refused and not worker.is_stuck for worker in workers)
        for state, n in {
            "busy": busy, "refused": refused, "stuck": stuck, "idle": len(workers) - busy - refused - stuck,
        }.items():  # fmt: skip
            self._workers.labels(state).set(n)
        for name, value in {
            "completed": farm.n_completed,
            "failed": farm.n_failed,
            "resent": table.n_resent,
            "refused": table.n_refused,
            "malformed": n_malformed,
            "moved": farm.n_moved,
            "given_up": farm.n_poison,
            "worker_deaths": farm.n_deaths,
            "late": farm.n_late,
            "strange": farm.n_strange,
            "undelivered": n_undelivered,
            "connections_ended": n_ended,
        }.items():
            self._counters[name].inc(value - self._told.get(name, 0))
            self._told[name] = value
