"""Exporters that send what a test says, and frames of boards whose samples tell where they come from."""

import socket
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from std_daq.tpc.electronics import CHANNELS_PER_BOARD, FPN_CHANNELS, N_AGETS, N_CHANNELS, N_TIME_BUCKETS, Board
from std_daq.tpc.frames.encode import EventHeader, encode_full, encode_items, encode_message, partial_items

HOST = "127.0.0.1"
N_TRACES = 5


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


def traces_of(event_id: int, board: Board, run: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return five channels of a board and their samples, which differ with run, event and board.

    Channels are aget * 68 + channel, ascending, shape (5,); samples have the shape (5, 512).
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([run, event_id, *board])))
    channels = np.sort(rng.choice(CHANNELS_PER_BOARD, N_TRACES, replace=False))
    return channels, rng.integers(0, 4096, (N_TRACES, N_TIME_BUCKETS))


def frame_of(event_id: int, board: Board, run: int = 0, *, is_full: bool = False) -> bytes:
    """Return a frame with `traces_of` the event; in a full readout, the other channels are 0."""
    header = EventHeader(event_id, 1000 * run + event_id, board)
    channels, samples = traces_of(event_id, board, run)
    if is_full:
        everything = np.zeros((CHANNELS_PER_BOARD, N_TIME_BUCKETS), np.int16)
        everything[channels] = samples
        return encode_full(header, everything.reshape(N_AGETS, N_CHANNELS, N_TIME_BUCKETS))
    by_channel, time_buckets = np.repeat(channels, N_TIME_BUCKETS), np.tile(np.arange(N_TIME_BUCKETS), N_TRACES)
    items = partial_items(by_channel // N_CHANNELS, by_channel % N_CHANNELS, time_buckets, samples.reshape(-1))
    return encode_items(header, items)


def message_of(event_id: int, board: Board, run: int = 0) -> bytes:
    """Return a message with `frame_of` the event."""
    return encode_message(frame_of(event_id, board, run))


def rows_of(event_id: int, boards: Sequence[Board], run: int = 0) -> NDArray[np.int16]:
    """Return the matrix of an event of a chamber without a channel map, made in plain numpy."""
    parts = [np.zeros((0, 5 + N_TIME_BUCKETS), np.int16)]
    for cobo, asad in sorted(boards):
        channels, samples = traces_of(event_id, (cobo, asad), run)
        rows = np.empty((N_TRACES, 5 + N_TIME_BUCKETS), np.int16)
        rows[:, :2] = cobo, asad
        rows[:, 2], rows[:, 3] = channels // N_CHANNELS, channels % N_CHANNELS
        rows[:, 4] = (cobo * 4 + asad) * CHANNELS_PER_BOARD + channels
        rows[:, 5:] = samples
        parts.append(rows[~np.isin(rows[:, 3], FPN_CHANNELS)])
    return np.concatenate(parts)
