"""The system of a timing receiver, which a ``ublox.json`` describes."""

from std_daq.config.system import System
from std_daq.telescope.ublox_config import UbloxControlConfig


def _summarise(config: UbloxControlConfig) -> dict[str, str]:
    start = config.start
    return {
        "port": "none" if config.port is None else f"{config.host}:{config.port}",
        "unix_socket": str(config.unix_socket or "none"),
        "start": "as InitF9t says" if start is None else f"{start.f9t_config}, {start.f9t_uid or 'its only chip'}",
    }


SYSTEM = System(name="ublox", file="ublox.json", model=UbloxControlConfig, summarise=_summarise)
