"""The live view as a process, and a bare gRPC server as its reference."""

import asyncio
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from std_benchmarks.receiving.cpu_time import process_s
from std_benchmarks.viewing.acquisition import MODULE, PRODUCT, header_of_now
from std_benchmarks.viewing.clients import LAST
from std_daq.errors import ResourceError
from std_daq.telescope.daqdata import daq_data_pb2 as messages

_READY_S = 30.0
_LOOK_S = 0.05
_QUEUE = 64


class LiveView:
    """A live view in a process of its own, with all that a configuration may have.

    Parameters
    ----------
    folder
        For its configuration and sockets.
    sources
        Section ``sources`` of the configuration.
    interval_s
        Shortest time between two images of a stream; files are looked at as often.
    """

    def __init__(self, folder: Path, sources: dict[str, Any], interval_s: float = 0.001) -> None:
        folder.mkdir()
        self._socket = folder / "live.sock"
        config = folder / "live.json"
        document = {
            "port": None,
            "unix_socket": str(self._socket),
            "max_streams": 100,
            "required_process": None,
            "runtime_dir": str(folder),
            "start": {"data_dir": str(folder), "update_interval_s": interval_s},
            "sources": sources,
        }
        config.write_text(json.dumps(document))
        command = [sys.executable, "-m", "std_live_view", "--config", str(config), "--log-level", "error"]
        self._process = subprocess.Popen(command)

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"unix://{self._socket}"

    @property
    def cpu_s(self) -> float:
        """CPU time so far."""
        return process_s(self._process.pid)

    def wait_for(self, *paths: Path) -> None:
        """Wait until it has opened its sources, and listens also on other sockets; raises ResourceError."""
        deadline = time.monotonic() + _READY_S
        while not (self._is_initialised() and all(path.exists() for path in paths)):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise ResourceError("the live view is not ready")
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_READY_S)

    def _is_initialised(self) -> bool:
        with grpc.insecure_channel(self.address) as channel:
            ask = channel.unary_unary(
                "/daqdata.DaqData/Status", response_deserializer=messages.StatusResponse.FromString
            )
            try:
                return bool(ask(b"", timeout=_READY_S).hp_io_initialized)
            except grpc.RpcError:
                return False


class BareServer:
    """A server that does nothing but send: each image is made once, and written to all streams; uploads are only read.

    Parameters
    ----------
    folder
        For its socket.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.address = f"unix://{folder}/bare.sock"
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_run_bare, args=(theirs, self.address), daemon=True)
        self._process.start()
        theirs.close()
        self._ours.recv()

    @property
    def cpu_s(self) -> float:
        """CPU time so far."""
        assert self._process.pid is not None, "it was started"
        return process_s(self._process.pid)

    def send(self, n_images: int, rate_hz: float) -> float:
        """Send a series to all streams; returns how many seconds it took."""
        self._ours.send((n_images, rate_hz))
        seconds: float = self._ours.recv()
        return seconds

    def close(self) -> None:
        """End it."""
        self._ours.close()
        self._process.terminate()
        self._process.join()


@contextmanager
def opened(*servers: Any) -> Iterator[Sequence[Any]]:
    """Close servers at the end."""
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def _message(pixels: list[int], number: int) -> bytes:
    response = messages.StreamImagesResponse()
    header = header_of_now()
    stamp = header["quabo_0"]
    response.capture_time.FromMicroseconds(stamp["tv_sec"] * 10**6 + stamp["tv_usec"])
    response.pano_image.type = messages.PanoImage.MOVIE
    response.pano_image.header.update(header)
    response.pano_image.image_array.extend(pixels)
    response.pano_image.shape.extend(PRODUCT.shape)
    response.pano_image.bytes_per_pixel = PRODUCT.dtype.itemsize
    response.pano_image.module_id = MODULE
    response.pano_image.frame_number = number
    data: bytes = response.SerializeToString()
    return data


def _run_bare(pipe: Connection, address: str) -> None:
    asyncio.run(_serve_bare(pipe, address))


async def _serve_bare(pipe: Connection, address: str) -> None:
    queues: set[asyncio.Queue[bytes]] = set()
    rng_pixels = [(i * 37) % 4096 for i in range(PRODUCT.shape[0] * PRODUCT.shape[1])]

    async def stream(request: bytes, context: Any) -> None:  # noqa: ARG001
        queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)
        queue.put_nowait(_message([0, *rng_pixels[1:]], 0))
        queues.add(queue)
        try:
            while True:
                await context.write(await queue.get())
        finally:
            queues.discard(queue)

    server = grpc.aio.server()

    async def upload(requests: AsyncIterator[messages.UploadImageRequest], context: Any) -> bytes:  # noqa: ARG001
        async for _ in requests:
            pass
        return b""

    handlers = {
        "StreamImages": grpc.unary_stream_rpc_method_handler(stream),
        "UploadImages": grpc.stream_unary_rpc_method_handler(upload, messages.UploadImageRequest.FromString),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("daqdata.DaqData", handlers),))
    server.add_insecure_port(address)
    await server.start()
    pipe.send(None)
    while True:
        n_images, rate_hz = await asyncio.to_thread(pipe.recv)
        began = time.perf_counter()
        for i in range(n_images):
            await asyncio.sleep(max(0.0, began + i / rate_hz - time.perf_counter()))
            message = _message([LAST if i == n_images - 1 else 0, *rng_pixels[1:]], i)
            for queue in list(queues):
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(message)
        pipe.send(time.perf_counter() - began)
