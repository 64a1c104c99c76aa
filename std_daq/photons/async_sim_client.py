"""AsyncSimClient: SimClient for asyncio.

::

    async with AsyncSimClient("tcp://127.0.0.1:5555") as client:
        all_hits = await asyncio.gather(*(client.simulate(photons, i) for i, photons in enumerate(events)))
"""

import asyncio
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.backend import Channels
from std_daq.photons.config import DEFAULT_FRONTEND
from std_daq.photons.keys import ClientKeys
from std_daq.photons.sim_client import N_IN_FLIGHT, PATIENCE_S, SimClient, hits_of


class AsyncSimClient:
    """A client of the photon simulation for asyncio; an asynchronous context manager.

    Parameters
    ----------
    address, n_in_flight, patience_s, keys
        As of `SimClient`.
    """

    def __init__(
        self,
        address: str = DEFAULT_FRONTEND,
        *,
        n_in_flight: int = N_IN_FLIGHT,
        patience_s: float | None = PATIENCE_S,
        keys: Path | str | ClientKeys | None = None,
    ) -> None:
        self._client = SimClient(address, n_in_flight=n_in_flight, patience_s=patience_s, keys=keys)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.to_thread(self._client.close)

    async def ping(self) -> float:
        """Return how long the server took to answer, in seconds; raises SimulationError if it does not."""
        return await asyncio.to_thread(self._client.ping)

    async def detector_info(self) -> Channels:
        """Return the light sensors of the detector; raises SimulationError if no worker tells them in time."""
        return await asyncio.to_thread(self._client.detector_info)

    async def begin_run(self, file_name: str) -> None:
        """Tell an asynchronous worker the name of the file for the events that follow."""
        await asyncio.to_thread(self._client.begin_run, file_name)

    async def end_run(self) -> None:
        """Wait until an asynchronous worker has written the file of the run."""
        await asyncio.to_thread(self._client.end_run)

    async def simulate(self, photons: NDArray[np.void], event_id: int = 0) -> NDArray[np.void]:
        """Return the hits of an event; any number of calls may wait at a time. Raises SimulationError if it fails."""
        return hits_of(await asyncio.wrap_future(self._client.submit(photons, event_id)))
