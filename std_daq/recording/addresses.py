"""ZMQ addresses at which the writer agent and the writers of a system connect, and the files that they share."""

from pathlib import Path

from std_daq.config.paths import runtime_dir
from std_daq.config.platform import PlatformConfig


def store_address(config: PlatformConfig, writer: int) -> str:
    """Return the address of the StoreStream of one writer."""
    return f"ipc://{runtime_dir(config)}/store-{writer}.ipc"


def store_reports_address(config: PlatformConfig) -> str:
    """Return the address at which the agent receives the writers' reports."""
    return f"ipc://{runtime_dir(config)}/store-reports.ipc"


def fence_path(config: PlatformConfig, writer: int) -> Path:
    """Return the path of the file in which the agent tells a writer that it was given up."""
    return runtime_dir(config) / f"store-{writer}.fence"
