"""Exporters that send what a test says, and frames of boards whose samples tell where they come from."""

import socket

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import N_AGETS, N_CHANNELS, N_TIME_BUCKETS, Board
from std_daq.tpc.frames.encode import EventHeader, encode_full, encode_message, encode_partial

HOST = "127.0.0.1"


class ScriptedExporter:
    """A TCP server as an exporter is: every client gets what is sent after it has connected.

    Parameters
    ----------
    port
        Port to listen at; by default any free one.
    """

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((HOST, port))
        self._listener.listen()
        self._listener.setblocking(False)
        self._clients: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{HOST}:{self.port}"

    def accept(self) -> int:
        """Take the clients that have come; returns how many there are."""
        while True:
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return len(self._clients)
            client.settimeout(30)
            self._clients.append(client)

    def send(self, data: bytes) -> None:
        """Send bytes to all clients; one that has gone is forgotten."""
        for client in self._clients[:]:
            try:
                client.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                self._clients.remove(client)
                client.close()

    def disconnect(self) -> None:
        """Close the connections of all clients."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    def close(self) -> None:
        """Close everything."""
        self.disconnect()
        self._listener.close()


def samples_of(event_id: int, board: Board, run: int = 0, n_channels: int = 5) -> NDArray[np.int16]:
    """Return samples that differ with run, event, board and channel, int16 (4, 68, 512); -1 where none is sent."""
    samples = np.full((N_AGETS, N_CHANNELS, N_TIME_BUCKETS), -1, np.int16)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([run, event_id, *board])))
    channels = rng.choice(N_CHANNELS, n_channels, replace=False)
    samples[rng.integers(0, N_AGETS, n_channels), channels] = rng.integers(0, 4096, (n_channels, N_TIME_BUCKETS))
    return samples


def frame_of(
    event_id: int, board: Board, run: int = 0, *, is_full: bool = False, event_time: int | None = None
) -> bytes:
    """Return a frame with `samples_of` the event."""
    header = EventHeader(event_id, 1000 * run + event_id if event_time is None else event_time, board)
    samples = samples_of(event_id, board, run, N_CHANNELS if is_full else 5)
    return encode_full(header, np.maximum(samples, 0)) if is_full else encode_partial(header, samples)


def message_of(event_id: int, board: Board, run: int = 0) -> bytes:
    """Return a message with `frame_of` the event."""
    return encode_message(frame_of(event_id, board, run))


def rows_of(event_id: int, boards: list[Board], run: int = 0) -> NDArray[np.int16]:
    """Return the matrix of an event of a chamber without a channel map, made in plain numpy."""
    rows = []
    for cobo, asad in boards:
        samples = samples_of(event_id, (cobo, asad), run)
        for aget in range(N_AGETS):
            for channel in range(N_CHANNELS):
                trace = samples[aget, channel]
                if (trace >= 0).any() and channel not in {11, 22, 45, 56}:
                    pad = ((cobo * 4 + asad) * 4 + aget) * 68 + channel
                    rows.append(np.concatenate(([cobo, asad, aget, channel, pad], np.maximum(trace, 0))))
    matrix = np.array(rows, np.int16).reshape(-1, 5 + N_TIME_BUCKETS)
    return matrix[np.argsort(matrix[:, 4])]
