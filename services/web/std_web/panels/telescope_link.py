"""TelescopeLink: the one client of a live view, for all browsers that look at its telescope."""

import threading
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Self

from std_daq.errors import ConfigError, StdDaqError
from std_daq.telescope.config import LiveViewConfig
from std_web.panels.demand_thread import Demand, DemandThread
from std_web.panels.pulse_heights import PulseHeights
from std_web.panels.telescope_tiles import TelescopeTiles

if TYPE_CHECKING:
    from std_daq.telescope.client import DaqDataClient
    from std_daq.telescope.client.image_stream import ImageStream
    from std_daq.telescope.daqdata import daq_data_pb2 as messages

_MOVIE_INTERVAL_S = 0.1
_STATUS_PERIOD_S = 1.0
_STATUS_TIMEOUT_S = 2.0
_WAIT_S = 0.1
_RELEASE_S = 2.0
# Of a stream that has ended so, the problem stays until an image comes; Status tells whether it is still one.
_CONTRADICTED = ("UNAVAILABLE", "CANCELLED", "FAILED_PRECONDITION")
_OTHERS_STREAM = "clients are streaming"


class TelescopeLink:
    """Reads a live view while somebody looks, and exchanges its sources.

    Movie images come at most ten times a second for each product of a module; pulse heights as often as the live view
    allows, because they are counted. The live view has two streams of the console, however many browsers look.

    Parameters
    ----------
    config
        The live view.

    Attributes
    ----------
    config
        The live view.
    tiles
        The newest images.
    heights
        The largest pixels of the pulse-height images.
    status
        The last answer to Status; None while there is none.
    problem
        Why there is none; empty if there is nothing to tell.
    """

    def __init__(self, config: LiveViewConfig) -> None:
        self.tiles = TelescopeTiles()
        self.heights = PulseHeights(time.monotonic)
        self.status: messages.StatusResponse | None = None
        self.problem = ""
        self.config = config
        self._reading = DemandThread(f"live view {config.name}", self._read)
        self._may_read = threading.Event()
        self._may_read.set()
        self._has_released = threading.Event()
        self._has_released.set()
        self._initialising = threading.Lock()

    async def __aenter__(self) -> Self:
        await self._reading.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._reading.__aexit__(*exception)

    def look(self) -> None:
        """Note that somebody looks."""
        self._reading.look()

    def why_not(self) -> str:
        """Return why no images come; empty if they could."""
        return self._reading.problem or self.problem

    def initialise(self, wishes: Mapping[str, Any], timeout_s: float) -> str:
        """Exchange the sources by InitHpIo; returns what went wrong, or an empty text.

        The streams of the console end before: the live view refuses the call while clients stream, and these are none
        that anybody would miss.

        Parameters
        ----------
        wishes
            As of `DaqDataClient.init_hp_io`.
        timeout_s
            Longest wait for the sources, in seconds.

        Raises
        ------
        StdDaqError
            The live view does not answer.
        """
        with self._initialising:
            self._may_read.clear()
            try:
                self._has_released.wait(_RELEASE_S)
                with open_client(self.config) as client:
                    problem = _initialise(client, wishes, timeout_s)
                if not problem:  # modules of the sources before are no modules of these
                    self.tiles.clear()
                    self.heights.clear()
                return problem
            finally:
                self._may_read.set()

    def _read(self, demand: Demand) -> None:
        while not demand.is_over:
            if self._may_read.wait(_WAIT_S):
                self._read_until(lambda: demand.is_over or not self._may_read.is_set())
                if self._may_read.is_set():  # the live view has ended the streams
                    demand.wait(_STATUS_PERIOD_S)

    def _read_until(self, is_over: Callable[[], bool]) -> None:
        self._has_released.clear()
        try:
            with open_client(self.config) as client:
                movies = client.stream_images(None, True, False, _MOVIE_INTERVAL_S, reconnect=True)
                heights = client.stream_images(None, False, True, 0.0, reconnect=True)
                takers = [
                    threading.Thread(target=_take, args=(movies, is_over, self._take_movie), name="movies"),
                    threading.Thread(target=_take, args=(heights, is_over, self._take_height), name="pulse heights"),
                ]
                for taker in takers:
                    taker.start()
                try:
                    while not is_over() and all(taker.is_alive() for taker in takers):
                        self._ask(client, movies)
                        self._pause(is_over)
                finally:
                    movies.close()
                    heights.close()
                    for taker in takers:
                        taker.join()
        finally:
            self._has_released.set()

    def _take_movie(self, image: dict[str, Any]) -> None:
        self.tiles.put(image)

    def _take_height(self, image: dict[str, Any]) -> None:
        self.tiles.put(image)
        if image["image_array"].size:
            self.heights.add(image["module_id"], int(image["image_array"].max()), image["skipped"] or 0)

    def _ask(self, client: "DaqDataClient", stream: "ImageStream") -> None:
        try:
            self.status = client.status(timeout=_STATUS_TIMEOUT_S)
            self.problem = "" if self.status.hp_io_initialized else self.status.message
        except StdDaqError as error:
            self.status = None
            self.problem = str(error)
        for progress in stream.progress.values():
            if not any(status in progress.problem for status in _CONTRADICTED):
                self.problem = self.problem or progress.problem

    def _pause(self, is_over: Callable[[], bool]) -> None:
        until_s = time.monotonic() + _STATUS_PERIOD_S
        while not is_over() and time.monotonic() < until_s:
            time.sleep(_WAIT_S)


def open_client(config: LiveViewConfig) -> "DaqDataClient":
    """Return a client of a live view on this machine.

    Raises
    ------
    ConfigError
        The configuration names no way to it that the console can take.
    """
    from std_daq.telescope.client import Access, DaqDataClient

    access = Access(token_file=config.token_file)
    if config.unix_socket is not None:
        return DaqDataClient(host=f"unix:{config.unix_socket}", access=access)
    if config.tls is not None or not config.port:
        why = "its port is encrypted" if config.tls is not None else "port is 0, and so nobody knows it"
        raise ConfigError(
            f"the console cannot reach the live view: {why}", key="unix_socket", remedy="give a Unix socket as well"
        )
    return DaqDataClient(host=_reachable(config.host), port=config.port, access=access)


def _reachable(host: str) -> str:
    """Return an address that reaches this machine, if a server listens at this one."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return host


def _take(stream: "ImageStream", is_over: Callable[[], bool], take: Callable[[dict[str, Any]], None]) -> None:
    while not is_over():
        try:
            image = stream.poll(_WAIT_S)
        except (StopIteration, StdDaqError):
            return
        if image is not None:
            take(image)


def _initialise(client: "DaqDataClient", wishes: Mapping[str, Any], timeout_s: float) -> str:
    until_s = time.monotonic() + _RELEASE_S
    while True:
        (problem,) = client.init_problems(None, dict(wishes), timeout_s).values()
        # The server notices a moment later that the streams of the console have ended.
        if _OTHERS_STREAM not in problem or time.monotonic() >= until_s:
            return problem
        time.sleep(_WAIT_S)
