"""FarmLink: what the console knows of a farm, for all browsers that look at it."""

import time
from typing import Self

from std_daq.photons.config import FarmConfig
from std_web.panels.demand_thread import Demand, DemandThread
from std_web.panels.farm_account import ChannelPlaces, FarmAccount, FarmFigures, HitMapOfEvent

_PERIOD_S = 1.0
_CHANNELS_PERIOD_S = 10.0


class FarmLink:
    """Asks router and workers once a second while somebody looks.

    Parameters
    ----------
    config
        The farm.

    Attributes
    ----------
    config
        The farm.
    figures
        What router and workers tell.
    hits
        The hits of the newest event.
    channels
        The channels; None while nobody has told them.
    """

    def __init__(self, config: FarmConfig) -> None:
        self.config = config
        self.figures = FarmFigures()
        self.hits = HitMapOfEvent()
        self.channels: ChannelPlaces | None = None
        self._asking = DemandThread(f"farm {config.name}", self._ask)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._asking.__aexit__(*exception)

    def look(self) -> None:
        """Note that somebody looks."""
        self._asking.look()

    def why_not(self) -> str:
        """Return why nothing is known; empty if something is."""
        if self._asking.problem:
            return self._asking.problem
        if not self.figures.has_router:
            return f"the router of {self.config.name} does not run on this machine, or does not answer"
        return "" if self.channels is not None else "no worker has told the channels of the detector yet"

    def _ask(self, demand: Demand) -> None:
        account = FarmAccount(self.config)
        channels_due_s = 0.0
        while not demand.is_over:
            self.figures = account.read()
            now_s = time.monotonic()
            # Another detector has other workers. The list is long, and is not asked for with each event.
            if self.channels is None or now_s >= channels_due_s:
                channels_due_s = now_s + _CHANNELS_PERIOD_S
                self._take_channels(account.channels())
            self.hits = account.last_hits()
            demand.wait(_PERIOD_S)

    def _take_channels(self, channels: ChannelPlaces | None) -> None:
        if channels is None or self.channels is None or channels.id != self.channels.id:
            self.channels = channels
