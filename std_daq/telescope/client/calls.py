"""The calls of DaqData, health and reflection, for channels of grpc and of grpc.aio alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import empty_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from std_daq.telescope.daqdata import daq_data_pb2 as messages

SERVICE = "daqdata.DaqData"
SERVING = health_pb2.HealthCheckResponse.SERVING
EMPTY = empty_pb2.Empty()


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Parameters
    ----------
    path
        Full name of the method.
    kind
        Name of the method of a channel that makes it.
    request, response
        Classes of the messages.
    """

    path: str
    kind: str
    request: Any
    response: Any

    @property
    def name(self) -> str:
        """Name without the service."""
        return self.path.rpartition("/")[2]

    def on(self, channel: Any) -> Any:
        """Return what makes the call through a channel."""
        return getattr(channel, self.kind)(
            self.path,
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.response.FromString,
        )


def _daq_data(name: str, kind: str, request: Any, response: Any) -> Call:
    return Call(f"/{SERVICE}/{name}", kind, request, response)


STREAM_IMAGES = _daq_data("StreamImages", "unary_stream", messages.StreamImagesRequest, messages.StreamImagesResponse)
RECENT_IMAGES = _daq_data("RecentImages", "unary_stream", messages.RecentImagesRequest, messages.StreamImagesResponse)
INIT_HP_IO = _daq_data("InitHpIo", "unary_unary", messages.InitHpIoRequest, messages.InitHpIoResponse)
UPLOAD_IMAGES = _daq_data("UploadImages", "stream_unary", messages.UploadImageRequest, empty_pb2.Empty)
PING = _daq_data("Ping", "unary_unary", empty_pb2.Empty, empty_pb2.Empty)
STATUS = _daq_data("Status", "unary_unary", empty_pb2.Empty, messages.StatusResponse)
HEALTH = Call(
    "/grpc.health.v1.Health/Check", "unary_unary", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
)
REFLECTION = Call(
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "stream_stream",
    reflection_pb2.ServerReflectionRequest,
    reflection_pb2.ServerReflectionResponse,
)
HEALTH_REQUEST = health_pb2.HealthCheckRequest(service=SERVICE)


def init_request(hp_io_cfg: Mapping[str, Any], data_dir: str) -> messages.InitHpIoRequest:
    """Return the request of InitHpIo that a hp_io_config describes."""
    return messages.InitHpIoRequest(
        data_dir=data_dir,
        update_interval_seconds=hp_io_cfg.get("update_interval_seconds", 1.0),
        force=hp_io_cfg.get("force", False),
        simulate_daq=hp_io_cfg.get("simulate_daq", False),
        module_ids=hp_io_cfg.get("module_ids") or (),
    )


SIMULATION: Mapping[str, Any] = {
    "data_dir": "",
    "update_interval_seconds": 0.1,
    "force": True,
    "simulate_daq": True,
    "module_ids": [],
}
"""The hp_io_config of a simulation: every module, ten images a second of each product."""
