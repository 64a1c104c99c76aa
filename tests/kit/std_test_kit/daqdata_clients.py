"""Clients of DaqData made from the tables of its fields, one for each generation that is in use.

They know nothing of std-daq's own description of the protocol.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import grpc
from google.protobuf import empty_pb2

from std_test_kit.message_tables import Fields, make_messages

_PANO_IMAGE = {
    "1 type": "enum Type", "2 header": "Struct", "3 image_array": "*uint32", "4 shape": "*uint32",
    "5 bytes_per_pixel": "int32", "6 file": "string", "7 frame_number": "uint32", "8 module_id": "uint32",
}  # fmt: skip
_STREAM = {
    "StreamImagesRequest": {
        "1 stream_movie_data": "bool", "2 stream_pulse_height_data": "bool", "3 update_interval_seconds": "double",
        "4 module_ids": "*uint32",
    },
    "StreamImagesResponse": {
        "1 name": "string", "2 timestamp": "Timestamp", "3 message": "string", "4 pano_image": "PanoImage",
    },
    "InitHpIoRequest": {
        "1 data_dir": "string", "2 update_interval_seconds": "double", "3 force": "bool", "4 simulate_daq": "bool",
        "6 module_ids": "*uint32",
    },
}  # fmt: skip
_FIRST: dict[str, Fields] = {"PanoImage": _PANO_IMAGE, **_STREAM, "InitHpIoResponse": {"1 success": "bool"}}
_SECOND: dict[str, Fields] = {
    **_FIRST,
    "InitHpIoResponse": {"1 success": "bool", "2 error_message": "string"},
    "UploadImageRequest": {"1 pano_image": "PanoImage"},
}
GENERATIONS: dict[str, dict[str, Fields]] = {
    "2025-07": _FIRST,
    "2025-08": _SECOND,
    "2026-08": {**_SECOND, "StatusResponse": {"1 hp_io_initialized": "bool", "2 message": "string"}},
}
_TYPES = {"PanoImage.Type": ("UNDEFINED", "PULSE_HEIGHT", "MOVIE")}


def messages_of(generation: str) -> dict[str, Any]:
    """Return the message classes of a generation by name, in a pool of their own."""
    return make_messages("daqdata", GENERATIONS[generation], _TYPES)


@dataclass(frozen=True, slots=True)
class _Call:
    request: str
    response: str


_EMPTY = "Empty"
_CALLS = {
    "StreamImages": _Call("StreamImagesRequest", "StreamImagesResponse"),
    "InitHpIo": _Call("InitHpIoRequest", "InitHpIoResponse"),
    "Ping": _Call(_EMPTY, _EMPTY),
    "UploadImages": _Call("UploadImageRequest", _EMPTY),
    "Status": _Call(_EMPTY, "StatusResponse"),
}


class TableClient:
    """A client of one generation.

    Parameters
    ----------
    target
        Where the server is.
    generation
        One of `GENERATIONS`.
    options
        Options of the channel.
    """

    def __init__(self, target: str, generation: str = "2026-08", options: Iterable[tuple[str, Any]] = ()) -> None:
        self.messages = messages_of(generation) | {_EMPTY: empty_pb2.Empty}
        self.channel = grpc.insecure_channel(target, options=list(options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.channel.close()

    def ping(self, timeout_s: float = 0.3) -> bool:
        """Return whether the server answers."""
        try:
            self._multi("unary_unary", "Ping")(empty_pb2.Empty(), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError:
            return False
        return True

    def init(self, timeout_s: float = 20.0, **fields: Any) -> Any:
        """Call InitHpIo."""
        fields = {"update_interval_seconds": 0.001} | fields
        return self._multi("unary_unary", "InitHpIo")(
            self.messages["InitHpIoRequest"](**fields), timeout=timeout_s, wait_for_ready=True
        )

    def status(self) -> Any:
        """Call Status."""
        return self._multi("unary_unary", "Status")(empty_pb2.Empty(), timeout=5.0)

    def stream(self, timeout_s: float = 60.0, **fields: Any) -> Any:
        """Call StreamImages for both types; returns the call, an iterator."""
        fields = {"stream_movie_data": True, "stream_pulse_height_data": True} | fields
        return self._multi("unary_stream", "StreamImages")(
            self.messages["StreamImagesRequest"](**fields), timeout=timeout_s
        )

    def upload(self, images: Iterable[Any], timeout_s: float = 30.0) -> None:
        """Upload images, which are of `image` or None for a request without one."""
        request = self.messages["UploadImageRequest"]
        requests = (request() if image is None else request(pano_image=image) for image in images)
        self._multi("stream_unary", "UploadImages")(requests, timeout=timeout_s)

    def image(self, **fields: Any) -> Any:
        """Return an image for `upload`: an img16 of module 1, or as the fields say."""
        header = fields.pop("header", {})
        image = self.messages["PanoImage"](
            **(
                {"type": 2, "shape": [32, 32], "bytes_per_pixel": 2, "image_array": range(1024), "module_id": 1}
                | fields
            )
        )
        image.header.update(header)
        return image

    def _multi(self, kind: str, name: str) -> Any:
        call = _CALLS[name]
        return getattr(self.channel, kind)(
            f"/daqdata.DaqData/{name}",
            request_serializer=self.messages[call.request].SerializeToString,
            response_deserializer=self.messages[call.response].FromString,
        )
