"""A console as a process, and its clients: what browsers do that show live images."""

import asyncio
import json
import multiprocessing
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from std_benchmarks.receiving.cpu_time import process_s
from std_daq.errors import ResourceError
from std_test_kit.free_ports import free_tcp_port

NAME = "bench"
WINDOW = (1024, 1024)
REGION_OF_INTEREST = [500, 500, 700, 700]
_READY_S = 30.0
_LOOK_S = 0.05


class ConsoleProcess:
    """A console that shows a detector of 4 Mpixel, whose ring lies in shared memory.

    Parameters
    ----------
    folder
        For its configuration.
    shm
        Where the ring is.
    """

    def __init__(self, folder: Path, shm: Path) -> None:
        folder.mkdir()
        port = free_tcp_port()
        config = folder / "detector.json"
        positions = {
            module: [1024 * (module % 2), 512 * (module // 2), 1024 * (module % 2) + 1023, 512 * (module // 2) + 511]
            for module in range(8)
        }
        document = {
            "detector_name": NAME,
            "detector_type": "jungfrau",
            "n_modules": 8,
            "bit_depth": 16,
            "image_pixel_height": 2048,
            "image_pixel_width": 2048,
            "module_positions": positions,
            "start_udp_port": 50000,
            "runtime_dir": str(folder),
            "shared_memory": {"directory": str(shm)},
            "services": {"web": {"port": port}},
        }
        config.write_text(json.dumps(document))
        self._port = port
        self.address = f"ws://127.0.0.1:{port}/api/v1/detectors/{NAME}/live"
        self.page = f"http://127.0.0.1:{port}/?view=image"
        command = [sys.executable, "-m", "std_web", "--config", str(config), "--no-token", "--log-level", "error"]
        self._process = subprocess.Popen(command)

    def wait_ready(self) -> None:
        """Wait until it answers; raises ResourceError if it does not."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), _LOOK_S):
                return
            time.sleep(_LOOK_S)
        raise ResourceError("the console does not answer")

    @property
    def cpu_s(self) -> float:
        """CPU time so far."""
        return process_s(self._process.pid)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_READY_S)


class Browsers:
    """Clients of a console in a process of their own, that ask for the next image as soon as they have one.

    Parameters
    ----------
    address
        Address of the WebSocket.
    n_clients
        How many.
    """

    def __init__(self, address: str, n_clients: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_look, args=(theirs, address, n_clients), daemon=True)
        self._process.start()
        theirs.close()
        if not self._ours.poll(2 * _READY_S) or self._ours.recv() != "begun":
            raise ResourceError("the clients get no image from the console")

    def results(self) -> list[tuple[int, float]]:
        """Return, for each client, how many images came since the last call, and the median delay in ms."""
        self._ours.send("results")
        found: list[tuple[int, float]] = self._ours.recv()
        return found

    def close(self) -> None:
        """End them."""
        self._ours.close()
        self._process.terminate()
        self._process.join()


def _look(pipe: Connection, address: str, n_clients: int) -> None:
    asyncio.run(_look_all(pipe, address, n_clients))


async def _look_all(pipe: Connection, address: str, n_clients: int) -> None:
    delays: list[list[float]] = [[] for _ in range(n_clients)]
    tasks = [asyncio.create_task(_one(address, of_one)) for of_one in delays]
    while not all(delays):
        await asyncio.wait(tasks, timeout=_LOOK_S)
    pipe.send("begun")
    while True:
        if pipe.poll():
            try:
                pipe.recv()
            except EOFError:
                return
            pipe.send([(len(of_one), float(np.median(of_one)) if of_one else 0.0) for of_one in delays])
            for of_one in delays:
                of_one.clear()
        await asyncio.sleep(_LOOK_S)


async def _one(address: str, delays: list[float]) -> None:
    view: dict[str, Any] = {"type": "view", "size": list(WINDOW), "histogram": True, "rois": [REGION_OF_INTEREST]}
    live = await _connected(address)
    await live.send(json.dumps(view))
    await live.send('{"type":"next"}')
    async for message in live:
        if isinstance(message, bytes):
            header = json.loads(message[8 : 8 + int.from_bytes(message[4:8], "little")])
            delays.append((time.time_ns() - header["time_ns"]) / 1e6)
            await live.send('{"type":"next"}')


async def _connected(address: str) -> Any:
    from websockets.asyncio.client import connect

    deadline = time.monotonic() + _READY_S
    while True:
        try:
            return await connect(address, max_size=None, compression=None, proxy=None).__aenter__()
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_LOOK_S)
