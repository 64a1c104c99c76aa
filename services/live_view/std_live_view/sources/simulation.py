"""The simulated acquisition: producers that send frames the way a real one does."""

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import grpc

from std_daq.telescope.config import SimulationConfig
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.product import Product
from std_daq.telescope.pff.writer import encode_frame
from std_live_view.call_thread import within
from std_live_view.encoding import encode_pixels
from std_live_view.sources.played_frames import PlayedFrame, PlayedFrames
from std_live_view.sources.run_directory_source import PIPE_NAME
from std_live_view.sources.source import SourceState

_RECONNECT_S = 0.2
_BEHIND_S = 1.0
_PIPE_ENTRY_BYTES = 10


class Way(Protocol):
    """How the frames of a simulation reach the server."""

    async def open(self) -> None:
        """Get ready to send."""

    async def send(self, product: Product, module_id: int, number: int, frame: PlayedFrame) -> bool:
        """Send a frame; returns False if no further one will be taken."""

    async def close(self) -> None:
        """Release everything, and remove what was made."""


class Simulation:
    """Sends frames of one movie and one pulse-height product for each module at a fixed rate.

    Parameters
    ----------
    config
        Modules, files and rate.
    folder
        Folder to which relative paths refer.
    way
        How the frames reach the server.
    """

    def __init__(self, config: SimulationConfig, folder: Path, way: Way) -> None:
        self._config = config
        self._folder = folder
        self._way = way
        self._playing: list[PlayedFrames] = []
        self.name = f"simulation {config.mode}"
        self.state = SourceState()

    async def open(self) -> None:
        """Open the files; raises FileFormatError or OSError."""
        self._playing = await within(None, "simulation", self._open_files)
        await self._way.open()

    async def run(self) -> None:
        """Send frames until it is cancelled, or until the way takes no more."""
        next_s = time.monotonic()
        for number in itertools.count():
            for frames in self._playing:
                frame = frames.frame(number)
                for module_id in self._config.module_ids:
                    if not await self._way.send(frames.product, module_id, number, frame):
                        self.state.problem = f"the simulation has ended after {self.state.n_frames} frames"
                        return
                    self.state.n_frames += 1
            next_s += 1 / self._config.rate_hz
            if next_s < time.monotonic() - _BEHIND_S:
                next_s = time.monotonic()
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))

    async def close(self) -> None:
        """Close the files, and remove what was made."""
        for frames in self._playing:
            frames.close()
        self._playing.clear()
        await self._way.close()

    def _open_files(self) -> list[PlayedFrames]:
        opened: list[PlayedFrames] = []
        try:
            for file, is_pulse_height in ((self._config.movie_file, False), (self._config.pulse_height_file, True)):
                path = None if file is None else self._folder / file
                opened.append(PlayedFrames(path, is_pulse_height=is_pulse_height))
        except BaseException:
            for frames in opened:
                frames.close()
            raise
        return opened


class SocketWay:
    """Writes frames into the server's Unix sockets, as an acquisition does.

    Parameters
    ----------
    path_of
        The path of the socket of each product.
    """

    def __init__(self, path_of: dict[str, Path]) -> None:
        self._path_of = path_of
        self._writers: dict[str, asyncio.StreamWriter] = {}

    async def open(self) -> None:
        """Connect with the first frame."""

    async def send(self, product: Product, module_id: int, number: int, frame: PlayedFrame) -> bool:  # noqa: ARG002
        """Write a frame; a connection that was closed is made again with the next one."""
        data = module_id.to_bytes(2, "big") + encode_frame(frame.pixels, frame.header, product, HeaderForm.SOCKET)
        try:
            writer = self._writers.get(product.name)
            if writer is None:
                _, writer = await asyncio.open_unix_connection(self._path_of[product.name])
                self._writers[product.name] = writer
            writer.write(data)
            await writer.drain()
        except OSError:
            if lost := self._writers.pop(product.name, None):
                lost.close()
            await asyncio.sleep(_RECONNECT_S)
        return True

    async def close(self) -> None:
        """Close the connections."""
        for writer in self._writers.values():
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        self._writers.clear()


