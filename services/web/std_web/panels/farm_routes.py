"""Routes of the panel of a photon simulation."""

from typing import Any

import numpy as np
from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, Field

from std_daq.photons.config import FarmConfig
from std_web.detector_routes import DetectorName
from std_web.detectors import Console
from std_web.panels import pace
from std_web.panels.arrays_message import encode_arrays
from std_web.panels.farm_account import ChannelPlaces, HitMapOfEvent, WorkerAccount
from std_web.panels.farm_link import FarmLink
from std_web.panels.panel_links import PanelLinks


class FarmWorker(BaseModel):
    """A worker that the router knows; it may be on another machine."""

    name: str = Field(description="Machine and process.")
    state: str = Field(description="busy, idle, stuck or refused.")
    events: int = Field(description="Events that it has in hand.")
    photons: int = Field(description="Photons of these events.")
    silent_s: float = Field(description="For how many seconds it has not been heard.")


class LocalWorker(BaseModel):
    """A worker on this machine."""

    instance: str = Field(description="Its name in the system.")
    answers: bool = Field(description="Whether it answers.")
    is_connected: bool = Field(description="Whether it is connected to the router.")
    events: int = Field(description="Events that it has simulated.")
    photons: int = Field(description="Photons that it has simulated.")
    hits: int = Field(description="Photons that were detected.")
    failed: int = Field(description="Events that could not be simulated.")
    in_hand: int = Field(description="Events that wait there, or are being simulated.")
    events_per_s: float | None = Field(description="Events in a second.")
    photons_per_s: float | None = Field(description="Photons in a second.")
    busy: float | None = Field(description="Share of the time in the engine.")


class FarmState(BaseModel):
    """How a farm is."""

    message: str = Field(description="What keeps the console from telling it; empty if nothing does.")
    answers: bool = Field(description="Whether the router runs and answers.")
    workers_by_state: dict[str, int] = Field(description="Workers at the router, by state.")
    waiting: int = Field(description="Requests that no worker has yet.")
    in_flight: int = Field(description="Requests that workers have.")
    events_per_s: float | None = Field(description="Events simulated in a second.")
    counts: dict[str, int] = Field(description="The router's counters; the page on metrics tells what each means.")
    connected: list[FarmWorker] = Field(description="The workers at the router.")
    workers: list[LocalWorker] = Field(description="The workers of this machine.")


class HitPanelView:
    """The hits of the newest event that one browser has not seen.

    Parameters
    ----------
    link
        The farm.
    """

    def __init__(self, link: FarmLink) -> None:
        self._link = link
        self._seen: HitMapOfEvent | None = None
        self._seen_number: tuple[int | None, int] | None = None
        self._channels: ChannelPlaces | None = None

    def wish(self, message: dict[str, Any]) -> None:
        """Nothing can be chosen: the browser turns and colours the map itself."""

    def newest(self) -> bytes | None:
        """Return the hits of the newest event, and the channels if they are others; None if the browser has it."""
        self._link.look()
        hits, channels = self._link.hits, self._link.channels
        if channels is None or hits is self._seen:
            return None
        self._seen = hits
        number = (hits.event_id, hits.n_events)
        if number == self._seen_number and channels is self._channels:
            return None
        self._seen_number = number
        has_new = channels is not self._channels
        self._channels = channels
        return hits_message(hits, channels, has_positions=has_new)

    def state(self) -> dict[str, Any]:
        """Return whether hits can come."""
        self._link.look()
        why = self._link.why_not()
        return {"word": "waiting" if why else "live", "message": why}


def hits_message(hits: HitMapOfEvent, channels: ChannelPlaces, *, has_positions: bool) -> bytes:
    """Return the message of the hits of an event: counts and mean times of all channels, and where they are."""
    n = len(channels.positions)
    is_known = hits.channels < n
    counts, times = np.zeros(n, np.uint32), np.full(n, np.nan, np.float32)
    counts[hits.channels[is_known]] = hits.counts[is_known]
    times[hits.channels[is_known]] = hits.times_ns[is_known]
    header = {
        "event_id": hits.event_id,
        "age_s": hits.age_s,
        "n_hits": hits.n_hits,
        "n_events": hits.n_events,
        "n_channels": n,
        "n_hit": int((counts > 0).sum()),
        "n_unknown": int(hits.counts[~is_known].sum()),
    }
    arrays: dict[str, Any] = {"counts": counts, "times": times}
    if has_positions:
        arrays["positions"] = channels.positions
    return encode_arrays(header, arrays)


def router(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/detectors/{detector}/panel/farm", tags=["panel of a photon simulation"])
    links = PanelLinks(console, FarmConfig, "farm of a photon simulation", FarmLink)

    @routes.get("", summary="State of a farm")
    def farm_state(detector: DetectorName) -> FarmState:
        """Return workers, queue and rates."""
        link = links.of(detector)
        link.look()
        figures = link.figures
        return FarmState(
            message=link.why_not(),
            answers=figures.has_router,
            workers_by_state=dict(figures.workers_by_state),
            waiting=figures.n_waiting,
            in_flight=figures.n_in_flight,
            events_per_s=figures.events_per_s,
            counts=dict(figures.counts),
            connected=[
                FarmWorker(
                    name=one["name"],
                    state=one["state"],
                    events=one["n_events"],
                    photons=one["n_photons"],
                    silent_s=one["silent_s"],
                )
                for one in figures.connected
            ],
            workers=[_local(one) for one in figures.workers],
        )

    @routes.websocket("/hits")
    async def hits(detector: DetectorName, socket: WebSocket) -> None:
        """Send the hits of the newest event, at the client's pace."""
        link = await links.of_socket(detector, socket)
        if link is not None:
            await pace.serve(socket, HitPanelView(link))

    return routes


def _local(one: WorkerAccount) -> LocalWorker:
    return LocalWorker(
        instance=one.instance,
        answers=one.is_answering,
        is_connected=one.is_connected,
        events=int(one.totals["events"]),
        photons=int(one.totals["photons"]),
        hits=int(one.totals["hits"]),
        failed=int(one.totals["failed"]),
        in_hand=one.n_in_hand,
        events_per_s=one.rates["events"],
        photons_per_s=one.rates["photons"],
        busy=one.rates["busy_seconds"],
    )
