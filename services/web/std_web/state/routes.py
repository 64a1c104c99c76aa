"""Routes that tell the state of a detector: now, over the last minutes, its warnings, its configuration."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from std_web.detector_routes import DetectorName
from std_web.detectors import Console
from std_web.state.config_document import config_id, shown_config
from std_web.state.documents import ConfigurationDocument, HistoryDocument, StatusDocument, status_document
from std_web.state.log_warnings import LogWarning, WarningReader
from std_web.state.poller import HISTORY_S, StatePoller

Seconds = Annotated[float, Query(gt=0, le=HISTORY_S, description="How far to look back, in seconds.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Largest number of lines.")]


def poll(console: Console) -> dict[str, StatePoller]:
    """Make a console poll its detectors as long as it lives; returns who tells the state of each."""
    pollers = {name: StatePoller(detector) for name, detector in console.detectors.items()}
    for poller in pollers.values():
        console.keep(poller)
    return pollers


def router(console: Console, pollers: Mapping[str, StatePoller]) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["state"])
    warnings = {name: WarningReader(detector) for name, detector in console.detectors.items()}

    @routes.get("/detectors/{detector}/status", summary="The state now")
    async def read_status(detector: DetectorName) -> StatusDocument:
        """Return whether a detector is fine; if not, what is wrong, since when, and what to do."""
        name = console.detector(detector).name
        return status_document(name, pollers[name].state)

    @routes.get("/detectors/{detector}/history", summary="Figures of the last minutes")
    def read_history(detector: DetectorName, seconds: Seconds = 300.0) -> HistoryDocument:
        """Return figures of the last minutes, one point a second."""
        times, series = pollers[console.detector(detector).name].history(seconds)
        return HistoryDocument(time=times, series=series)

    @routes.get("/detectors/{detector}/warnings", summary="Recent warnings")
    def read_warnings(detector: DetectorName, limit: Limit = 100) -> list[LogWarning]:
        """Return what the running services have warned of last, the newest first."""
        return warnings[console.detector(detector).name].read()[:limit]

    @routes.get("/detectors/{detector}/configuration", summary="The configuration")
    def read_configuration(detector: DetectorName) -> ConfigurationDocument:
        """Return the configuration with all defaults; passwords and the like are hidden."""
        watched = console.detector(detector)
        return ConfigurationDocument(
            file=str(watched.file), config_id=config_id(watched.config), configuration=shown_config(watched.config)
        )

    return routes
