"""AioDaqDataClient: what `DaqDataClient` does, for programs with asyncio."""

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Self

import grpc
import grpc.aio

from std_daq.telemetry.logs import get_logger
from std_daq.telescope.client import reflection_text
from std_daq.telescope.client.access import Access
from std_daq.telescope.client.aio_image_stream import AioImageStream, OpenedHosts
from std_daq.telescope.client.answers import (
    GONE,
    failed,
    init_arguments,
    init_problem,
    parse_recent,
    raise_first,
)
from std_daq.telescope.client.calls import (
    EMPTY,
    HEALTH,
    HEALTH_REQUEST,
    INIT_HP_IO,
    PING,
    RECENT_IMAGES,
    REFLECTION,
    SERVING,
    STATUS,
    UPLOAD_IMAGES,
    Call,
    init_request,
)
from std_daq.telescope.client.errors import DaqDataError
from std_daq.telescope.client.hosts import Document, Host
from std_daq.telescope.client.image_message import as_own_message
from std_daq.telescope.client.requested_hosts import (
    ANSWER_S,
    HEALTH_S,
    MAX_STREAM_S,
    PING_S,
    Hosts,
    check_away,
    configured_hosts,
    data_dir_for,
    requested,
    show_logs,
    simulation_config,
    stream_wish,
    the_only,
)
from std_daq.telescope.daqdata import daq_data_pb2 as messages

_UPLOAD_DEPTH = 8


