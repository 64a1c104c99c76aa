"""Sends events of 40 boards over TCP, as one exporter does, as fast as its client takes them.

    python -m std_benchmarks.building.sender READOUT N_EVENTS

prints its port, and sends to its first client. Each line on standard input allows further events.
"""

import socket
import sys

import numpy as np

from std_daq.tpc.electronics import N_AGETS, N_CHANNELS, N_TIME_BUCKETS
from std_daq.tpc.frames.encode import EventHeader, encode_full, encode_message, encode_partial

BOARDS = [(cobo, asad) for cobo in range(10) for asad in range(4)]
PARTIAL, FULL = "partial", "full"
WINDOW = 8
"""Events that may be sent before the first one is built."""
_HIT_CHANNELS = 0.13  # of a partial readout: 1400 traces, 2.9 MB an event, as chambers send
_SIZE_BYTES, _ID_AT, _ID_BYTES = 8, 22, 4


def event_message(readout: str, seed: int = 1) -> tuple[bytearray, list[int]]:
    """Return the messages of all boards for one event, and where its id is in them."""
    rng = np.random.default_rng(seed)
    data, places = bytearray(), []
    for board in BOARDS:
        samples = rng.integers(200, 4096, (N_AGETS, N_CHANNELS, N_TIME_BUCKETS)).astype(np.int16)
        header = EventHeader(event_id=0, event_time=0, board=board)
        if readout == PARTIAL:
            samples[rng.random((N_AGETS, N_CHANNELS)) >= _HIT_CHANNELS] = -1
        frame = encode_partial(header, samples) if readout == PARTIAL else encode_full(header, samples)
        places.append(len(data) + _SIZE_BYTES + _ID_AT)
        data += encode_message(frame)
    return data, places


def main() -> None:
    """Send what the command line says."""
    readout, n_events = sys.argv[1], int(sys.argv[2])
    data, places = event_message(readout)
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]} {len(data)}\n")
        sys.stdout.flush()
        client, _ = server.accept()
        with client:
            for event_id in range(n_events):
                if event_id >= WINDOW:
                    sys.stdin.readline()
                for place in places:
                    data[place : place + _ID_BYTES] = event_id.to_bytes(_ID_BYTES, "big")
                client.sendall(data)
            while sys.stdin.readline():
                continue


if __name__ == "__main__":
    main()
