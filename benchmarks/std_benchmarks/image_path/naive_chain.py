"""The chain in the obvious way: two Python processes, numpy and h5py, as one writes it for an experiment next week.

One process takes packet after packet from the socket and copies it to its place in its frame. It hands whole frames
through a queue to the other, which corrects them with numpy and writes ``dataset[i] = image``. Nothing here is slow on
purpose: the receiving loop does no more than it must, the corrections are whole-array operations in float32 on tables
that were inverted before, and the socket has the same buffer as that of std-udp-recv. Nothing is checked that a
detector does not get wrong by itself, and what is lost is only counted.

This file knows nothing of std-daq, as a script at a beamline would not.
"""

import argparse
import contextlib
import json
import multiprocessing
import socket
import struct
import sys
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 512, 1024
PACKETS_PER_FRAME = 128
HEADER_BYTES = 48
ROWS_PER_PACKET = ROWS // PACKETS_PER_FRAME
FRAME_AND_PACKET_NUMBER = struct.Struct("<QII")
SILENCE_S = 1.0
OPEN_FRAMES = 4

_SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class Calibration:
    """Pedestals and inverse gains of the four gain codes, each (4, rows, columns); code 2 does not exist."""

    pedestals: NDArray[np.float32]
    inverse_gains: NDArray[np.float32]

    @classmethod
    def load(cls, pedestal_file: Path, gain_file: Path) -> Self:
        """Read the files; raises OSError."""
        with h5py.File(pedestal_file) as pedestals, h5py.File(gain_file) as gains:
            nothing = np.full((ROWS, COLUMNS), np.nan, np.float32)
            p, g = pedestals["gains"][:3], gains["gains"][:3]
            inverse = (1 / g).astype(np.float32)
            return cls(np.stack([p[0], p[1], nothing, p[2]]), np.stack([inverse[0], inverse[1], nothing, inverse[2]]))


def correct(raw: NDArray[np.uint16], calibration: Calibration) -> NDArray[np.float32]:
    """Return energies in keV, (rows, columns)."""
    code = raw >> 14
    adc = (raw & 0x3FFF).astype(np.float32)
    pedestals, inverse_gains = calibration.pedestals, calibration.inverse_gains
    energy: NDArray[np.float32] = (adc - pedestals[0]) * inverse_gains[0]
    for other in (1, 2, 3):
        has_other = code == other
        energy[has_other] = (adc[has_other] - pedestals[other][has_other]) * inverse_gains[other][has_other]
    return energy


def receive(port: int, buffer_bytes: int, n_images: int, frames: "Queue[Any]") -> None:
    """Receive so many whole frames, and put them into the queue with their numbers; at the end None."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
    sock.bind(("127.0.0.1", port))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    packet = bytearray(HEADER_BYTES + ROWS_PER_PACKET * COLUMNS * 2)
    payload = np.frombuffer(packet, np.uint16, offset=HEADER_BYTES).reshape(ROWS_PER_PACKET, COLUMNS)
    open_frames: dict[int, tuple[NDArray[np.uint16], list[int]]] = {}
    n_whole = 0
    while n_whole < n_images:
        try:
            sock.recv_into(packet)
        except TimeoutError:
            break
        number, _, row = FRAME_AND_PACKET_NUMBER.unpack_from(packet)
        frame = open_frames.get(number)
        if frame is None:
            sock.settimeout(SILENCE_S)
            frame = open_frames[number] = np.empty((ROWS, COLUMNS), np.uint16), [0]
            if len(open_frames) > OPEN_FRAMES:
                del open_frames[min(open_frames)]
        image, n_received = frame
        image[row * ROWS_PER_PACKET : (row + 1) * ROWS_PER_PACKET] = payload
        n_received[0] += 1
        if n_received[0] == PACKETS_PER_FRAME:
            del open_frames[number]
            frames.put((number, image))
            n_whole += 1
    frames.put(None)


def write(file: Path, n_images: int, calibration: Calibration, frames: "Queue[Any]") -> int:
    """Correct and write what comes, until None; returns how many images there are."""
    with h5py.File(file, "x") as output:
        shape = (n_images, ROWS, COLUMNS)
        images = output.create_dataset("data", shape, np.float32, chunks=(1, ROWS, COLUMNS))
        numbers = output.create_dataset("frame_number", (n_images,), np.uint64)
        n_written = 0
        for number, raw in iter(frames.get, None):
            images[n_written] = correct(raw, calibration)
            numbers[n_written] = number
            n_written += 1
    return n_written


def main() -> int:
    """Receive and write one series; prints "ready", and at the end how many images were written and when."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--buffer-bytes", type=int, required=True)
    parser.add_argument("--queue", type=int, required=True, help="frames that may wait to be corrected")
    parser.add_argument("--n-images", type=int, required=True)
    parser.add_argument("--pedestal-file", type=Path, required=True)
    parser.add_argument("--gain-file", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    calibration = Calibration.load(arguments.pedestal_file, arguments.gain_file)
    frames: Queue[Any] = multiprocessing.Queue(arguments.queue)
    receiver = multiprocessing.Process(
        target=receive, args=(arguments.port, arguments.buffer_bytes, arguments.n_images, frames)
    )
    receiver.start()
    n_written = write(arguments.output, arguments.n_images, calibration, frames)
    receiver.join()
    sys.stdout.write(json.dumps({"n_written": n_written, "ended_s": time.monotonic()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
