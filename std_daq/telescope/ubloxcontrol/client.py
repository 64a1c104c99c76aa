"""UbloxControlClient and AioUbloxControlClient: configure a timing receiver, and get its messages as dictionaries."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict

from std_daq.errors import StdDaqError
from std_daq.telemetry.logs import ConditionLog
from std_daq.telescope.client.access import Access
from std_daq.telescope.client.errors import remedy_for
from std_daq.telescope.client.hosts import Host, target_of
from std_daq.telescope.ubloxcontrol import ublox_control_pb2 as messages
from std_daq.telescope.ubloxcontrol.description import SERVICE_NAME

DEFAULT_PORT = 50052
_AGAIN_S = 1.0
_NOT_INITIALISED = "F9T is not initialized"
_COMES_BACK = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.FAILED_PRECONDITION}


class UbloxControlError(StdDaqError):
    """A call has failed: says where, which call, with which status, and what to do.

    Parameters
    ----------
    target
        Address of the server.
    call
        Name of the call.
    error
        The error of gRPC.
    """

    def __init__(self, target: str, call: str, error: Any) -> None:
        self.target = target
        self.code = error.code()
        self.details = error.details() or ""
        if _NOT_INITIALISED in self.details:
            remedy = "call init first (std-daq ublox init), or configure 'start' of the server"
        else:
            remedy = remedy_for(self.code, self.details) if "device" not in self.details else ""
        text = f"{target}: {call}: {self.code.name}: {self.details}"
        super().__init__(f"{text}; {remedy}" if remedy else text)


class _Calls:
    """What both clients have in common: the channel, and the calls."""

    def __init__(self, host: str, port: int, access: Access, library: Any) -> None:
        self.target = target_of(host, port)
        self._conditions = ConditionLog(period_s=60.0)
        self._metadata = access.metadata()
        self._channel = access.open_channel(Host(host, self.target), library)
        self._init = self._call("unary_unary", "InitF9t", messages.InitF9tRequest, messages.InitF9tResponse)
        self._poll = self._call("unary_unary", "PollMessage", messages.PollRequest, messages.PollResponse)
        self._capture = self._call(
            "unary_stream", "CaptureUblox", messages.CaptureUbloxRequest, messages.CaptureUbloxResponse
        )

    def _call(self, kind: str, name: str, request: Any, response: Any) -> Any:
        return getattr(self._channel, kind)(
            f"/{SERVICE_NAME}/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def _error(self, call: str, error: Any) -> UbloxControlError:
        return UbloxControlError(self.target, call, error)

    def _raise_or_log(self, error: Any, *, reconnect: bool) -> None:
        """Raise the error of a stream, unless it is begun again."""
        ended = self._error("CaptureUblox", error)
        if not (reconnect and error.code() in _COMES_BACK):
            raise ended from None
        self._conditions.warning("stream_ended", problem=str(ended), again_in_s=_AGAIN_S)


class UbloxControlClient(_Calls):
    """Configures a timing receiver, and gets its messages.

    Parameters
    ----------
    host
        Address of the server: a name, ``host:port``, ``unix:/path``.
    port
        Its port, if ``host`` has none.
    access
        TLS and token.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, access: Access | None = None) -> None:
        super().__init__(host, port, access or Access(), grpc)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def init(self, f9t_config: Mapping[str, Any], *, force: bool = False, timeout_s: float = 60.0) -> dict[str, Any]:
        """Configure a chip, and return ``message``, ``model``, ``firmware``, ``hardware``, ``uid``.

        Raises
        ------
        UbloxControlError
            That has failed.
        """
        try:
            answer = self._init(_init_request(f9t_config, force), timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._error("InitF9t", error) from None
        return _initialised(answer)

    def poll(self, patterns: Sequence[str] = (), timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Ask the chip for messages and keys that patterns match; raises UbloxControlError."""
        request = messages.PollRequest(patterns=patterns)
        try:
            answer = self._poll(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._error("PollMessage", error) from None
        return [as_dict(packet) for packet in answer.gnss_packet]

    def capture(
        self, patterns: Sequence[str] = (), *, reconnect: bool = False, seconds: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the newest message of each kind that patterns match, and then each as it comes.

        Parameters
        ----------
        patterns
            Regular expressions, matched from the start of the name; none stands for all messages.
        reconnect
            Begin again when server or receiver were away, instead of raising an error; ``stream_ended`` in the log says
            why.
        seconds
            End after so long.

        Raises
        ------
        UbloxControlError
            The stream has ended.
        """
        request = messages.CaptureUbloxRequest(patterns=patterns)
        end_s = math.inf if seconds is None else time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0:
            call = self._capture(request, metadata=self._metadata, timeout=None if seconds is None else rest_s)
            try:
                for packet in call:
                    yield as_dict(packet)
            except grpc.RpcError as error:
                if seconds is not None and call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    return
                self._raise_or_log(error, reconnect=reconnect)
            finally:
                call.cancel()
            if not reconnect:
                return
            time.sleep(max(0.0, min(_AGAIN_S, end_s - time.monotonic())))


class AioUbloxControlClient(_Calls):
    """The same with asyncio.

    Parameters
    ----------
    host, port, access
        As for `UbloxControlClient`.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, access: Access | None = None) -> None:
        super().__init__(host, port, access or Access(), grpc.aio)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def init(
        self, f9t_config: Mapping[str, Any], *, force: bool = False, timeout_s: float = 60.0
    ) -> dict[str, Any]:
        """Configure a chip, as `UbloxControlClient.init`."""
        try:
            answer = await self._init(_init_request(f9t_config, force), timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._error("InitF9t", error) from None
        return _initialised(answer)

    async def poll(self, patterns: Sequence[str] = (), timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Ask the chip, as `UbloxControlClient.poll`."""
        request = messages.PollRequest(patterns=patterns)
        try:
            answer = await self._poll(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._error("PollMessage", error) from None
        return [as_dict(packet) for packet in answer.gnss_packet]

    async def capture(self, patterns: Sequence[str] = (), *, reconnect: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Yield messages, as `UbloxControlClient.capture`."""
        request = messages.CaptureUbloxRequest(patterns=patterns)
        while True:
            call = self._capture(request, metadata=self._metadata)
            try:
                async for packet in call:
                    yield as_dict(packet)
            except grpc.RpcError as error:
                self._raise_or_log(error, reconnect=reconnect)
            finally:
                call.cancel()
            if not reconnect:
                return
            await asyncio.sleep(_AGAIN_S)


def as_dict(packet: messages.CaptureUbloxResponse) -> dict[str, Any]:
    """Return a message as a dictionary.

    It has ``name``, ``fields``, ``payload`` (the whole message), ``time_ns`` of its reception, ``number``, and
    ``dropped``: how many messages this stream has lost so far.
    """
    return {
        "name": packet.name,
        "fields": MessageToDict(packet.parsed_data),
        "payload": packet.payload,
        "time_ns": packet.pkt_unix_timestamp.ToNanoseconds(),
        "number": packet.sequence_number,
        "dropped": packet.dropped,
    }


def _init_request(f9t_config: Mapping[str, Any], force: bool) -> messages.InitF9tRequest:
    request = messages.InitF9tRequest(force_init=force)
    request.f9t_config.update(f9t_config)
    return request


def _initialised(answer: messages.InitF9tResponse) -> dict[str, Any]:
    chip = answer.chip
    return {
        "message": answer.message,
        "model": chip.model,
        "firmware": chip.firmware,
        "hardware": chip.hardware,
        "uid": chip.uid,
    }
