"""The system of a telescope's live view, which a ``live.json`` describes."""

from std_daq.config.system import System
from std_daq.telescope.config import LiveViewConfig


def _summarise(config: LiveViewConfig) -> dict[str, str]:
    sources = config.sources
    on = {
        "unix sockets": sources.unix_sockets is not None,
        "run directory": sources.run_directory is not None,
        "uploads": sources.uploads,
        f"{len(sources.image_buffers)} image buffers": bool(sources.image_buffers),
    }
    return {
        "port": "none" if config.port is None else f"{config.host}:{config.port}",
        "unix_socket": str(config.unix_socket or "none"),
        "sources": ", ".join(name for name, is_on in on.items() if is_on) or "none",
        "simulation": f"{config.simulation.mode}, modules {config.simulation.module_ids}",
    }


SYSTEM = System(name="telescope", file="live.json", model=LiveViewConfig, summarise=_summarise)
