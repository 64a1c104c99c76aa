"""The paths below ``/daq`` and ``/simulation``: configuration, its rollout, rates, and the simulated detector."""

import asyncio
from typing import Any

import numpy as np
from fastapi import Request

from std_daq.imaging.config.model import DetectorConfig
from std_web.detectors import WatchedDetector
from std_web.older.answers import OlderError, body_of
from std_web.older.config_file import ConfigFile, older_document
from std_web.older.rollout import Rollout
from std_web.older.simulation import SimulatorProcess
from std_web.state.config_document import config_id
from std_web.state.poller import StatePoller


class OlderControl:
    """Shows and changes the configuration of one detector, and starts and stops its simulation.

    Parameters
    ----------
    detector
        The detector.
    poller
        Tells the state of its services.
    simulation
        The simulated detector.
    """

    def __init__(self, detector: WatchedDetector, poller: StatePoller, simulation: SimulatorProcess) -> None:
        self._detector = detector
        self._poller = poller
        self._simulation = simulation
        self._file = ConfigFile(detector)
        self._rollout = Rollout(detector, poller)
        self._changing = asyncio.Lock()

    async def config(self, request: Request) -> dict[str, Any]:  # noqa: ARG002 - the signature of every handler
        """Return the configuration."""
        return await asyncio.to_thread(self._config)

    async def change_config(self, request: Request) -> dict[str, Any]:
        """Change keys of the configuration, which is checked before, and ask all services to take it."""
        changes = await body_of(request)
        async with self._changing:
            reading = self._poller.state.reading
            if reading is not None and reading.status.run.request_id:
                raise OlderError(
                    f"the configuration cannot be changed while {reading.status.run.output_file} is written; "
                    "stop the run first"
                )
            config = await asyncio.to_thread(self._file.change, changes)
            self._detector.replace_config(config)
            await asyncio.to_thread(self._rollout.begin)
        return await asyncio.to_thread(self._config)

    async def deployment(self, request: Request) -> dict[str, Any]:  # noqa: ARG002
        """Return how far the last change of the configuration has come."""
        return {"deployment": self._rollout.document()}

    async def stats(self, request: Request) -> dict[str, Any]:  # noqa: ARG002
        """Return the rates of the last second."""
        reading = self._poller.state.reading
        images, written, n_bytes = 0.0, 0.0, 0.0
        if reading is not None:
            images = reading.status.images.per_s or 0.0
            written = reading.status.writing.images_per_s or 0.0
            n_bytes = reading.status.writing.bytes_per_s or 0.0
        return {
            "stats": {
                "detector": {"bytes_per_second": images * self._image_bytes(), "images_per_second": images},
                "writer": {"bytes_per_second": n_bytes, "images_per_second": written},
            }
        }

    async def simulation_status(self, request: Request) -> dict[str, Any]:  # noqa: ARG002
        """Return whether the simulated detector sends."""
        return {"simulator": self._simulation.document()}

    async def start_simulation(self, request: Request) -> dict[str, Any]:  # noqa: ARG002
        """Make the simulated detector send; it may send already."""
        if not isinstance(self._detector.config, DetectorConfig):
            raise OlderError(f"{self._detector.name} is no detector of images; std-daq simulate knows more systems")
        await asyncio.to_thread(self._simulation.start)
        return {"simulator": self._simulation.document()}

    async def stop_simulation(self, request: Request) -> dict[str, Any]:  # noqa: ARG002
        """Make the simulated detector stop; it may have stopped already."""
        await asyncio.to_thread(self._simulation.stop)
        return {"simulator": self._simulation.document()}

    def _config(self) -> dict[str, Any]:
        config = self._detector.config
        return {"config": older_document(self._file.read(), config), "config_id": config_id(config)}

    def _image_bytes(self) -> int:
        ring = self._detector.ring()
        return 0 if ring is None else int(np.prod(ring.shape)) * ring.dtype.itemsize
