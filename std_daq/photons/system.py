"""The system of a farm of the photon simulation, which a ``farm.json`` describes."""

from std_daq.config.system import System
from std_daq.photons.config import FarmConfig


def _summarise(config: FarmConfig) -> dict[str, str]:
    return {
        "geometry": str(config.geometry),
        "clients": config.frontend,
        "workers": f"{config.n_workers} here, at {config.backend}",
        "engine": config.engine,
    }


SYSTEM = System(name="photons", file="farm.json", model=FarmConfig, summarise=_summarise)
