"""DaqDataService: answers the calls of the service DaqData."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from std_daq.grpc_server.calls import Context, answering
from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.config import MAX_MODULE_ID, LiveViewConfig
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_live_view.acquisition import Acquisition, Setup
from std_live_view.encoding import encode_about_client
from std_live_view.frame_hub import FrameHub
from std_live_view.hp_io import HpIo
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.selection import Selection
from std_live_view.source_watch import SourceWatch
from std_live_view.sources.source import SourceState
from std_live_view.status import condition_of, describe
from std_live_view.streams import Stream, Streams
from std_live_view.uploads import uploaded_frame

SERVICE_NAME = "daqdata.DaqData"
_EMPTY = b""
_MAX_NAMED = 20


class DaqDataService:
    """Answers the calls of the service DaqData.

    Parameters
    ----------
    config
        Configuration of the live view.
    folder
        Folder to which a relative ``data_dir`` refers.
    hub
        The frames.
    streams
        The clients that are being sent images.
    acquisition
        Whoever makes the images.
    hp_io
        The sources.
    watch
        Notices sources that are silent.
    """

    def __init__(
        self,
        config: LiveViewConfig,
        folder: Path,
        hub: FrameHub,
        streams: Streams,
        acquisition: Acquisition,
        hp_io: HpIo,
        watch: SourceWatch,
    ) -> None:
        self._config = config
        self._folder = folder
        self._hub = hub
        self._streams = streams
        self._acquisition = acquisition
        self._hp_io = hp_io
        self._watch = watch
        self.uploads = SourceState()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a server needs to route the calls here. Answers are bytes: images are encoded once for all."""
        handlers = {
            "StreamImages": grpc.unary_stream_rpc_method_handler(
                answering(self.stream_images), messages.StreamImagesRequest.FromString
            ),
            "RecentImages": grpc.unary_stream_rpc_method_handler(
                answering(self.recent_images), messages.RecentImagesRequest.FromString
            ),
            "InitHpIo": grpc.unary_unary_rpc_method_handler(
                answering(self.init_hp_io), messages.InitHpIoRequest.FromString
            ),
            "UploadImages": grpc.stream_unary_rpc_method_handler(
                answering(self.upload_images), messages.UploadImageRequest.FromString
            ),
            "Ping": grpc.unary_unary_rpc_method_handler(answering(self.ping)),
            "Status": grpc.unary_unary_rpc_method_handler(answering(self.status)),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, handlers)

    async def ping(self, request: bytes, context: Context) -> bytes:  # noqa: ARG002 - the signature of all calls
        """Answer, at any time."""
        return _EMPTY

    async def status(self, request: bytes, context: Context) -> bytes:  # noqa: ARG002
        """Tell how sources, clients, and each module and board are."""
        condition = await self._acquisition.condition()
        return describe(
            condition or condition_of(is_valid=self._hp_io.is_valid),
            sources=self._hp_io.sources,
            watch=self._watch,
            streams=self._streams,
            hub=self._hub,
            now_s=asyncio.get_running_loop().time(),
            now_ns=time.time_ns(),
        ).SerializeToString()

    async def init_hp_io(self, request: messages.InitHpIoRequest, context: Context) -> bytes:  # noqa: ARG002
        """Exchange the sources."""
        setup = Setup(
            data_dir=self._folder / request.data_dir if request.data_dir else Path("/nonexistent"),
            interval_s=request.update_interval_seconds,
            simulate=request.simulate_daq,
            module_ids=_checked_modules(request.module_ids),
            asked_dir=request.data_dir,
        )
        problem = await self._hp_io.init(setup, force=request.force)
        return messages.InitHpIoResponse(success=not problem, error_message=problem).SerializeToString()

    async def stream_images(self, request: messages.StreamImagesRequest, context: Context) -> None:
        """Send images until the client goes, or the server ends the stream."""
        stream = Stream(context.peer(), self._selection(request), wants_notices=request.with_notices)
        self._streams.add(stream)
        sending = asyncio.create_task(self._send(stream, context))
        try:
            ends: list[asyncio.Future[Any]] = [sending, stream.ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(stream)
            self._streams.remove(stream)
            sending.cancel()
        if stream.ended.done():
            raise stream.ended.result()
        await sending

    async def recent_images(self, request: messages.RecentImagesRequest, context: Context) -> None:
        """Send frames that are kept, the oldest first."""
        frames = self._hub.recent(FrameKey(request.module_id, request.product))
        if request.before_frame_id:
            frames = [frame for frame in frames if frame.frame_id < request.before_frame_id]
        for frame in frames[-request.count :]:
            await context.write(frame.message)

    async def upload_images(self, requests: AsyncIterator[messages.UploadImageRequest], context: Context) -> bytes:  # noqa: ARG002
        """Take images until the client ends; an image that is refused ends this call only."""
        if self._config.gateway is not None:
            raise RefusedCallError(grpc.StatusCode.UNIMPLEMENTED, "A gateway takes no images: upload them to an edge.")
        if not self._config.sources.uploads:
            raise RefusedCallError(grpc.StatusCode.UNIMPLEMENTED, "UploadImages is switched off by sources.uploads.")
        async for request in requests:
            self._check_ready()
            if request.HasField("pano_image"):
                try:
                    frame = uploaded_frame(request.pano_image)
                except RefusedCallError:
                    self.uploads.n_refused += 1
                    raise
                if not self._hub.has_room(frame.key):
                    self.uploads.n_refused += 1
                    raise RefusedCallError(
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        f"There are images of {self._config.max_products} products of modules; no more are kept.",
                    )
                self.uploads.n_frames += 1
                self._hub.publish(frame)
        return _EMPTY

    def _selection(self, request: messages.StreamImagesRequest) -> Selection:
        if not (request.stream_movie_data or request.stream_pulse_height_data):
            raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, "At least one stream flag must be True.")
        if not math.isfinite(request.update_interval_seconds):
            raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, "update_interval_seconds is not a finite number.")
        setup = self._check_ready()
        return Selection(
            interval_s=max(request.update_interval_seconds, setup.interval_s),
            module_ids=_checked_modules(request.module_ids),
            wants_movie=request.stream_movie_data,
            wants_pulse_height=request.stream_pulse_height_data,
        )

    def _check_ready(self) -> Setup:
        if self._hp_io.is_ending:
            raise RefusedCallError(grpc.StatusCode.CANCELLED, "Server is shutting down.")
        if self._hp_io.is_configuring:
            raise RefusedCallError(grpc.StatusCode.UNAVAILABLE, "Server is being configured, please try again soon.")
        if self._hp_io.setup is None:
            raise RefusedCallError(grpc.StatusCode.FAILED_PRECONDITION, "hp_io task is not valid.")
        return self._hp_io.setup

    async def _send(self, stream: Stream, context: Context) -> None:
        self._hub.join(stream)
        selection = stream.selection
        loop, patience_s = asyncio.get_running_loop(), self._config.no_data_timeout_s
        last_s = loop.time()
        while True:
            try:
                frame = await _next_until(stream, None if patience_s is None else last_s + patience_s)
            except TimeoutError:
                stream.end(grpc.StatusCode.DEADLINE_EXCEEDED, "No data received within timeout window.")
                return
            about_client = encode_about_client(
                time.time_ns(), selection.n_by_interval, selection.n_by_slow_client, _missing_text(selection)
            )
            # A message may be composed of pieces in any order.
            about_client += stream.source_problems
            if frame is None:
                await context.write(about_client)
            else:
                await context.write(frame.message + about_client)
                last_s = loop.time()


async def _next_until(stream: Stream, deadline_s: float | None) -> LiveFrame | None:
    if deadline_s is None:
        return await stream.next()
    async with asyncio.timeout_at(deadline_s):
        return await stream.next()


def _missing_text(selection: Selection) -> str:
    missing = selection.missing_modules
    if not missing:
        return ""
    others = f" and {len(missing) - _MAX_NAMED} others" if len(missing) > _MAX_NAMED else ""
    return f"No image has come of modules {missing[:_MAX_NAMED]}{others}."


def _checked_modules(module_ids: Sequence[int]) -> tuple[int, ...]:
    largest = max(module_ids, default=0)
    if largest > MAX_MODULE_ID:
        text = f"module_ids has {largest}; modules are numbered from 0 to {MAX_MODULE_ID}."
        raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, text)
    return tuple(set(module_ids))
