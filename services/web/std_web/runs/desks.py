"""RunDesks: the desks of all detectors that record runs."""

import asyncio
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated

from fastapi import Path

from std_daq.recording.config import RecordingConfig
from std_web.detectors import Console
from std_web.problems import HttpProblem
from std_web.runs.agent_documents import AgentAwayError
from std_web.runs.desk import RunDesk
from std_web.runs.run_view import RunDetails, merged

RequestId = Annotated[str, Path(description="Id of the request.", max_length=64)]
PREFIX = "/detectors/{detector}/runs"
TAGS: list[str | Enum] = ["runs"]


class RunDesks(Mapping[str, RunDesk]):
    """The desks by the names of their detectors; they live as long as the console.

    Parameters
    ----------
    console
        The console.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._desks = {
            name: RunDesk(detector)
            for name, detector in console.detectors.items()
            if isinstance(detector.config, RecordingConfig)
        }
        for desk in self._desks.values():
            console.keep(desk)

    def of(self, detector: str) -> RunDesk:
        """Return the desk of a detector; raises HttpProblem if there is no such detector, or if it records no runs."""
        watched = self._console.detector(detector)
        if detector not in self._desks:
            raise HttpProblem(404, "No runs", f"{detector} is a system of {watched.system}, which records no runs")
        return self._desks[detector]

    def __getitem__(self, detector: str) -> RunDesk:
        return self._desks[detector]

    def __iter__(self) -> Iterator[str]:
        return iter(self._desks)

    def __len__(self) -> int:
        return len(self._desks)


async def details_of(desk: RunDesk, request_id: str) -> RunDetails:
    """Return all that agent and statuses tell of a run; raises HttpProblem if nobody knows it."""
    heard = desk.find(request_id)
    try:
        known = await asyncio.to_thread(desk.agent.run, request_id)
    except AgentAwayError as error:
        if heard is None:
            raise HttpProblem(503, "Agent away", str(error)) from None
        return heard
    if known is not None:
        return RunDetails.model_validate(merged(known, heard))
    if heard is None:
        raise HttpProblem(404, "Unknown run", f"neither the agent nor the console knows a run '{request_id}'")
    return heard
