"""Small chambers that tests simulate, and a client of their exporters."""

import json
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from std_daq.tpc.electronics import Board
from std_daq.tpc.frames.frame import Frame
from std_daq.tpc.frames.splitter import FrameSplitter, StreamCounts
from std_daq.tpc.pads.channel_map import write_channel_map
from std_daq.tpc.simulation.invented_map import invented_map

_LIMIT_S = 30.0
_MAX_FRAME_BYTES = 2**20


def write_chamber(folder: Path, exporters: Sequence[str], boards: Sequence[Board], **keys: Any) -> Path:
    """Write a ``tpc.json`` and its channel map; returns the configuration."""
    write_channel_map(folder / "map.csv", invented_map(boards))
    document = {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": list(exporters),
        "pads": {"electronics": "map.csv", "geometry": "attpc", "scale": "attpc"},
        **keys,
    }
    file = folder / "tpc.json"
    file.write_text(json.dumps(document))
    return file


class FrameClient:
    """Takes all frames of one exporter in a thread, until the exporter closes the connection.

    Attributes
    ----------
    frames
        The frames that have come.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.frames: list[Frame] = []
        self._splitter = FrameSplitter(_MAX_FRAME_BYTES)
        self._address = (host, int(port))
        self._thread = threading.Thread(target=self._run, name=f"client of {address}")
        self._thread.start()

    @property
    def counts(self) -> StreamCounts:
        """What has come."""
        return self._splitter.counts

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream ended where a message ends."""
        return self._splitter.is_between_frames

    def join(self) -> None:
        """Wait for the end of the connection."""
        self._thread.join(_LIMIT_S)
        assert not self._thread.is_alive(), "the exporter has not closed the connection"

    def _run(self) -> None:
        with self._connect() as connection:
            while n_bytes := connection.recv_into(self._splitter.memory()):
                self._splitter.received(n_bytes)
                self.frames += self._splitter.frames()

    def _connect(self) -> socket.socket:
        """Connect as soon as the exporter listens, never to this socket itself."""
        pause = threading.Event()
        for _ in range(int(_LIMIT_S / 0.02)):
            connection = socket.socket()
            try:
                connection.connect(self._address)
            except OSError:
                connection.close()
            else:
                if connection.getsockname() != connection.getpeername():
                    return connection
                connection.close()
            pause.wait(0.02)
        raise TimeoutError(f"nobody listens at {self._address}")
