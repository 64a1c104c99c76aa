"""UbloxService: answers the calls of the service UbloxControl."""

import asyncio
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from std_daq.grpc_server.calls import Context, answering
from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.ubloxcontrol import ublox_control_pb2 as messages
from std_daq.telescope.ubloxcontrol.description import SERVICE_NAME
from std_ublox_control.answers import polled, streamed
from std_ublox_control.chip import ChipGoneError
from std_ublox_control.message_hub import MessageHub, MessageStream
from std_ublox_control.patterns import Patterns
from std_ublox_control.polling import poll
from std_ublox_control.timing_receiver import TimingReceiver


class UbloxService:
    """Answers the calls of the service UbloxControl.

    Parameters
    ----------
    receiver
        The chip.
    hub
        Its messages.
    max_queue
        Messages that may wait for a client.
    """

    def __init__(self, receiver: TimingReceiver, hub: MessageHub, max_queue: int) -> None:
        self._receiver = receiver
        self._hub = hub
        self._max_queue = max_queue
        self._one_poll_at_a_time = asyncio.Lock()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a server needs to route the calls here. Answers are bytes: messages are encoded once for all."""
        handlers = {
            "InitF9t": grpc.unary_unary_rpc_method_handler(
                answering(self.init_f9t), messages.InitF9tRequest.FromString
            ),
            "PollMessage": grpc.unary_unary_rpc_method_handler(
                answering(self.poll_message), messages.PollRequest.FromString
            ),
            "CaptureUblox": grpc.unary_stream_rpc_method_handler(
                answering(self.capture_ublox), messages.CaptureUbloxRequest.FromString
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, handlers)

    async def init_f9t(self, request: messages.InitF9tRequest, context: Context) -> bytes:  # noqa: ARG002
        """Configure a chip."""
        try:
            document = MessageToDict(request.f9t_config)
        except ValueError as error:
            raise RefusedCallError(grpc.StatusCode.INVALID_ARGUMENT, f"f9t_config: {error}") from None
        about = await self._receiver.init(document, force=request.force_init)
        return messages.InitF9tResponse(
            init_status=messages.InitF9tResponse.SUCCESS,
            message=f"{about.model} {about.uid} with firmware {about.firmware} is configured.",
            f9t_config=request.f9t_config,
            chip=about,
        ).SerializeToString()

    async def poll_message(self, request: messages.PollRequest, context: Context) -> bytes:  # noqa: ARG002
        """Ask the chip."""
        async with self._one_poll_at_a_time:
            chip, config = self._receiver.chip, self._receiver.config
            written = () if config is None else (*config.signals, *config.others)
            try:
                answers = await poll(chip, request.patterns, [key for key, _ in written])
            except ChipGoneError as error:
                raise RefusedCallError(grpc.StatusCode.UNAVAILABLE, f"The chip is gone: {error}.") from None
        return polled(answers.packets, answers.unanswered)

    async def capture_ublox(self, request: messages.CaptureUbloxRequest, context: Context) -> None:
        """Send messages until the client goes, or the server ends the stream."""
        _ = self._receiver.chip
        stream = MessageStream(context.peer(), Patterns(request.patterns), self._max_queue)
        self._hub.join(stream)
        sending = asyncio.create_task(_send(stream, context))
        try:
            ends: list[asyncio.Future[Any]] = [sending, stream.ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(stream)
            sending.cancel()
        if stream.ended.done():
            raise stream.ended.result()
        await sending


async def _send(stream: MessageStream, context: Context) -> None:
    while True:
        message = await stream.next()
        await context.write(streamed(message, stream.n_dropped))
        stream.n_sent += 1
