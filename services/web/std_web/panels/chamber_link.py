"""ChamberLink: what the console knows of a chamber, for all browsers that look at it."""

import math
from typing import Self

from std_daq.tpc.config import TpcConfig
from std_daq.tpc.reconstruction.results import results_address
from std_daq.tpc.view.results_source import ResultsSource
from std_web.panels.chamber_account import ChamberAccount, ChamberFigures
from std_web.panels.chamber_results import ChamberResults
from std_web.panels.demand_thread import Demand, DemandThread

_WAIT_S = 0.1
_PERIOD_S = 1.0


class ChamberLink:
    """Takes all results of the analysis as they come, and asks the services while somebody looks.

    Results are taken all the time: the histograms of a run are to be whole, whenever somebody opens the page. The
    analysis never waits for the console.

    Parameters
    ----------
    config
        The chamber.

    Attributes
    ----------
    config
        The chamber.
    results
        The newest event, and the histograms.
    figures
        What builder and analysis tell.
    """

    def __init__(self, config: TpcConfig) -> None:
        self.config = config
        self.results = ChamberResults()
        self.figures = ChamberFigures()
        self._taking = DemandThread(f"results of {config.name}", self._take, math.inf)
        self._asking = DemandThread(f"services of {config.name}", self._ask)

    async def __aenter__(self) -> Self:
        self._taking.look()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._taking.__aexit__(*exception)
        await self._asking.__aexit__(*exception)

    def look(self) -> None:
        """Note that somebody looks."""
        self._asking.look()

    def why_not(self) -> str:
        """Return why nothing comes; empty if it could."""
        return self._taking.problem or self._asking.problem

    def _take(self, demand: Demand) -> None:
        source = ResultsSource(results_address(self.config))
        try:
            while not demand.is_over:
                source.wait(_WAIT_S)
                for taken in source.take():
                    self.results.take(taken)
        finally:
            source.close()

    def _ask(self, demand: Demand) -> None:
        account = ChamberAccount(self.config)
        try:
            while not demand.is_over:
                self.figures = account.read()
                demand.wait(_PERIOD_S)
        finally:
            account.close()
