"""Routes of the panel of a chamber."""

import time

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, Field

from std_daq.tpc.config import TpcConfig
from std_web.detector_routes import DetectorName
from std_web.detectors import Console
from std_web.guard import needs_token
from std_web.panels import pace
from std_web.panels.chamber_account import BoardAccount, ChamberFigures, ExporterAccount
from std_web.panels.chamber_link import ChamberLink
from std_web.panels.chamber_views import EventPanelView, HistogramPanelView
from std_web.panels.panel_links import PanelLinks

_NS = 1e9


class ExporterDocument(BaseModel):
    """What came from an exporter."""

    address: str = Field(description="Its address.")
    is_connected: bool = Field(description="Whether there is a connection.")
    bytes: int = Field(description="Bytes that came.")
    bytes_per_s: float | None = Field(description="Bytes in a second.")
    frames: dict[str, int] = Field(description="Frames, by what became of them.")
    faults: dict[str, int] = Field(description="Damaged frames, by what was wrong.")


class BoardDocument(BaseModel):
    """A board."""

    cobo: int = Field(description="Number of the CoBo.")
    asad: int = Field(description="Number of the AsAd on it.")
    frames: int = Field(description="Its frames that were used.")
    missing: int = Field(description="Events that were given out without it.")
    rate_hz: float | None = Field(description="Its frames in a second.")
    noise: float | None = Field(description="Noise of its channels, in ADC units; null where it is not known.")
    channels: int | None = Field(description="Channels that are connected; null where no map tells.")
    silent: int | None = Field(description="Connected channels that no event looked at had a signal or noise of.")


class BuilderDocument(BaseModel):
    """The account of the event builder."""

    answers: bool = Field(description="Whether it runs and answers.")
    frames: dict[str, int] = Field(description="Frames of all exporters, by what became of them.")
    events: dict[str, int] = Field(description="Events given out, complete and incomplete.")
    events_per_s: float | None = Field(description="Events given out in a second.")
    crowded: int = Field(description="Events given out before their time, because too much waited.")
    waiting: int = Field(description="Events that wait for boards, or to be decoded.")
    held_bytes: int = Field(description="Size of the frames that wait.")
    in_doubt: int = Field(description="Frames of which it is not known yet to which run they belong.")
    epoch: int = Field(description="Number of runs before this one.")


class AnalysisDocument(BaseModel):
    """The account of the analysis."""

    answers: bool = Field(description="Whether it runs and answers.")
    events: int = Field(description="Events analysed.")
    left_out: dict[str, int] = Field(description="Events that were not analysed, by the reason.")
    estimates: int = Field(description="Estimates.")
    waiting: int = Field(description="Events that wait.")
    workers: int = Field(description="Processes that take events.")
    revision: int = Field(description="How often the parameters have changed.")


class ResultsDocument(BaseModel):
    """What the console has got of the analysis since it started."""

    results: int = Field(description="Results that came.")
    missed: int = Field(description="Results that were published and did not come.")
    left_out: int = Field(description="Events that the analysis left out.")
    newest_id: int | None = Field(description="Id of the newest event.")
    newest_age_s: float | None = Field(description="How long ago it was built, in seconds.")


class ChamberState(BaseModel):
    """How a chamber's events are built and analysed."""

    message: str = Field(description="What keeps the console from telling it; empty if nothing does.")
    builder: BuilderDocument = Field(description="The event builder.")
    exporters: list[ExporterDocument] = Field(description="The exporters.")
    boards: list[BoardDocument] = Field(description="The boards.")
    looked_at: int = Field(description="Events whose samples were looked at for noise and silent channels.")
    analysis: AnalysisDocument = Field(description="The analysis.")
    results: ResultsDocument = Field(description="What the console has got.")


class ResetDone(BaseModel):
    """The histograms have begun anew."""

    message: str = Field(description="What was done.")


def router(console: Console) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/detectors/{detector}/panel/chamber", tags=["panel of a chamber"])
    links = PanelLinks(console, TpcConfig, "chamber", ChamberLink)

    @routes.get("", summary="State of a chamber's events")
    def chamber_state(detector: DetectorName) -> ChamberState:
        """Return the accounts of builder and analysis, exporters, and boards."""
        link = links.of(detector)
        link.look()
        return _state(link)

    @routes.post("/histograms/reset", summary="Begin the histograms anew", dependencies=[needs_token])
    def reset_histograms(detector: DetectorName) -> ResetDone:
        """Begin the console's histograms of the newest run, and of the last minutes, again from 0."""
        links.of(detector).results.reset()
        return ResetDone(message="The histograms begin anew.")

    @routes.websocket("/events")
    async def events(detector: DetectorName, socket: WebSocket) -> None:
        """Send the newest event, at the client's pace."""
        link = await links.of_socket(detector, socket)
        if link is not None:
            await pace.serve(socket, EventPanelView(link))

    @routes.websocket("/histograms")
    async def histograms(detector: DetectorName, socket: WebSocket) -> None:
        """Send the histograms when they have changed, at the client's pace."""
        link = await links.of_socket(detector, socket)
        if link is not None:
            await pace.serve(socket, HistogramPanelView(link))

    return routes


def _state(link: ChamberLink) -> ChamberState:
    figures, results = link.figures, link.results
    newest = results.newest
    age_s = None if newest is None or not newest.built_ns else max(0.0, time.time() - newest.built_ns / _NS)
    return ChamberState(
        message=link.why_not(),
        builder=_builder(figures),
        exporters=[_exporter(one) for one in figures.exporters],
        boards=[_board(one) for one in figures.boards],
        looked_at=figures.n_looked_at,
        analysis=_analysis(figures),
        results=ResultsDocument(
            results=results.n_results,
            missed=results.n_missed,
            left_out=results.n_left_out,
            newest_id=None if newest is None else newest.id,
            newest_age_s=age_s,
        ),
    )


def _builder(figures: ChamberFigures) -> BuilderDocument:
    outcomes = {outcome for one in figures.exporters for outcome in one.frames}
    return BuilderDocument(
        answers=figures.has_builder,
        frames={outcome: sum(one.frames.get(outcome, 0) for one in figures.exporters) for outcome in sorted(outcomes)},
        events=dict(figures.events),
        events_per_s=figures.events_per_s,
        crowded=figures.n_crowded,
        waiting=figures.n_waiting,
        held_bytes=figures.held_bytes,
        in_doubt=figures.n_in_doubt,
        epoch=figures.epoch,
    )


def _exporter(one: ExporterAccount) -> ExporterDocument:
    return ExporterDocument(
        address=one.address,
        is_connected=one.is_connected,
        bytes=one.n_bytes,
        bytes_per_s=one.bytes_per_s,
        frames=dict(one.frames),
        faults=dict(one.n_faults),
    )


def _board(one: BoardAccount) -> BoardDocument:
    cobo, asad = one.board
    return BoardDocument(
        cobo=cobo,
        asad=asad,
        frames=one.n_frames,
        missing=one.n_missing,
        rate_hz=one.rate_hz,
        noise=one.readout.noise,
        channels=one.readout.n_channels,
        silent=one.readout.n_silent,
    )


def _analysis(figures: ChamberFigures) -> AnalysisDocument:
    def count(name: str) -> int:
        return int(figures.analysis.get(name, 0))

    return AnalysisDocument(
        answers=figures.has_analysis,
        events=count("events_total"),
        left_out=dict(figures.left_out),
        estimates=count("estimates_total"),
        waiting=count("waiting"),
        workers=count("workers"),
        revision=count("revision"),
    )
