"""FarmAccount: what the router and the workers of a photon simulation tell of themselves."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.client.scrape import Scrape, read_page, scrape
from std_daq.photons.config import FarmConfig
from std_daq.service.record import read_records

ROUTER, WORKER = "sim-router", "sim-worker"
_OF_ROUTER = (
    *("completed", "failed", "resent", "refused", "malformed", "moved", "given_up", "worker_deaths", "late"),
    *("strange", "undelivered", "connections_ended"),
)
_COUNTED = ("events", "photons", "hits", "failed", "busy_seconds")


@dataclass(frozen=True, slots=True)
class HitMapOfEvent:
    """The hits of the newest event that the farm has simulated.

    Parameters
    ----------
    event_id
        Number of the event; None before the first.
    age_s
        How long ago its reply came, in seconds.
    n_hits
        Number of hits.
    channels, counts, times_ns
        The channels that have hits, how many, and their mean time.
    n_events
        Events that the farm has simulated so far.
    """

    event_id: int | None = None
    age_s: float | None = None
    n_hits: int = 0
    channels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    times_ns: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    n_events: int = 0


@dataclass(frozen=True, slots=True)
class ChannelPlaces:
    """Where the channels of the detector are.

    Parameters
    ----------
    id
        It is another one if the detector is.
    positions
        In mm, shape (n, 3).
    """

    id: str
    positions: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WorkerAccount:
    """A worker of this machine.

    Parameters
    ----------
    instance
        Its name.
    is_answering, is_connected
        Whether it answers, and whether the router is connected to it.
    totals
        Events, photons, hits, failed and busy_seconds since it started.
    rates
        Of them in a second; None where not known yet. That of busy_seconds is the share of the time in the engine.
    n_in_hand
        Events that wait there or are being simulated.
    """

    instance: str
    is_answering: bool
    is_connected: bool
    totals: Mapping[str, float]
    rates: Mapping[str, float | None]
    n_in_hand: int


@dataclass(frozen=True, slots=True)
class FarmFigures:
    """What router and workers tell at one time.

    Parameters
    ----------
    has_router
        Whether the router answers.
    workers_by_state
        Workers at the router: busy, idle, stuck, refused.
    n_waiting, n_in_flight
        Requests that no worker has yet, and those that workers have.
    counts
        The router's counters, by the name of the metric without ``daq_sim_router_``.
    events_per_s
        Events simulated in a second.
    connected
        Each worker that the router knows, also of other machines: name, state, n_events, n_photons, silent_s.
    workers
        The workers of this machine.
    """

    has_router: bool = False
    workers_by_state: Mapping[str, int] = field(default_factory=dict)
    n_waiting: int = 0
    n_in_flight: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    events_per_s: float | None = None
    connected: tuple[Mapping[str, Any], ...] = ()
    workers: tuple[WorkerAccount, ...] = ()


class FarmAccount:
    """Asks the services of a farm at their endpoints; clients and workers of the farm notice nothing of it.

    Parameters
    ----------
    config
        The farm.
    clock
        Returns monotonic time in seconds.
    """

    def __init__(self, config: FarmConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._before: dict[str, tuple[float, dict[str, float]]] = {}

    def read(self) -> FarmFigures:
        """Ask router and workers."""
        records = {record.instance: record.socket for record in read_records(self._config)}
        router = scrape(records[ROUTER]) if ROUTER in records else Scrape(is_answering=False)
        page = read_page(records[ROUTER], "/workers") if router.is_answering else None
        counts = {name: router.total(f"daq_sim_router_{name}_total") for name in _OF_ROUTER}
        rates = self._rates(ROUTER, counts, is_there=router.is_answering)
        return FarmFigures(
            has_router=router.is_answering,
            workers_by_state=_whole(router.by_label("daq_sim_router_workers", "state")),
            n_waiting=int(router.total("daq_sim_router_waiting")),
            n_in_flight=int(router.total("daq_sim_router_in_flight")),
            counts=_whole(counts),
            events_per_s=rates["completed"],
            connected=tuple((page or {}).get("workers", ())),
            workers=tuple(
                self._worker(name, socket) for name, socket in records.items() if name.startswith(f"{WORKER}-")
            ),
        )

    def last_hits(self) -> HitMapOfEvent:
        """Return the hits of the newest event; empty if the router does not tell."""
        page = self._page("/last-hits")
        if page is None or page.get("event_id") is None:
            return HitMapOfEvent()
        return HitMapOfEvent(
            event_id=page["event_id"],
            age_s=page["age_s"],
            n_hits=page["n_hits"],
            channels=np.array(page["channels"], np.int64),
            counts=np.array(page["counts"], np.int64),
            times_ns=np.array(page["times_ns"], np.float64),
            n_events=page["n_events"],
        )

    def channels(self) -> ChannelPlaces | None:
        """Return the channels; None while no worker has told the router."""
        page = self._page("/channels")
        if page is None or page.get("id") is None:
            return None
        return ChannelPlaces(page["id"], np.array(page["positions"], np.float32).reshape(-1, 3))

    def _page(self, path: str) -> dict[str, Any] | None:
        record = next((one for one in read_records(self._config) if one.instance == ROUTER), None)
        return None if record is None else read_page(record.socket, path)

    def _worker(self, instance: str, socket: Path) -> WorkerAccount:
        answer = scrape(socket)
        totals = {name: answer.total(f"daq_sim_worker_{name}_total") for name in _COUNTED}
        return WorkerAccount(
            instance=instance,
            is_answering=answer.is_answering,
            is_connected=bool(answer.total("daq_sim_worker_connected")),
            totals=totals,
            rates=self._rates(instance, totals, is_there=answer.is_answering),
            n_in_hand=int(answer.total("daq_sim_worker_in_hand")),
        )

    def _rates(self, instance: str, totals: Mapping[str, float], *, is_there: bool) -> dict[str, float | None]:
        now_s = self._clock()
        before = self._before.get(instance)
        self._before[instance] = (now_s, dict(totals))
        if not is_there:
            del self._before[instance]
        if before is None or not is_there or now_s <= before[0]:
            return dict.fromkeys(totals)
        elapsed_s = now_s - before[0]
        growths = {name: value - before[1].get(name, 0.0) for name, value in totals.items()}
        # A service that was started again counts from 0.
        return {name: growth / elapsed_s if growth >= 0 else None for name, growth in growths.items()}


def _whole(values: Mapping[str, float]) -> dict[str, int]:
    return {name: int(value) for name, value in values.items()}