class UploadWay:
    """Calls the server's own UploadImages.

    Parameters
    ----------
    make_channel
        Makes a channel to the server.
    metadata
        What each call brings.
    """

    def __init__(self, make_channel: "ChannelMaker", metadata: tuple[tuple[str, str], ...]) -> None:
        self._make_channel = make_channel
        self._metadata = metadata
        self._channel: grpc.aio.Channel | None = None
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._call: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin the call."""
        self._channel = self._make_channel()
        self._call = asyncio.create_task(self._upload(self._channel))

    async def send(self, product: Product, module_id: int, number: int, frame: PlayedFrame) -> bool:
        """Upload a frame."""
        image = messages.PanoImage(
            type=messages.PanoImage.PULSE_HEIGHT if product.is_pulse_height else messages.PanoImage.MOVIE,
            shape=product.shape,
            bytes_per_pixel=product.dtype.itemsize,
            file=f"rpc_sim_{product.name}.pff",
            frame_number=number,
            module_id=module_id,
        )
        image.header.update(frame.header)
        request = messages.UploadImageRequest(
            pano_image=messages.PanoImage.FromString(image.SerializeToString() + encode_pixels(frame.pixels))
        )
        await self._waiting.put(request.SerializeToString())
        return True

    async def close(self) -> None:
        """End the call."""
        if self._call is not None:
            self._call.cancel()
            await asyncio.gather(self._call, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()

    async def _upload(self, channel: grpc.aio.Channel) -> None:
        while True:
            try:
                await channel.stream_unary("/daqdata.DaqData/UploadImages")(self._requests(), metadata=self._metadata)
            except grpc.aio.AioRpcError:  # while the server is being configured
                await asyncio.sleep(_RECONNECT_S)

    async def _requests(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._waiting.get()


class ChannelMaker(Protocol):
    """Makes a channel to the server itself."""

    def __call__(self) -> grpc.aio.Channel:
        """Return a new channel."""


class FileWay:
    """Writes run directories, as an acquisition does.

    Parameters
    ----------
    data_dir
        The folder of the modules; it is removed at the end if it was made here.
    config
        Sizes of the files, and how many frames there are.
    with_pipe
        Whether to tell of each frame through the pipe of the run.
    """

    def __init__(self, data_dir: Path, config: SimulationConfig, *, with_pipe: bool) -> None:
        self._data_dir = data_dir
        self._config = config
        self._with_pipe = with_pipe
        self._was_there = data_dir.exists()
        self._made: list[Path] = []

    async def open(self) -> None:
        """Make the folders of the runs; raises OSError."""
        for module_id in self._config.module_ids:
            run = self._run(module_id)
            run.mkdir(parents=True)
            self._made.append(run)

    async def send(self, product: Product, module_id: int, number: int, frame: PlayedFrame) -> bool:
        """Add a frame to a file; returns False if there have been enough."""
        if number >= self._config.frame_limit:
            return False
        run = self._run(module_id)
        seqno = number // self._config.frames_per_file
        with (run / f"sim.dp_{product.name}.module_{module_id}.seqno_{seqno}.pff").open("ab") as file:
            file.write(encode_frame(frame.pixels, frame.header, product))
        pipe = run / PIPE_NAME
        if self._with_pipe and pipe.is_fifo():
            with pipe.open("r+b", buffering=0) as writing:
                writing.write(product.name.ljust(_PIPE_ENTRY_BYTES).encode())
        return True

    async def close(self) -> None:
        """Remove the runs."""
        for run in self._made:
            await asyncio.to_thread(shutil.rmtree, run, ignore_errors=True)
            with suppress(OSError):
                run.parent.rmdir()
        self._made.clear()
        if not self._was_there:
            with suppress(OSError):
                self._data_dir.rmdir()

    def _run(self, module_id: int) -> Path:
        return self._data_dir / f"module_{module_id}" / "obs_SIMULATE"