class AioDaqDataClient:
    """Looks at one or many hosts that speak DaqData; parameters and methods are those of `DaqDataClient`.

    Example::

        async with AioDaqDataClient("daq_config.json", "network_config.json") as client:
            async for image in await client.stream_images(None, True, True, 1.0):
                ...

    Two things differ, as existing programs expect it: of the ``data_dir`` of hp_io_cfg and that of daq_config the
    former counts, and `init_hp_io` raises an error where `DaqDataClient.init_hp_io` returns False.

    Parameters
    ----------
    daq_config, network_config, log_level, host, port, access, answer_timeout
        As those of `DaqDataClient`.
    stop_event
        An asyncio.Event: all streams end when it is set.
    """

    def __init__(
        self,
        daq_config: Document | None = None,
        network_config: Document | None = None,
        stop_event: asyncio.Event | None = None,
        log_level: int | str = logging.INFO,
        *,
        host: str | None = None,
        port: int | None = None,
        access: Access | None = None,
        answer_timeout: float = ANSWER_S,
    ) -> None:
        show_logs(log_level)
        self._hosts = configured_hosts(daq_config, network_config, host, port)
        self._has_one_target = daq_config is None
        self._access = Access() if access is None else access
        self._metadata = self._access.metadata()
        self._stop_event = stop_event
        self._answer_timeout_s = answer_timeout
        self._channels: dict[str, Any] = {}
        self._streams: weakref.WeakSet[AioImageStream] = weakref.WeakSet()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        for host in self._hosts.values():
            self._channel(host)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @property
    def hosts(self) -> dict[str, str]:
        """Names of all hosts, with what gRPC connects to."""
        return {host.name: host.target for host in self._hosts.values()}

    async def close(self) -> None:
        """End all streams, and close the connections."""
        self._is_closed = True
        await asyncio.gather(*(stream.aclose() for stream in list(self._streams)))
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(channel.close() for channel in channels.values()))

    async def ping(self, host: str | None = None, timeout: float | None = None) -> bool:
        """Return whether a host answers, as `DaqDataClient.ping`."""
        one = the_only(host, self._hosts)
        if not self._has_one_target:
            return (await self._answers([one], PING_S if timeout is None else timeout))[one.name]
        timeout_s = HEALTH_S if timeout is None else timeout
        try:
            answer = await HEALTH.on(self._channel(one))(
                HEALTH_REQUEST, timeout=timeout_s, metadata=self._metadata, wait_for_ready=True
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # servers up to 2025 have no health
                return (await self._answers([one], timeout_s))[one.name]
            return False
        return bool(answer.status == SERVING)

    async def get_valid_daq_hosts(self) -> list[str]:
        """Return the hosts that answer now."""
        return [name for name, answers in (await self._answers(self._hosts.values())).items() if answers]

    async def get_daq_host_status(self) -> dict[str, bool]:
        """Return for each host, by what gRPC connects to, whether it answers now."""
        answers = await self._answers(self._hosts.values())
        return {host.target: answers[host.name] for host in self._hosts.values()}

    async def is_daq_host_valid(self, host: str) -> bool:
        """Return whether a host answers now."""
        one = the_only(host, self._hosts)
        return (await self._answers([one]))[one.name]

    async def validate_daq_hosts(self, hosts: Hosts = None) -> list[str]:
        """Return the names of hosts; raises HostsAwayError (a ConnectionError) if one, or all, do not answer."""
        asked = requested(hosts, self._hosts)
        return [host.name for host in check_away(asked, await self._answers(asked), all_must=bool(hosts))]

    async def status(self, host: str | None = None, timeout: float = 5.0) -> messages.StatusResponse:
        """Return the status of a host: sources, clients, and each module and board."""
        one = the_only(host, self._hosts)
        return await self._call(one, STATUS, EMPTY, timeout)  # type: ignore[no-any-return]

    async def reflect_services(self, hosts: Hosts = None, timeout: float = 5.0) -> str:
        """Return the services and methods of hosts as text, from their reflection."""
        alive = await self._alive(hosts)
        texts = await asyncio.gather(*(self._reflect(host, timeout) for host in alive))
        return "\n".join(f"{host.name}:\n{text}" for host, text in zip(alive, texts, strict=True))

    def stream_images(
        self,
        hosts: Hosts = None,
        stream_movie_data: bool = True,
        stream_pulse_height_data: bool = True,
        update_interval_seconds: float = 1.0,
        module_ids: Iterable[int] = (),
        wait_for_ready: bool = False,
        parse_pano_images: bool = True,
        timeout: float = MAX_STREAM_S,
        *,
        reconnect: bool = False,
    ) -> AioImageStream:
        """Return the images of hosts as they come, as `DaqDataClient.stream_images`.

        It may be awaited: then hosts that do not answer are known before the first image.
        """
        asked = requested(hosts, self._hosts)
        wish = stream_wish(
            stream_movie_data,
            stream_pulse_height_data,
            update_interval_seconds,
            module_ids,
            is_parsed=parse_pano_images,
            reconnects=reconnect,
            end_s=time.monotonic() + timeout,
        )

        async def open_hosts() -> OpenedHosts:
            alive = asked
            if not (reconnect or wait_for_ready):
                alive = check_away(asked, await self._answers(asked), all_must=False)
            away = [host for host in asked if host not in alive]
            return OpenedHosts({host: self._channel(host) for host in alive}, away)

        stream = AioImageStream(
            open_hosts, self._metadata, wish, wait_for_ready=wait_for_ready, stop_event=self._stop_event
        )
        self._streams.add(stream)
        return stream

    async def recent_images(
        self,
        module_id: int,
        product: str,
        count: int = 0,
        before_frame_id: int = 0,
        *,
        host: str | None = None,
        parse_pano_images: bool = True,
        timeout: float = 10.0,
    ) -> list[Any]:
        """Return the newest images that a std-live-view keeps, as `DaqDataClient.recent_images`."""
        one = the_only(host, self._hosts)
        request = messages.RecentImagesRequest(
            module_id=module_id, product=product, count=count, before_frame_id=before_frame_id
        )
        call = RECENT_IMAGES.on(self._channel(one))(request, timeout=timeout, metadata=self._metadata)
        try:
            responses = [response async for response in call]
        except grpc.RpcError as error:
            raise failed(one, RECENT_IMAGES, error) from None
        return parse_recent(responses, one.name) if parse_pano_images else responses

    async def upload_images(
        self,
        hosts: Hosts,
        image_iterator: Iterable[Any] | AsyncIterable[Any],
        timeout: float | None = None,
    ) -> None:
        """Upload images to hosts, as `DaqDataClient.upload_images`; the iterator may be an asynchronous one."""
        asked = requested(hosts, self._hosts)
        alive = check_away(asked, await self._answers(asked), all_must=bool(hosts))
        queues: list[asyncio.Queue[Any]] = [asyncio.Queue(_UPLOAD_DEPTH) for _ in alive]
        uploads = [
            asyncio.create_task(self._upload(host, queue, timeout)) for host, queue in zip(alive, queues, strict=True)
        ]
        try:
            async for image in _each(image_iterator):
                request = messages.UploadImageRequest(pano_image=as_own_message(image))
                for queue, upload in zip(queues, uploads, strict=True):
                    await _put(queue, request, upload)
                if all(upload.done() for upload in uploads):
                    break
            for queue, upload in zip(queues, uploads, strict=True):
                await _put(queue, None, upload)
            raise_first(await asyncio.gather(*uploads))
        finally:
            for upload in uploads:
                upload.cancel()
            await asyncio.gather(*uploads, return_exceptions=True)

    async def init_hp_io(
        self,
        hosts: Hosts | Document = None,
        hp_io_cfg: Document | None = None,
        timeout: float = 10.0,
    ) -> bool:
        """Exchange the sources of hosts; returns whether all have done it.

        Raises
        ------
        HostsAwayError
            One of the hosts, or all, do not answer.
        DaqDataError
            A host has refused the call. The log tells of the others.
        """
        answers = await self._init(hosts, hp_io_cfg, timeout)
        raise_first([answer for answer in answers.values() if isinstance(answer, DaqDataError)])
        for name, problem in answers.items():
            if problem:
                get_logger().error("init_hp_io_failed", host=name, why=problem)
        return not any(answers.values())

    async def init_problems(
        self,
        hosts: Hosts | Document = None,
        hp_io_cfg: Document | None = None,
        timeout: float = 10.0,
    ) -> dict[str, str]:
        """Exchange the sources of hosts; returns for each host what went wrong, or an empty text."""
        answers = await self._init(hosts, hp_io_cfg, timeout)
        return {name: str(answer) for name, answer in answers.items()}

    async def init_sim(
        self,
        hosts: Hosts = None,
        hp_io_cfg: Document | None = None,
        timeout: float = 5.0,
    ) -> bool:
        """Start the simulation of hosts as `init_hp_io`; by default ten images a second, by force."""
        return await self.init_hp_io(hosts, simulation_config(hp_io_cfg), timeout)

    def _channel(self, host: Host) -> Any:
        if self._is_closed:
            raise RuntimeError("the client is closed")
        if host.name not in self._channels:
            self._channels[host.name] = self._access.open_channel(host, grpc.aio)
        return self._channels[host.name]

    async def _answers(self, hosts: Iterable[Host], timeout_s: float | None = None) -> dict[str, bool]:
        """Ask hosts at once whether they are there; whatever a server says, it is."""
        timeout_s = self._answer_timeout_s if timeout_s is None else timeout_s
        calls = {
            host.name: PING.on(self._channel(host))(
                EMPTY, timeout=timeout_s, metadata=self._metadata, wait_for_ready=True
            )
            for host in hosts
        }
        return {name: await call.code() not in GONE for name, call in calls.items()}

    async def _alive(self, hosts: Hosts) -> list[Host]:
        return [self._hosts[name] for name in await self.validate_daq_hosts(hosts)]

    async def _call(self, host: Host, call: Call, request: Any, timeout_s: float) -> Any:
        try:
            return await call.on(self._channel(host))(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise failed(host, call, error) from None

    async def _reflect(self, host: Host, timeout_s: float) -> str:
        async def ask(requests: list[Any]) -> list[Any]:
            call = REFLECTION.on(self._channel(host))(iter(requests), timeout=timeout_s, metadata=self._metadata)
            try:
                return [answer async for answer in call]
            except grpc.RpcError as error:
                raise failed(host, REFLECTION, error) from None

        (services,) = await ask([reflection_text.LIST_SERVICES])
        return reflection_text.describe(await ask(reflection_text.requests_for(services)))

    async def _init(
        self, hosts: Hosts | Document, hp_io_cfg: Document | None, timeout_s: float
    ) -> dict[str, str | DaqDataError]:
        names, config = init_arguments(hosts, hp_io_cfg)
        alive = await self._alive(names)
        requests = {host: init_request(config, data_dir_for(host, config, own_first=False)) for host in alive}

        async def one(host: Host) -> str | DaqDataError:
            try:
                return init_problem(await self._call(host, INIT_HP_IO, requests[host], timeout_s))
            except DaqDataError as error:
                return error

        answers = await asyncio.gather(*(one(host) for host in alive))
        return {host.name: answer for host, answer in zip(alive, answers, strict=True)}

    async def _upload(self, host: Host, queue: "asyncio.Queue[Any]", timeout_s: float | None) -> DaqDataError | None:
        async def requests() -> AsyncIterator[messages.UploadImageRequest]:
            while (request := await queue.get()) is not None:
                yield request

        try:
            await UPLOAD_IMAGES.on(self._channel(host))(requests(), timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return failed(host, UPLOAD_IMAGES, error)
        return None


async def _each(images: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
        return
    for image in images:
        yield image
        await asyncio.sleep(0)


async def _put(queue: "asyncio.Queue[Any]", item: Any, upload: "asyncio.Task[Any]") -> None:
    """Hand over an item; waits while the host is slow, and not when its call has ended."""
    putting = asyncio.ensure_future(queue.put(item))
    await asyncio.wait([putting, upload], return_when=asyncio.FIRST_COMPLETED)
    putting.cancel()
