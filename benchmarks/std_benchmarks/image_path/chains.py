"""Chains: what takes packets from a socket to a file; each is tried at a rate, and says whether anything was lost."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import h5py
import numpy as np

from std_benchmarks.image_path import naive_chain
from std_benchmarks.image_path.jungfrau_module import N_PATTERNS, N_SLOTS, JungfrauModule
from std_daq.amqp.address import VARIABLE
from std_daq.client import DaqClient
from std_daq.client.run import RequestedRun
from std_daq.errors import ResourceError
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.requests import Action, Verdict

RUN_TIMEOUT_S = 60.0
SILENCE_S = naive_chain.SILENCE_S
"""After so long without an image a chain takes the series for ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a series went.

    Parameters
    ----------
    n_sent, n_written
        Images.
    first
        Number of the first frame.
    lag_s
        How much longer the sender took than the rate says.
    finish_s
        From the last packet to the file's end.
    """

    n_sent: int
    n_written: int
    first: int
    lag_s: float
    finish_s: float

    @property
    def is_lossless(self) -> bool:
        """Whether every image is in the file."""
        return self.n_written == self.n_sent


class Chain(Protocol):
    """What is tried."""

    data: str
    """The dataset of the images, in its files."""
    numbers: str
    """The dataset of their frame numbers."""
    fills_page_cache: bool
    """Whether the page cache takes the file."""

    def record(self, file: Path, n_images: int, rate_hz: float) -> Outcome:
        """Have a series sent and written to a file."""


class PlatformChain:
    """The services of the platform, told what to write by a request through RabbitMQ."""

    data = "/entry/data/data"
    numbers = "/entry/instrument/detector/detectorSpecific/image_id"
    fills_page_cache = False

    def __init__(self, module: JungfrauModule, environment: Mapping[str, str]) -> None:
        self._module = module
        self._client = DaqClient(module.config, environment[VARIABLE])

    def record(self, file: Path, n_images: int, rate_hz: float) -> Outcome:
        """Have a series sent and written to a file."""
        first = self._module.next_frame
        with self._client.write(file, n_images=n_images, image_timeout_s=SILENCE_S) as run:
            _wait_accepted(run)
            lag_s = self._module.send(n_images, rate_hz)
            sent_s = time.monotonic()
            report = run.wait(RUN_TIMEOUT_S)
            finish_s = time.monotonic() - sent_s
        n_written = report.n_written if report.verdict is Verdict.COMPLETE else min(report.n_written, n_images - 1)
        return Outcome(n_images, n_written, first, lag_s, finish_s)


class NaiveChain:
    """The chain in the obvious way; its processes are started for each series."""

    data = "/data"
    numbers = "/frame_number"
    fills_page_cache = True

    def __init__(self, module: JungfrauModule) -> None:
        self._module = module

    def record(self, file: Path, n_images: int, rate_hz: float) -> Outcome:
        """Have a series sent and written to a file."""
        module = self._module
        first = module.next_frame
        command = [
            *(sys.executable, naive_chain.__file__, "--port", str(module.config.start_udp_port)),
            *("--buffer-bytes", str(module.config.udp.socket_buffer_bytes), "--queue", str(N_SLOTS)),
            *("--n-images", str(n_images), "--output", str(file)),
            *("--pedestal-file", str(module.pedestal_file), "--gain-file", str(module.gain_file)),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                output = process.stdout
                if output is None or output.readline() != "ready\n":
                    raise ResourceError("the naive chain did not start")
                lag_s = module.send(n_images, rate_hz)
                sent_s = time.monotonic()
                end = json.loads(_last_line(output))
            except BaseException:
                process.kill()
                raise
        return Outcome(n_images, end["n_written"], first, lag_s, end["ended_s"] - sent_s)


@contextmanager
def platform_broker() -> Iterator[dict[str, str]]:
    """Yield the environment in which services find a throwaway RabbitMQ."""
    with ThrowawayBroker() as broker:
        yield {VARIABLE: broker.url}


def check_file(chain: Chain, module: JungfrauModule, file: Path, outcome: Outcome) -> None:
    """Compare every image of a file with what has to be there.

    Raises
    ------
    AssertionError
        An image is wrong, or missing.
    """
    expected = module.expected()
    with h5py.File(file) as opened:
        images, numbers = opened[chain.data], opened[chain.numbers][:]
        image = np.empty(images.shape[1:], images.dtype)
        if not np.array_equal(numbers, np.arange(outcome.first, outcome.first + outcome.n_sent)):
            raise AssertionError(f"{file}: these are not the frames that were sent")
        for row, number in enumerate(numbers):
            images.read_direct(image, np.s_[row])
            # As whole numbers: a zero with another sign is another byte.
            if not np.array_equal(image.view(np.uint32), expected[int(number) % N_PATTERNS].view(np.uint32)):
                raise AssertionError(f"{file}: frame {number} is not as it has to be")


def _wait_accepted(run: RequestedRun) -> None:
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while time.monotonic() < deadline:
        status = run.poll(0.5)
        if status is not None and status.action is Action.ACCEPTED:
            return
    raise ResourceError("the request was not accepted")


def _last_line(output: IO[str]) -> str:
    lines = output.read().splitlines()
    return lines[-1] if lines else "{}"
