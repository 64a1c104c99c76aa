"""ReceiverProcess: std-udp-recv as it runs in operation, on one core, and what it says of itself."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import psutil

from std_benchmarks.receiving.camera import ADDRESS, Frames, Sent
from std_benchmarks.receiving.cores import pinned
from std_benchmarks.receiving.cpu_time import process_s
from std_benchmarks.receiving.settling import is_reached
from std_benchmarks.setting import Setting
from std_daq.client.scrape import Scrape, scrape
from std_daq.config.paths import make_runtime_dir
from std_daq.errors import ResourceError
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.paths import frame_buffer_path, frames_address
from std_daq.service.record import endpoint_socket
from std_test_kit.free_ports import free_udp_ports

_START_S = 60.0
_STOP_S = 10.0
_LOOK_S = 0.02


class ReceiverProcess:
    """The service in a process of its own, all of its threads on one core.

    Parameters
    ----------
    frames
        What will come.
    setting
        Where configuration, log and sockets lie, and where the FrameBuffer.
    n_slots
        Slots of the FrameBuffer.
    buffer_bytes
        What is asked of the kernel for the socket.
    core
        CPU on which it runs.

    Attributes
    ----------
    port
        The UDP port.
    address
        Where it announces frames.

    Raises
    ------
    ResourceError
        It does not start.
    """

    def __init__(self, frames: Frames, setting: Setting, *, n_slots: int, buffer_bytes: int, core: int) -> None:
        self._frames = frames
        folder = setting.folder
        self.port = free_udp_ports(1)
        document: dict[str, Any] = frames.document | {
            "start_udp_port": self.port,
            "runtime_dir": str(folder),
            "shared_memory": {"directory": str(setting.shm), "frame_slots": n_slots},
            "udp": {"address": ADDRESS, "socket_buffer_bytes": buffer_bytes, "cpus": [core]},
        }
        file = folder / "detector.json"
        file.write_text(json.dumps(document))
        config = load_config(file)
        make_runtime_dir(config)
        self.address = frames_address(config, config.receivers[0])
        self._announced_before = self._complete_before = 0
        self._log = folder / "udp-recv.log"
        with self._log.open("w") as log, pinned(core):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "std_udp_recv", "--config", str(file)],
                stdout=log,
                stderr=log,
            )
        try:
            self._endpoint = endpoint_socket(config, "udp-recv")
            self._wait_ready()
            self._ring = FrameBuffer.attach(frame_buffer_path(config))
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its threads since it was started."""
        return process_s(self._process.pid)

    @property
    def main_thread_s(self) -> float:
        """CPU seconds of the thread that announces, since the start; the kernel tells them in steps of 10 ms."""
        threads = psutil.Process(self._process.pid).threads()
        seconds: float = sum(t.user_time + t.system_time for t in threads if t.id == self._process.pid)
        return seconds

    @property
    def n_announced(self) -> int:
        """Frames announced since it was started."""
        return self._ring.journals[0].next_sequence

    @property
    def n_complete(self) -> int:
        """Frames that were whole."""
        return int(self.counters().total("daq_udp_frames_complete_total"))

    def counters(self) -> Scrape:
        """Return what it says of itself, as in /metrics."""
        found = scrape(self._endpoint)
        if not found.is_answering:
            raise ResourceError(f"std-udp-recv does not answer: {self._last_words()}")
        return found

    def wait_for(self, n_frames: int) -> bool:
        """Wait until so many frames have been announced since it was started; returns whether, within a second."""
        return is_reached(lambda: self.n_announced >= n_frames)

    def begin(self) -> None:
        """Begin a trial."""
        self._announced_before, self._complete_before = self.n_announced, self.n_complete

    def end(self, sent: Sent) -> bool:
        """End a trial; returns whether all frames are whole, and raises AssertionError if they are not right."""
        self.wait_for(self._announced_before + sent.n_frames)
        has_all = self.n_complete == self._complete_before + sent.n_frames
        if has_all and not self.is_right(sent):
            raise AssertionError("std-udp-recv has all frames, but not as they were sent")
        return has_all

    def is_right(self, sent: Sent) -> bool:
        """Tell whether the ring holds the last frames that were sent, whole and with every byte."""
        end = sent.first + sent.n_frames
        # One slot may be open for the frame that would come next.
        return all(self._holds(frame) for frame in range(max(sent.first, end - self._ring.n_slots + 1), end))

    def close(self) -> None:
        """End it."""
        self._ring.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _holds(self, frame: int) -> bool:
        index = self._ring.index(frame, 0)
        header = self._ring.headers[index]
        return (
            int(header["frame_index"]) == frame
            and int(header["n_missing_packets"]) == 0
            and np.array_equal(self._ring.frame(index), self._frames.expected(frame))
        )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while not scrape(self._endpoint).is_ready:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ResourceError(f"std-udp-recv does not start: {self._last_words()}")
            time.sleep(_LOOK_S)

    def _last_words(self) -> str:
        return self._log.read_text().strip().rpartition("\n")[2]
