import datetime

from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PanoImage(_message.Message):
    __slots__ = ("type", "header", "image_array", "shape", "bytes_per_pixel", "file", "frame_number", "module_id")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNDEFINED: _ClassVar[PanoImage.Type]
        PULSE_HEIGHT: _ClassVar[PanoImage.Type]
        MOVIE: _ClassVar[PanoImage.Type]
    UNDEFINED: PanoImage.Type
    PULSE_HEIGHT: PanoImage.Type
    MOVIE: PanoImage.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ARRAY_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_PIXEL_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FRAME_NUMBER_FIELD_NUMBER: _ClassVar[int]
    MODULE_ID_FIELD_NUMBER: _ClassVar[int]
    type: PanoImage.Type
    header: _struct_pb2.Struct
    image_array: _containers.RepeatedScalarFieldContainer[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    bytes_per_pixel: int
    file: str
    frame_number: int
    module_id: int
    def __init__(self, type: _Optional[_Union[PanoImage.Type, str]] = ..., header: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., image_array: _Optional[_Iterable[int]] = ..., shape: _Optional[_Iterable[int]] = ..., bytes_per_pixel: _Optional[int] = ..., file: _Optional[str] = ..., frame_number: _Optional[int] = ..., module_id: _Optional[int] = ...) -> None: ...

class StreamImagesRequest(_message.Message):
    __slots__ = ("stream_movie_data", "stream_pulse_height_data", "update_interval_seconds", "module_ids", "with_notices")
    STREAM_MOVIE_DATA_FIELD_NUMBER: _ClassVar[int]
    STREAM_PULSE_HEIGHT_DATA_FIELD_NUMBER: _ClassVar[int]
    UPDATE_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MODULE_IDS_FIELD_NUMBER: _ClassVar[int]
    WITH_NOTICES_FIELD_NUMBER: _ClassVar[int]
    stream_movie_data: bool
    stream_pulse_height_data: bool
    update_interval_seconds: float
    module_ids: _containers.RepeatedScalarFieldContainer[int]
    with_notices: bool
    def __init__(self, stream_movie_data: _Optional[bool] = ..., stream_pulse_height_data: _Optional[bool] = ..., update_interval_seconds: _Optional[float] = ..., module_ids: _Optional[_Iterable[int]] = ..., with_notices: _Optional[bool] = ...) -> None: ...

class StreamImagesResponse(_message.Message):
    __slots__ = ("name", "timestamp", "message", "pano_image", "capture_time", "server_time", "frame_id", "left_out", "source_problems")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PANO_IMAGE_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    timestamp: _timestamp_pb2.Timestamp
    message: str
    pano_image: PanoImage
    capture_time: _timestamp_pb2.Timestamp
    server_time: _timestamp_pb2.Timestamp
    frame_id: int
    left_out: LeftOut
    source_problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ..., pano_image: _Optional[_Union[PanoImage, _Mapping]] = ..., capture_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., frame_id: _Optional[int] = ..., left_out: _Optional[_Union[LeftOut, _Mapping]] = ..., source_problems: _Optional[_Iterable[str]] = ...) -> None: ...

class LeftOut(_message.Message):
    __slots__ = ("by_interval", "by_slow_client")
    BY_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    BY_SLOW_CLIENT_FIELD_NUMBER: _ClassVar[int]
    by_interval: int
    by_slow_client: int
    def __init__(self, by_interval: _Optional[int] = ..., by_slow_client: _Optional[int] = ...) -> None: ...

class InitHpIoRequest(_message.Message):
    __slots__ = ("data_dir", "update_interval_seconds", "force", "simulate_daq", "module_ids")
    DATA_DIR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    SIMULATE_DAQ_FIELD_NUMBER: _ClassVar[int]
    MODULE_IDS_FIELD_NUMBER: _ClassVar[int]
    data_dir: str
    update_interval_seconds: float
    force: bool
    simulate_daq: bool
    module_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, data_dir: _Optional[str] = ..., update_interval_seconds: _Optional[float] = ..., force: _Optional[bool] = ..., simulate_daq: _Optional[bool] = ..., module_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class InitHpIoResponse(_message.Message):
    __slots__ = ("success", "error_message")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error_message: str
    def __init__(self, success: _Optional[bool] = ..., error_message: _Optional[str] = ...) -> None: ...

