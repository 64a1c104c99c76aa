"""LiveViewProcess: a real std-live-view in a process of its own."""

from typing import Any

from std_test_kit.grpc_service_process import GrpcServiceProcess


class LiveViewProcess(GrpcServiceProcess):
    """A context manager: a std-live-view on a Unix socket, in a folder of its own.

    Parameters
    ----------
    config
        Keys of the configuration in addition to those that make it quiet and local.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__("std_live_view", "live", {"required_process": None} | config)
