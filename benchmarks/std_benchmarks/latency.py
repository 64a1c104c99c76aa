"""From the last packet of an image to its ImageMetadata at a subscriber, at 100 images a second.

One JUNGFRAU module, corrected to keV; std-udp-recv and std-assembler as processes. The clock starts when the kernel has
taken the last packet of an image, and stops when a subscriber of the images' address, in a process of its own, holds
the message. All of the receiver's waiting, a hop to the assembler, synchronising, the conversion of the image, and a
hop of ZMQ lie between. Sender and receiving thread have a core each, because no detector takes the receiver's; all else
runs where the kernel puts it.

Beside it, in the same turn and at the same pace, what the transport alone takes: half of an empty ZMQ round trip
between two processes over the same kind of address. It is paced like the images, because waking a process that has
slept takes longer than one that has not. The targets are about the latency itself.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

import numpy as np
import zmq
from numpy.typing import NDArray

from std_benchmarks.figure import Figure, Target
from std_benchmarks.image_path.jungfrau_module import JungfrauModule
from std_benchmarks.image_path.services import RunningServices
from std_benchmarks.receiving.cores import pinned, sender_and_receiver
from std_benchmarks.setting import Setting
from std_daq.errors import ResourceError
from std_daq.imaging.config.paths import images_address
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA

RATE_HZ = 100.0
N_IMAGES = 200
N_ROUND_TRIPS = 100
SERVICES = ("udp-recv", "assembler")

_PATIENCE_MS = 2000
_N_WARM_UP = 20


def measure(setting: Setting) -> Iterator[Figure]:
    """Give median and 99 % of the latency, and the median beside half a round trip."""
    sending_core, receiving_core = sender_and_receiver(setting.cores)
    rings = setting.shm / "rings"
    rings.mkdir()
    with (
        JungfrauModule(setting.folder, rings, receiving_core) as module,
        RunningServices(module.config_file, SERVICES),
        _process(_subscribe, images_address(module.config)) as subscriber,
        _process(_echo, f"ipc://{setting.folder}/echo.ipc"),
        zmq.Context() as context,
        context.socket(zmq.REQ) as caller,
    ):
        caller.connect(f"ipc://{setting.folder}/echo.ipc")
        # The subscription holds from some image of the warm-up on.
        _send(module, sending_core, subscriber, _N_WARM_UP)
        _round_trips(caller, _N_WARM_UP)
        latencies, round_trips = [], []
        for turn in range(setting.repeats):
            setting.progress(f"turn {turn + 1} of {setting.repeats}")
            round_trips.append(_round_trips(caller, N_ROUND_TRIPS))
            latencies.append(_latencies(module, sending_core, subscriber, N_IMAGES))
    medians = [float(np.median(turn)) for turn in latencies]
    late = [float(np.quantile(turn, 0.99)) for turn in latencies]
    hops = [float(np.median(turn)) / 2 for turn in round_trips]
    yield Figure("last packet to ImageMetadata, median", "us", medians, target=Target.at_most(500))
    yield Figure("last packet to ImageMetadata, 99 %", "us", late, target=Target.at_most(2000))
    yield Figure("last packet to ImageMetadata, in hops", "us", medians, "empty ZMQ round trip / 2", hops)


def _latencies(module: JungfrauModule, sending_core: int, subscriber: Connection, n: int) -> NDArray[np.float64]:
    """Return the latencies of so many images, in us; raises ResourceError where one did not come."""
    first = module.next_frame
    sent_ns, frames, arrived_ns = _send(module, sending_core, subscriber, n)
    if frames != list(range(first, first + n)):
        raise ResourceError(f"of {n} images {len(frames)} reached the subscriber")
    latencies: NDArray[np.float64] = (np.array(arrived_ns) - np.array(sent_ns)) / 1e3
    return latencies


def _send(
    module: JungfrauModule, sending_core: int, subscriber: Connection, n: int
) -> tuple[list[int], list[int], list[int]]:
    """Send images; returns when each was sent, and of those that came, the frame numbers and when."""
    subscriber.send(n)
    subscriber.recv()
    with pinned(sending_core):
        sent_ns = module.send_and_note(n, RATE_HZ)
    frames, arrived_ns = subscriber.recv()
    return sent_ns, frames, arrived_ns


def _round_trips(caller: zmq.Socket[bytes], n: int) -> NDArray[np.float64]:
    """Return how long so many empty round trips take, in us."""
    times = []
    for _ in range(n):
        time.sleep(1 / RATE_HZ)
        started = time.monotonic_ns()
        caller.send(b"")
        caller.recv()
        times.append((time.monotonic_ns() - started) / 1e3)
    return np.array(times)


@contextmanager
def _process(target: Callable[[Connection, str], None], address: str) -> Iterator[Connection]:
    """Run a function in a process of its own until the context is left; yields this end of its connection."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, address), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()


def _subscribe(asked: Connection, address: str) -> None:
    """Note when each of so many messages came, whenever asked; answers frame numbers and monotonic nanoseconds."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.subscribe(b"")
        socket.connect(address)
        with suppress(EOFError):
            while True:
                n = asked.recv()
                asked.send(None)
                frames: list[int] = []
                arrived_ns: list[int] = []
                while len(frames) < n and socket.poll(_PATIENCE_MS):
                    message = socket.recv()
                    arrived_ns.append(time.monotonic_ns())
                    frames.append(int(np.frombuffer(message, IMAGE_METADATA)["frame_index"][0]))
                asked.send((frames, arrived_ns))


def _echo(asked: Connection, address: str) -> None:  # noqa: ARG001 - it ends with its process
    """Send back whatever comes."""
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.bind(address)
        while True:
            socket.send(socket.recv())
