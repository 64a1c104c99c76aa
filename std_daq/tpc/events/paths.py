"""Address of the stream of events, and path of their ring."""

from pathlib import Path

from std_daq.config.paths import runtime_dir
from std_daq.config.platform import PlatformConfig


def events_address(config: PlatformConfig) -> str:
    """Return the address of the doorbell of the EventBuffer."""
    return f"ipc://{runtime_dir(config)}/events.ipc"


def event_buffer_path(config: PlatformConfig) -> Path:
    """Return the path of the EventBuffer."""
    return config.ring_paths[0]
