"""What a client makes of answers and failures, with and without asyncio. Pure, but for files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from std_daq.telemetry.logs import get_logger
from std_daq.telescope.client.calls import Call
from std_daq.telescope.client.errors import DaqDataError, HostsConfigError
from std_daq.telescope.client.hosts import Document, Host, read_document
from std_daq.telescope.client.parsing import ParsedImage, parse_response
from std_daq.telescope.client.requested_hosts import Hosts
from std_daq.telescope.daqdata import daq_data_pb2 as messages

GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""The statuses of a call to a host that is not there; with every other status it has answered."""


def failed(host: Host, call: Call, error: Any) -> DaqDataError:
    """Return the error of a call that has failed, with its host."""
    return DaqDataError(host.name, host.target, call.name, error.code(), error.details() or "")


def raise_first(errors: Sequence[DaqDataError | None]) -> None:
    """Raise the first of the errors of several hosts, if there is one; the log tells the others."""
    there = [error for error in errors if error is not None]
    for error in there[1:]:
        get_logger().error("call_failed", host=error.host, why=str(error))
    if there:
        raise there[0]


def init_arguments(hosts: Hosts | Document, hp_io_cfg: Document | None) -> tuple[Hosts, Mapping[str, Any]]:
    """Return hosts and hp_io_config of a call that may leave the hosts out; raises HostsConfigError."""
    if isinstance(hosts, Mapping | Path):
        if hp_io_cfg is not None:
            raise HostsConfigError("hosts is a configuration", remedy="give names of hosts, or the configuration alone")
        hosts, hp_io_cfg = None, hosts
    if hp_io_cfg is None:
        raise HostsConfigError("hp_io_cfg is missing", remedy="give a dict, or the path of a JSON file")
    return hosts, read_document(hp_io_cfg, "hp_io_cfg")


def init_problem(response: messages.InitHpIoResponse) -> str:
    """Return what went wrong in InitHpIo, or an empty text."""
    return "" if response.success else response.error_message or "the sources did not start"


def parse_recent(responses: Iterable[messages.StreamImagesResponse], host: str) -> list[ParsedImage]:
    """Return images of one product of a module, which follow each other, as dicts."""
    images: list[ParsedImage] = []
    for response in responses:
        skipped = response.frame_id - images[-1]["frame_id"] - 1 if images else 0
        images.append(parse_response(response, host, skipped))
    return images