class UploadImageRequest(_message.Message):
    __slots__ = ("pano_image",)
    PANO_IMAGE_FIELD_NUMBER: _ClassVar[int]
    pano_image: PanoImage
    def __init__(self, pano_image: _Optional[_Union[PanoImage, _Mapping]] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("hp_io_initialized", "message", "sources", "clients", "products")
    HP_IO_INITIALIZED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    hp_io_initialized: bool
    message: str
    sources: _containers.RepeatedCompositeFieldContainer[SourceStatus]
    clients: _containers.RepeatedCompositeFieldContainer[ClientStatus]
    products: _containers.RepeatedCompositeFieldContainer[ProductStatus]
    def __init__(self, hp_io_initialized: _Optional[bool] = ..., message: _Optional[str] = ..., sources: _Optional[_Iterable[_Union[SourceStatus, _Mapping]]] = ..., clients: _Optional[_Iterable[_Union[ClientStatus, _Mapping]]] = ..., products: _Optional[_Iterable[_Union[ProductStatus, _Mapping]]] = ...) -> None: ...

class SourceStatus(_message.Message):
    __slots__ = ("name", "is_running", "problem", "frames", "refused", "silent_seconds", "left_out")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    SILENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    is_running: bool
    problem: str
    frames: int
    refused: int
    silent_seconds: float
    left_out: LeftOut
    def __init__(self, name: _Optional[str] = ..., is_running: _Optional[bool] = ..., problem: _Optional[str] = ..., frames: _Optional[int] = ..., refused: _Optional[int] = ..., silent_seconds: _Optional[float] = ..., left_out: _Optional[_Union[LeftOut, _Mapping]] = ...) -> None: ...

class ClientStatus(_message.Message):
    __slots__ = ("peer", "update_interval_seconds", "module_ids", "sent", "left_out")
    PEER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MODULE_IDS_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    peer: str
    update_interval_seconds: float
    module_ids: _containers.RepeatedScalarFieldContainer[int]
    sent: int
    left_out: LeftOut
    def __init__(self, peer: _Optional[str] = ..., update_interval_seconds: _Optional[float] = ..., module_ids: _Optional[_Iterable[int]] = ..., sent: _Optional[int] = ..., left_out: _Optional[_Union[LeftOut, _Mapping]] = ...) -> None: ...

class ProductStatus(_message.Message):
    __slots__ = ("module_id", "product", "board", "frames", "zero_frames", "rate_hz", "age_seconds", "newest_maximum")
    MODULE_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    BOARD_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    ZERO_FRAMES_FIELD_NUMBER: _ClassVar[int]
    RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NEWEST_MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    module_id: int
    product: str
    board: int
    frames: int
    zero_frames: int
    rate_hz: float
    age_seconds: float
    newest_maximum: int
    def __init__(self, module_id: _Optional[int] = ..., product: _Optional[str] = ..., board: _Optional[int] = ..., frames: _Optional[int] = ..., zero_frames: _Optional[int] = ..., rate_hz: _Optional[float] = ..., age_seconds: _Optional[float] = ..., newest_maximum: _Optional[int] = ...) -> None: ...

class RecentImagesRequest(_message.Message):
    __slots__ = ("module_id", "product", "count", "before_frame_id")
    MODULE_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    module_id: int
    product: str
    count: int
    before_frame_id: int
    def __init__(self, module_id: _Optional[int] = ..., product: _Optional[str] = ..., count: _Optional[int] = ..., before_frame_id: _Optional[int] = ...) -> None: ...

class StreamHashpipeStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamHashpipeStatusResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetConfigurationRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetConfigurationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
