"""RouterPages: what a router tells who watches it: its workers, the channels, and the hits of the newest event.

The router has the newest reply anyhow, for clients that ask again. So a watcher costs the farm nothing but the time in
which its hits are counted: at most five times a second, and only when somebody asks.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from std_daq.photons.known_replies import KeptReply
from std_daq.photons.replies import Hits, read_detector_info, read_event_reply
from std_daq.photons.request_table import RequestTable
from std_daq.telemetry.documents import Document
from std_sim_router.connected_worker import ConnectedWorker
from std_sim_router.farm import Farm

WORKERS_PAGE, CHANNELS_PAGE, LAST_HITS_PAGE = "/workers", "/channels", "/last-hits"
_PERIOD_S = 0.2
_MAX_WORKERS = 1024


class RouterPages:
    """Makes the pages, in threads of the endpoint.

    Parameters
    ----------
    farm, table
        What is told of.
    clock
        Returns the time in seconds by which replies are marked.

    Attributes
    ----------
    wants_channels
        Whether somebody has asked for the channels while no worker had told them.
    """

    def __init__(self, farm: Farm, table: RequestTable, clock: Callable[[], float]) -> None:
        self.wants_channels = False
        self._farm = farm
        self._table = table
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: KeptReply | None = None
        self._counted_s = -_PERIOD_S
        self._counts: dict[str, Any] = {}
        self._described: tuple[list[bytes] | None, dict[str, Any]] = (None, {})

    def documents(self) -> Mapping[str, Document]:
        """Return all pages by their paths; only users of this machine get them."""
        return {
            WORKERS_PAGE: Document(lambda _: self.workers(), is_of_machine=True),
            CHANNELS_PAGE: Document(lambda _: self.channels(), is_of_machine=True),
            LAST_HITS_PAGE: Document(lambda _: self.last_hits(), is_of_machine=True),
        }

    def workers(self) -> dict[str, Any]:
        """Return the workers that are connected, at most 1024 of them, with what each has in hand."""
        workers = self._farm.workers
        now_s = self._clock()
        told = [_told(worker, now_s) for worker in workers[:_MAX_WORKERS]]
        return {"n_workers": len(workers), "workers": told}

    def channels(self) -> dict[str, Any]:
        """Return places in mm and types of the channels; none while no worker has told them."""
        info = self._farm.detector_info
        with self._lock:
            if info is None:
                self.wants_channels = True
                return _channels_document(None)
            if self._described[0] is not info:
                self._described = (info, _channels_document(info))
            return self._described[1]

    def last_hits(self) -> dict[str, Any]:
        """Return how many hits each channel has in the newest event that was simulated, and their mean time."""
        with self._lock:
            newest = self._table.replies.newest
            now_s = self._clock()
            if newest is not self._counted and now_s - self._counted_s >= _PERIOD_S:
                self._counts = {} if newest is None else _counted(newest)
                self._counted, self._counted_s = newest, now_s
            age_s = None if self._counted is None else max(0.0, now_s - self._counted.came_s)
            return {**self._counts, "age_s": age_s, "n_events": self._farm.n_completed}


def _told(worker: ConnectedWorker, now_s: float) -> dict[str, Any]:
    in_hand = tuple(worker.in_hand.values())  # another thread gives it requests meanwhile
    state = "refused" if worker.is_refused else "stuck" if worker.is_stuck else "busy" if in_hand else "idle"
    return {
        "name": worker.name,
        "state": state,
        "n_events": len(in_hand),
        "n_photons": sum(request.n_photons for request in in_hand),
        "silent_s": round(max(0.0, now_s - worker.heard_s), 3),
    }


def _channels_document(info: list[bytes] | None) -> dict[str, Any]:
    if info is None:
        return {"id": None, "positions": [], "types": []}
    channels = read_detector_info(info)
    positions = np.nan_to_num(channels.positions.astype(np.float64), posinf=0.0, neginf=0.0).round(1)
    digest = hashlib.sha256(b"".join(info)).hexdigest()[:16]
    return {"id": digest, "positions": positions.tolist(), "types": channels.types.tolist()}


def _counted(reply: KeptReply) -> dict[str, Any]:
    found = read_event_reply(reply.frames())
    if not isinstance(found, Hits):
        return {}
    channels, places, counts = np.unique(found.hits["channel"], return_inverse=True, return_counts=True)
    times = np.bincount(places, found.hits["time"].astype(np.float64), len(channels)) / np.maximum(counts, 1)
    return {
        "event_id": found.event_id,
        "n_hits": len(found.hits),
        "channels": channels.tolist(),
        "counts": counts.tolist(),
        "times_ns": np.nan_to_num(times, posinf=0.0, neginf=0.0).round(2).tolist(),
    }
