"""Clients that receive images and note when each came, in processes of their own."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import grpc.aio

from std_benchmarks.receiving.cpu_time import process_s
from std_daq.errors import ResourceError
from std_daq.telescope.daqdata import daq_data_pb2 as messages

_STREAM = "/daqdata.DaqData/StreamImages"
_MAX_MESSAGE_BYTES = 64 * 2**20
_PATIENCE_S = 10.0
LAST = 65535
"""First pixel of the last image of a series."""


@dataclass(slots=True)
class Received:
    """What one client got of a series.

    Parameters
    ----------
    frame_numbers
        In the order in which they came.
    delays_ms
        From the time in the header of an image, at which it was sent, until the client had it.
    n_skipped
        What the server says that it has left out.
    seconds
        From the first image to the last one.
    """

    frame_numbers: list[int] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)
    n_skipped: int = 0
    seconds: float = 0.0

    @property
    def rate_hz(self) -> float:
        """Images a second."""
        return (len(self.frame_numbers) - 1) / self.seconds if len(self.frame_numbers) > 1 else 0.0


class ClientProcess:
    """A process with some clients, each with a connection of its own.

    Parameters
    ----------
    n_clients
        How many.
    """

    def __init__(self, n_clients: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, n_clients), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def cpu_s(self) -> float:
        """CPU time so far."""
        assert self._process.pid is not None, "it was started"
        return process_s(self._process.pid)

    def begin(self, address: str) -> None:
        """Subscribe, and return when each client has an image: the one before the series, which does not count."""
        self._ours.send(address)
        self._take()

    def results(self) -> list[Received]:
        """Wait until each client has the last image, or none has come for a while, and return what each got."""
        results: list[Received] = self._take()
        return results

    def close(self) -> None:
        """End the process."""
        self._ours.close()
        self._process.terminate()
        self._process.join()

    def _take(self) -> list[Received]:
        if not self._ours.poll(2 * _PATIENCE_S):
            raise ResourceError("the clients do not answer")
        answer: list[Received] | Exception = self._ours.recv()
        if isinstance(answer, Exception):
            raise ResourceError(f"a client failed: {answer}")
        return answer


@contextmanager
def client_processes(numbers: Sequence[int]) -> Iterator[list[ClientProcess]]:
    """Start processes with so many clients each."""
    processes = [ClientProcess(n) for n in numbers]
    try:
        yield processes
    finally:
        for process in processes:
            process.close()


def _serve(pipe: Connection, n_clients: int) -> None:
    while True:
        try:
            address = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(asyncio.run(_series(pipe, address, n_clients)))
        except grpc.aio.AioRpcError as error:
            pipe.send(ResourceError(f"{error.code()}: {error.details()}"))


async def _series(pipe: Connection, address: str, n_clients: int) -> list[Received]:
    options = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES), ("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(n_clients)]
    try:
        connected = [asyncio.Event() for _ in channels]
        tasks = [
            asyncio.create_task(_receive(channel, event)) for channel, event in zip(channels, connected, strict=True)
        ]
        ready = asyncio.create_task(_all_of(connected))
        await asyncio.wait([ready, *tasks], return_when=asyncio.FIRST_COMPLETED)
        pipe.send([])
        return list(await asyncio.gather(*tasks))
    finally:
        for channel in channels:
            await channel.close()


async def _all_of(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _receive(channel: grpc.aio.Channel, is_connected: asyncio.Event) -> Received:
    """Take a series: what comes first tells that the stream is there, and does not count."""
    stream = channel.unary_stream(
        _STREAM, messages.StreamImagesRequest.SerializeToString, messages.StreamImagesResponse.FromString
    )(messages.StreamImagesRequest(stream_movie_data=True))
    received = Received()
    began = 0.0
    try:
        while True:
            response = await asyncio.wait_for(stream.read(), _PATIENCE_S)
            now_ns = time.time_ns()
            if not is_connected.is_set():
                is_connected.set()
                before = response.left_out.by_interval + response.left_out.by_slow_client
                continue
            began = began or time.perf_counter()
            received.frame_numbers.append(response.pano_image.frame_number)
            received.delays_ms.append((now_ns - response.capture_time.ToNanoseconds()) / 1e6)
            received.seconds = time.perf_counter() - began
            received.n_skipped = response.left_out.by_interval + response.left_out.by_slow_client - before
            if is_last(response):
                break
    except TimeoutError:
        pass  # what is missing is counted by whoever knows how many were sent
    finally:
        stream.cancel()
    return received


def is_last(response: messages.StreamImagesResponse) -> bool:
    """Return whether this is the last image of a series."""
    return bool(response.pano_image.image_array[0] == LAST)
