"""Acquisition: whoever makes the images, as InitHpIo sees it: what it checks, and what it does before sources open."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.config import LiveViewConfig
from std_live_view.call_thread import within
from std_live_view.processes import is_process_running

_CHECKED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What InitHpIo is told.

    Parameters
    ----------
    data_dir
        Folder of the run directories.
    interval_s
        Shortest interval of all clients.
    simulate
        Whether the simulation takes the place of the sources.
    module_ids
        Modules that are wanted; none stands for all.
    asked_dir
        The folder as the client has named it.
    """

    data_dir: Path
    interval_s: float
    simulate: bool
    module_ids: tuple[int, ...] = ()
    asked_dir: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of a preparation.

    Parameters
    ----------
    problem
        Why it failed, or an empty text.
    has_changed
        Whether sources of the new setup are to be opened all the same.
    """

    problem: str = ""
    has_changed: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """How an acquisition is.

    Parameters
    ----------
    is_valid
        Whether images may come.
    message
        The same in words.
    """

    is_valid: bool
    message: str


class Acquisition(Protocol):
    """Whoever makes the images."""

    async def check(self, setup: Setup) -> None:
        """Raise RefusedCallError for a setup that is not to be tried."""

    async def prepare(self, setup: Setup, *, force: bool) -> Prepared:
        """Do what has to be done before the sources of a setup open."""

    async def condition(self) -> Condition | None:
        """Return how it is, if it knows better than whether sources are open."""


class LocalAcquisition:
    """An acquisition on this machine: it is there by itself, and only looked for.

    Parameters
    ----------
    config
        Minimum of the interval, required process.
    """

    def __init__(self, config: LiveViewConfig) -> None:
        self._config = config

    async def check(self, setup: Setup) -> None:
        """Raise RefusedCallError if folder or process is missing, or the interval is too short."""
        if not setup.simulate:
            try:
                await within(_CHECKED_WITHIN_S, "check", lambda: self._look_for(setup.data_dir))
            except TimeoutError:
                text = f"data_dir '{setup.data_dir}' does not answer."
                raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, text) from None
        if not (math.isfinite(setup.interval_s) and setup.interval_s >= self._config.min_update_interval_s):
            raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, "update_interval_seconds is below server minimum.")

    async def prepare(self, setup: Setup, *, force: bool) -> Prepared:  # noqa: ARG002 - the signature of all
        """Nothing has to be done."""
        return Prepared()

    async def condition(self) -> None:
        """Nothing is known."""

    def _look_for(self, data_dir: Path) -> None:
        if not data_dir.is_dir():
            raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, f"data_dir '{data_dir}' does not exist.")
        required = self._config.required_process
        if required is not None and not is_process_running(required):
            raise RefusedCallError(grpc.StatusCode.FAILED_PRECONDITION, "Real DAQ software is not active.")
