"""Routes of the older interface: at the root for the first detector that records, below ``/older/NAME`` for each."""

from collections.abc import Mapping

from fastapi import APIRouter

from std_web.detectors import Console
from std_web.filed_images.pictures import FiledPictures
from std_web.older.acquisitions import AcquisitionBook
from std_web.older.answers import answered
from std_web.older.control import OlderControl
from std_web.older.simulation import SimulatorProcess
from std_web.older.viewing import OlderViewing
from std_web.older.writing import OlderWriting
from std_web.runs.desk import RunDesk
from std_web.state.poller import StatePoller


def router(
    console: Console, pollers: Mapping[str, StatePoller], desks: Mapping[str, RunDesk], filed: FiledPictures
) -> APIRouter:
    """Return the routes; runs are those of the desks."""
    routes = APIRouter(include_in_schema=False)
    for index, (name, desk) in enumerate(desks.items()):
        own = _of_detector(console, desk, pollers[name], filed)
        routes.include_router(own, prefix=f"/older/{name}")
        if index == 0:
            routes.include_router(own)
    return routes


def _of_detector(console: Console, desk: RunDesk, poller: StatePoller, filed: FiledPictures) -> APIRouter:
    options, detector = console.options, desk.detector
    book = AcquisitionBook(desk)
    simulation = SimulatorProcess(detector.file, options.simulation_host or "", options.simulation_rate_hz)
    console.keep(book)
    console.keep(simulation)
    writing = OlderWriting(detector, book, poller)
    control = OlderControl(detector, poller, simulation)
    viewing = OlderViewing(desk, book, filed)
    routes = APIRouter()
    for path, handle in (
        ("/writer/status", writing.status),
        ("/daq/config", control.config),
        ("/daq/deployment", control.deployment),
        ("/daq/stats", control.stats),
        ("/daq/logs/{n}", writing.logs),
        ("/daq/live", viewing.live),
        ("/simulation/status", control.simulation_status),
        ("/file/{name}", viewing.metadata),
        ("/file/{name}/{index}", viewing.image),
    ):
        routes.add_route(path, answered(handle), methods=["GET"])
    for path, change in (
        ("/writer/write_sync", writing.write_sync),
        ("/writer/write_async", writing.write_async),
        ("/writer/stop", writing.stop),
        ("/daq/config", control.change_config),
        ("/simulation/start", control.start_simulation),
        ("/simulation/stop", control.stop_simulation),
    ):
        routes.add_route(path, answered(change, changes=True), methods=["POST"])
    return routes
