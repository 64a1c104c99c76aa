"""EdgeSource: the images of another server, for a gateway."""

import asyncio
import time
from typing import Any

import grpc
import numpy as np

from std_daq.telemetry.logs import ConditionLog
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff.product import product_of
from std_live_view.edges import Edge, text_of
from std_live_view.encoding import decode_image
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.sources.image_buffer_source import PRODUCT
from std_live_view.sources.source import Publish, SourceState
from std_live_view.uploads import header_of, why_too_large

_FIRST_DELAY_S, _LAST_DELAY_S = 0.2, 5.0
_ACCEPTED_AFTER_S = 1.0
_DTYPES = {1: "<u1", 2: "<u2", 4: "<u4"}


class EdgeSource:
    """Streams all images of a server; one that is away is called again until it is there.

    Parameters
    ----------
    edge
        The server.
    publish
        Takes the images.
    """

    def __init__(self, edge: Edge, publish: Publish) -> None:
        self._edge = edge
        self._publish = publish
        self._channel: Any = None
        self._conditions = ConditionLog(period_s=60.0)
        self._delay_s = _FIRST_DELAY_S
        self._left_out = messages.LeftOut()
        self.name = f"edge {edge.host.target}"
        self.state = SourceState()

    async def open(self) -> None:
        """Open the channel; the server itself may come later."""
        self._channel = self._edge.open_channel()

    async def run(self) -> None:
        """Deliver images."""
        while True:
            try:
                await self._read()
                problem = "it has ended the stream"
            except grpc.aio.AioRpcError as error:
                problem = text_of(error)
            self.state.problem = problem
            self._conditions.warning("edge_away", edge=self._edge.host.target, problem=problem)
            await asyncio.sleep(self._delay_s)
            self._delay_s = min(2 * self._delay_s, _LAST_DELAY_S)

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def _read(self) -> None:
        request = messages.StreamImagesRequest(stream_movie_data=True, stream_pulse_height_data=True, with_notices=True)
        call = self._channel.unary_stream(
            "/daqdata.DaqData/StreamImages",
            request_serializer=messages.StreamImagesRequest.SerializeToString,
            response_deserializer=messages.StreamImagesResponse.FromString,
        )(request, metadata=self._edge.access.metadata())
        self._left_out = messages.LeftOut()
        # A server that accepts the call says nothing until it has an image; one that does not says so soon.
        accepted = asyncio.get_running_loop().call_later(_ACCEPTED_AFTER_S, self._clear_problem)
        try:
            async for response in call:
                self._take(response)
        finally:
            accepted.cancel()
            call.cancel()

    def _clear_problem(self) -> None:
        self.state.problem = ""

    def _take(self, response: messages.StreamImagesResponse) -> None:
        state = self.state
        self._delay_s = _FIRST_DELAY_S
        state.problem = "; ".join(response.source_problems)
        state.n_by_interval += response.left_out.by_interval - self._left_out.by_interval
        state.n_by_slow_client += response.left_out.by_slow_client - self._left_out.by_slow_client
        self._left_out = response.left_out
        if not response.HasField("pano_image"):
            return
        try:
            frame = edge_frame(response.pano_image)
        except ValueError as error:
            state.n_refused += 1
            self._conditions.warning("image_refused", edge=self._edge.host.target, error=str(error))
            return
        state.n_frames += 1
        self._publish(frame)


def edge_frame(image: messages.PanoImage) -> LiveFrame:
    """Return the frame of an image that another server has sent; raises ValueError if it is none."""
    if reason := why_too_large(image):
        raise ValueError(reason)
    shape = tuple(image.shape)
    is_pulse_height = image.type == messages.PanoImage.PULSE_HEIGHT
    product = product_of(is_pulse_height=is_pulse_height, shape=shape, bytes_per_pixel=image.bytes_per_pixel)
    if product is None and image.bytes_per_pixel not in _DTYPES:
        raise ValueError(f"an image has {image.bytes_per_pixel} bytes per pixel")
    dtype = np.dtype(_DTYPES[image.bytes_per_pixel]) if product is None else np.dtype(product.dtype)
    return LiveFrame(
        FrameKey(image.module_id, PRODUCT if product is None else product.name),
        is_pulse_height=is_pulse_height,
        header=header_of(image),
        pixels=decode_image(image, dtype),
        file=image.file,
        frame_number=image.frame_number,
        server_ns=time.time_ns(),
        header_bytes=image.header.ByteSize(),
    )
