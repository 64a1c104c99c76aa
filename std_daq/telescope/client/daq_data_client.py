"""DaqDataClient: looks at one or many telescopes, uploads images, and exchanges their servers' sources."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Self

import grpc

from std_daq.telemetry.logs import get_logger
from std_daq.telescope.client import reflection_text
from std_daq.telescope.client.access import Access
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
    Call,
    init_request,
)
from std_daq.telescope.client.host_feed import HostFeed
from std_daq.telescope.client.hosts import Document, Host
from std_daq.telescope.client.image_message import as_own_message
from std_daq.telescope.client.image_stream import ImageStream, Stop
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
from std_daq.telescope.client.upload import Upload
from std_daq.telescope.daqdata import daq_data_pb2 as messages


class DaqDataClient:
    """Looks at one or many hosts that speak DaqData: std-live-view, or a server of the telescopes themselves.

    Examples::

        with DaqDataClient("daq_config.json", "network_config.json") as client:     # many hosts
            for image in client.stream_images(None, True, True, 1.0):
                ...

        with DaqDataClient(host="dome-1", port=50051) as client:                    # one
            print(client.status().message)

    Wherever ``hosts`` is left out or None, all hosts that answer are meant. Methods may be called from any thread.

    Parameters
    ----------
    daq_config
        The hosts, as a dict or as the path of a JSON file.
    network_config
        Their ports, and the gateways through which they are reached; the same kinds.
    log_level
        What is shown of the log, if the program has not configured its logs itself.
    host, port
        One host instead of the two configurations; by default localhost and 50051.
    access
        TLS and token.
    stop_event
        All streams end soon after it is set.
    answer_timeout
        Within how many seconds a host has to answer to count as alive, when a stream or an upload begins.

    Raises
    ------
    HostsConfigError
        A configuration, which is also a ValueError.
    FileNotFoundError
        A file of it is not there.
    """

    def __init__(
        self,
        daq_config: Document | None = None,
        network_config: Document | None = None,
        log_level: int | str = logging.INFO,
        *,
        host: str | None = None,
        port: int | None = None,
        access: Access | None = None,
        stop_event: Stop | None = None,
        answer_timeout: float = ANSWER_S,
    ) -> None:
        show_logs(log_level)
        self._hosts = configured_hosts(daq_config, network_config, host, port)
        self._has_one_target = daq_config is None
        self._access = Access() if access is None else access
        self._metadata = self._access.metadata()
        self._stop_event = stop_event
        self._answer_timeout_s = answer_timeout
        self._lock = threading.Lock()
        self._channels: dict[str, Any] = {}
        self._streams: weakref.WeakSet[ImageStream] = weakref.WeakSet()
        self._is_closed = False

    def __enter__(self) -> Self:
        for host in self._hosts.values():
            self._channel(host)
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def hosts(self) -> dict[str, str]:
        """Names of all hosts, with what gRPC connects to."""
        return {host.name: host.target for host in self._hosts.values()}

    def close(self) -> None:
        """End all streams, and close the connections. May be called from any thread."""
        with self._lock:
            self._is_closed = True
            streams = list(self._streams)
            channels, self._channels = self._channels, {}
        for stream in streams:
            stream.close()
        for channel in channels.values():
            channel.close()

    # -- which hosts answer

    def ping(self, host: str | None = None, timeout: float | None = None) -> bool:
        """Return whether a host answers within ``timeout``: 0.3 s, or 5 s of a client of one host.

        A client of one host asks for its health: False also while its sources are being exchanged.
        """
        one = the_only(host, self._hosts)
        if not self._has_one_target:
            return self._answers([one], PING_S if timeout is None else timeout)[one.name]
        timeout_s = HEALTH_S if timeout is None else timeout
        try:
            answer = HEALTH.on(self._channel(one))(
                HEALTH_REQUEST, timeout=timeout_s, metadata=self._metadata, wait_for_ready=True
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # servers up to 2025 have no health
                return self._answers([one], timeout_s)[one.name]
            return False
        return bool(answer.status == SERVING)

    def get_valid_daq_hosts(self) -> list[str]:
        """Return the hosts that answer now."""
        return [name for name, answers in self._answers(self._hosts.values()).items() if answers]

    def get_daq_host_status(self) -> dict[str, bool]:
        """Return for each host, by what gRPC connects to, whether it answers now."""
        answers = self._answers(self._hosts.values())
        return {host.target: answers[host.name] for host in self._hosts.values()}

    def is_daq_host_valid(self, host: str) -> bool:
        """Return whether a host answers now."""
        return self._answers(requested(host, self._hosts))[the_only(host, self._hosts).name]

    def validate_daq_hosts(self, hosts: Hosts = None) -> list[str]:
        """Return the names of hosts; raises HostsAwayError (a ConnectionError) if one, or all, do not answer."""
        asked = requested(hosts, self._hosts)
        return [host.name for host in check_away(asked, self._answers(asked), all_must=bool(hosts))]

    # -- what a host tells of itself

    def status(self, host: str | None = None, timeout: float = 5.0) -> messages.StatusResponse:
        """Return the status of a host: sources, clients, and each module and board."""
        return self._call(the_only(host, self._hosts), STATUS, EMPTY, timeout)  # type: ignore[no-any-return]

    def reflect_services(self, hosts: Hosts = None, timeout: float = 5.0) -> str:
        """Return the services and methods of hosts as text, from their reflection."""
        return "\n".join(f"{host.name}:\n{self._reflect(host, timeout)}" for host in self._alive(hosts))

    # -- images

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
    ) -> ImageStream:
        """Return the images of hosts as they come.

        Parameters
        ----------
        hosts
            Hosts; one that does not answer is left out, and is told in ``progress``.
        stream_movie_data, stream_pulse_height_data
            Types of images.
        update_interval_seconds
            Shortest time between two images of the same product of a module.
        module_ids
            Modules; none stands for all.
        wait_for_ready
            Wait for hosts that do not answer yet.
        parse_pano_images
            Images are dicts (`parse_response`); else the messages as they come (StreamImagesResponse).
        timeout
            The stream ends after so many seconds with DEADLINE_EXCEEDED.
        reconnect
            Open the stream of a host again whenever it ends, and wait for hosts that do not answer yet. What was missed
            is told: in ``progress``, and by ``skipped`` of each image.

        Raises
        ------
        HostsAwayError
            No host answers.
        DaqDataError
            From the iteration: a host has refused the stream or ended it by an error, and no other is left.
        """
        asked = requested(hosts, self._hosts)
        away: list[Host] = []
        if not (reconnect or wait_for_ready):
            answers = self._answers(asked)
            alive = check_away(asked, answers, all_must=False)
            asked, away = alive, [host for host in asked if host not in alive]
        wish = stream_wish(
            stream_movie_data,
            stream_pulse_height_data,
            update_interval_seconds,
            module_ids,
            is_parsed=parse_pano_images,
            reconnects=reconnect,
            end_s=time.monotonic() + timeout,
        )
        stream = ImageStream(
            [HostFeed(host, wish) for host in asked],
            {host.name: self._channel(host) for host in asked},
            self._metadata,
            wish,
            away=away,
            wait_for_ready=wait_for_ready,
            stop_event=self._stop_event,
        )
        with self._lock:
            self._streams.add(stream)
        return stream

    def recent_images(
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
        """Return the newest images that a std-live-view keeps of a product of a module, the oldest first.

        Parameters
        ----------
        module_id, product
            As 1 and "img16".
        count
            How many; 0 stands for all that are kept.
        before_frame_id
            Only older ones than this ``frame_id``; 0 stands for all. So you can scroll back.
        host
            The host, where there are several.
        parse_pano_images
            As in `stream_images`.
        timeout
            Longest wait in seconds.
        """
        one = the_only(host, self._hosts)
        request = messages.RecentImagesRequest(
            module_id=module_id, product=product, count=count, before_frame_id=before_frame_id
        )
        responses = self._call(one, RECENT_IMAGES, request, timeout, list)
        return parse_recent(responses, one.name) if parse_pano_images else list(responses)

    def upload_images(self, hosts: Hosts, image_iterator: Iterable[Any], timeout: float | None = None) -> None:
        """Upload images to hosts; returns when all of them have taken all images.

        The slowest host sets the pace, because none is to lose an image. A host that fails does not stop the others.

        Parameters
        ----------
        hosts
            Hosts.
        image_iterator
            PanoImage messages, of `make_pano_image` or of another package.
        timeout
            Longest time for all of it, in seconds.

        Raises
        ------
        HostsAwayError
            One of the hosts does not answer.
        DaqDataError
            A host has refused an image, or failed; the others have what they could take.
        """
        asked = requested(hosts, self._hosts)
        alive = check_away(asked, self._answers(asked), all_must=bool(hosts))
        uploads = [Upload(host, self._channel(host), self._metadata, timeout) for host in alive]
        try:
            for image in image_iterator:
                request = messages.UploadImageRequest(pano_image=as_own_message(image))
                are_taken = [upload.put(request) for upload in uploads]  # each of them, not only up to the first
                if not any(are_taken):
                    break
            for upload in uploads:
                upload.finish()
            raise_first([upload.error() for upload in uploads])
        finally:
            for upload in uploads:
                upload.cancel()

    # -- sources

    def init_hp_io(
        self, hosts: Hosts | Document = None, hp_io_cfg: Document | None = None, timeout: float = 10.0
    ) -> bool:
        """Exchange the sources of hosts; returns whether all have done it. The log tells who has not, and why.

        Parameters
        ----------
        hosts
            Hosts; a dict or a Path here is the configuration, for all hosts.
        hp_io_cfg
            ``data_dir`` (that of daq_config goes before it), ``update_interval_seconds``, ``force``, ``simulate_daq``,
            ``module_ids``, as a dict or as the path of a JSON file.
        timeout
            Longest wait in seconds.

        Raises
        ------
        HostsAwayError
            One of the hosts, or all, do not answer.
        MissingDataDirError
            Nothing tells the data_dir; also a KeyError.
        """
        problems = self.init_problems(hosts, hp_io_cfg, timeout)
        for name, problem in problems.items():
            if problem:
                get_logger().error("init_hp_io_failed", host=name, why=problem)
        return not any(problems.values())

    def init_problems(
        self, hosts: Hosts | Document = None, hp_io_cfg: Document | None = None, timeout: float = 10.0
    ) -> dict[str, str]:
        """Exchange the sources of hosts as `init_hp_io`; returns for each host what went wrong, or an empty text."""
        names, config = init_arguments(hosts, hp_io_cfg)
        alive = self._alive(names)
        requests = {host: init_request(config, data_dir_for(host, config, own_first=True)) for host in alive}
        calls = {
            host: INIT_HP_IO.on(self._channel(host)).future(request, timeout=timeout, metadata=self._metadata)
            for host, request in requests.items()
        }
        problems = {}
        for host, call in calls.items():
            try:
                problems[host.name] = init_problem(call.result())
            except grpc.RpcError as error:
                problems[host.name] = str(failed(host, INIT_HP_IO, error))
        return problems

    def init_sim(self, hosts: Hosts = None, hp_io_cfg: Document | None = None, timeout: float = 10.0) -> bool:
        """Start the simulation of hosts as `init_hp_io`; by default ten images a second, by force."""
        return self.init_hp_io(hosts, simulation_config(hp_io_cfg), timeout)

    # -- inside

    def _channel(self, host: Host) -> Any:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the client is closed")
            if host.name not in self._channels:
                self._channels[host.name] = self._access.open_channel(host)
            return self._channels[host.name]

    def _answers(self, hosts: Iterable[Host], timeout_s: float | None = None) -> dict[str, bool]:
        """Ask hosts at once whether they are there; whatever a server says, it is."""
        timeout_s = self._answer_timeout_s if timeout_s is None else timeout_s
        calls = {
            host.name: PING.on(self._channel(host)).future(
                EMPTY, timeout=timeout_s, metadata=self._metadata, wait_for_ready=True
            )
            for host in hosts
        }
        return {name: call.code() not in GONE for name, call in calls.items()}

    def _alive(self, hosts: Hosts) -> list[Host]:
        names = self.validate_daq_hosts(hosts)
        return [self._hosts[name] for name in names]

    def _call(
        self, host: Host, call: Call, request: Any, timeout_s: float, read: Callable[[Any], Any] = lambda answer: answer
    ) -> Any:
        try:
            return read(call.on(self._channel(host))(request, timeout=timeout_s, metadata=self._metadata))
        except grpc.RpcError as error:
            raise failed(host, call, error) from None

    def _reflect(self, host: Host, timeout_s: float) -> str:
        def ask(requests: list[Any]) -> list[Any]:
            return self._call(host, REFLECTION, iter(requests), timeout_s, list)  # type: ignore[no-any-return]

        (services,) = ask([reflection_text.LIST_SERVICES])
        return reflection_text.describe(ask(reflection_text.requests_for(services)))
