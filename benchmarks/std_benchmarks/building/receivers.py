"""What receives the events of the sender: the event builder, and the least that any receiver does."""

import argparse
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prometheus_client import CollectorRegistry

from std_benchmarks.building.sender import BOARDS
from std_daq.config.paths import make_runtime_dir
from std_daq.service import ServiceContext
from std_daq.tpc.building.board_frame import BoardFrame
from std_daq.tpc.building.event_builder import EventBuilder
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.events.paths import event_buffer_path
from std_daq.tpc.frames.frame import Frame
from std_event_builder.__main__ import start
from std_event_builder.exporters import Exporters

_BUFFER_BYTES = 4 * 2**20
_MAX_FRAME_BYTES = 2**20


class Sender:
    """The sending process.

    Attributes
    ----------
    port, event_bytes
        Where it sends, and how long an event is.
    """

    def __init__(self, process: "subprocess.Popen[str]", n_events: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._allowed: IO[str] = process.stdin
        self._n_allowed = 0
        self.n_events = n_events
        port, event_bytes = process.stdout.readline().split()
        self.port, self.event_bytes = int(port), int(event_bytes)

    def built(self, n_built: int) -> None:
        """Allow as many events as are built."""
        while self._n_allowed < n_built:
            self._n_allowed += 1
            self._allowed.write("\n")
        self._allowed.flush()


@contextmanager
def sending(readout: str, n_events: int) -> Iterator[Sender]:
    """Provide a sender that has begun."""
    command = [sys.executable, "-m", "std_benchmarks.building.sender", readout, str(n_events)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Sender(process, n_events)
        finally:
            process.kill()


def read_bare(readout: str, n_events: int) -> float:
    """Receive the bytes into one buffer, and do nothing with them; returns GB a second of processor time."""
    buffer = bytearray(_BUFFER_BYTES)
    with sending(readout, n_events) as sender, socket.create_connection(("127.0.0.1", sender.port)) as connection:
        began_s, n_bytes, total = time.process_time(), 0, n_events * sender.event_bytes
        while n_bytes < total:
            n_bytes += connection.recv_into(buffer)
            sender.built(n_bytes // sender.event_bytes)
        return total / 1e9 / (time.process_time() - began_s)


def build_headers(readout: str, n_events: int) -> float:
    """Bring the boards together and decode nothing; returns GB a second of processor time."""
    with sending(readout, n_events) as sender:
        exporters = Exporters([f"127.0.0.1:{sender.port}"], max_frame_bytes=_MAX_FRAME_BYTES, reconnect_s=0.2)
        builder: EventBuilder[Frame] = EventBuilder(1, BOARDS, time_limit_ns=10**12, max_held_bytes=10**10)

        def step() -> int:
            exporters.attend(time.monotonic())
            for exporter in exporters.ready(0.1):
                for frames in exporters.read(exporter, time.monotonic(), builder.connect, builder.disconnect):
                    for frame in frames:
                        size = len(frame.data)
                        builder.feed(BoardFrame(0, frame.board, frame.event_id, frame.event_time, frame, size, 0))
            return builder.n_complete

        rate = _measure(sender, step)
        exporters.close()
        return rate


def build_events(readout: str, n_events: int, folder: Path, shm: Path) -> float:
    """Build events into a ring, as the service does; returns GB a second of processor time of all its threads."""
    with sending(readout, n_events) as sender:
        config = TpcConfig.model_validate(
            {
                "detector_name": f"bench-{readout}",
                "detector_type": "get-tpc",
                "exporters": [f"127.0.0.1:{sender.port}"],
                "pads": {"electronics": None},
                "boards": [list(board) for board in BOARDS],
                "builder": {"ram_buffer_gb": 0.5, "time_limit_s": 1000},
                "shared_memory": {"directory": str(shm)},
                "runtime_dir": str(folder),
            }
        )
        make_runtime_dir(config)
        registry = CollectorRegistry()
        context = ServiceContext(config, argparse.Namespace(), "event-builder", registry, threading.Event())
        service = start(context)
        ring = EventBuffer.attach(event_buffer_path(config))
        n_before = ring.journal.next_sequence  # the ring of an earlier turn is taken over

        def step() -> int:
            service.step()
            return ring.journal.next_sequence - n_before

        try:
            rate = _measure(sender, step)
        finally:
            ring.close()
            service.close()
        if registry.get_sample_value("daq_builder_events_emptied_total"):
            raise RuntimeError("events were published without their samples")
        return rate


def _measure(sender: Sender, step: Callable[[], int]) -> float:
    """Step until all events are there; the first one, for which something may have to be loaded, does not count."""
    while not (n_first := step()):
        pass
    began_s, n_built = time.process_time(), n_first
    while n_built < sender.n_events:
        n_built = step()
        sender.built(n_built)
    return (n_built - n_first) * sender.event_bytes / 1e9 / (time.process_time() - began_s)
