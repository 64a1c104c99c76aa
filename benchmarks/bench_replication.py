"""Images from one ring to another over loopback, and what one plain TCP socket does with the same bytes.

std-stream-send and std-stream-recv run as processes of their own; this one publishes as fast as images come over,
without touching the pixels, so that only the way between the rings is measured. The reference, one process that sends
memory of a ring and one that receives into memory of a ring, is measured before and after in the same run.

    python benchmarks/bench_replication.py [--height 1024] [--width 1024] [--seconds 5] [--sources 1] [--curve]

Exit code 0 if at least --least of the reference was reached.
"""

import argparse
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from std_daq.config.load import load_config
from std_daq.config.model import DetectorConfig
from std_daq.config.paths import image_buffer_path
from std_daq.errors import SharedMemoryError
from std_daq.protocols.image_metadata import IMAGE_METADATA, dtype_code
from std_daq.shm.image_buffer import ImageBuffer
from std_daq.streams.curve_keys import make_keys

N_MODULES = 8
RING_BYTES = 256 * 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--least", type=float, default=0.0, help="0.8 is what we aim at")
    arguments = parser.parse_args()
    image_bytes = arguments.height * arguments.width * 2
    n_slots = max(16, RING_BYTES // image_bytes)
    with tempfile.TemporaryDirectory(prefix="sdb-") as name, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        reference = [plain_tcp(image_bytes, n_slots, arguments.seconds / 2)]
        near, far = write_configs(Path(name), Path(memory), arguments, n_slots)
        with running(near, far) as processes:
            rate, cpu = replicate(load_config(near), load_config(far), arguments.seconds, n_slots, processes)
        reference.append(plain_tcp(image_bytes, n_slots, arguments.seconds / 2))
    plain = sum(rate for rate, _ in reference) / len(reference)
    plain_cpu = sum(cost for _, cost in reference) / len(reference)
    share = rate * image_bytes / plain
    print(f"images           {arguments.height} x {arguments.width} u2, {image_bytes / 1e6:.2f} MB")
    print(f"replicated       {rate:.0f} images/s, {rate * image_bytes / 1e9:.2f} GB/s")
    print(f"plain TCP        {reference[0][0] / 1e9:.2f} and {reference[1][0] / 1e9:.2f} GB/s")
    print(f"of plain TCP     {share:.2f}")
    for command, seconds in cpu.items():
        print(f"CPU              {command} {seconds / (rate * arguments.seconds * image_bytes / 1e9):.2f} s/GB")
    print(f"CPU              plain TCP, both sides {plain_cpu:.2f} s/GB")
    return 0 if share >= arguments.least else 1


def write_configs(folder: Path, memory: Path, arguments: argparse.Namespace, n_slots: int) -> tuple[Path, Path]:
    addresses = [f"tcp://127.0.0.1:{free_port()}" for _ in range(arguments.sources)]
    keys: dict[str, Any] = {"near": {}, "far": {}}
    if arguments.curve:
        (folder / "clients").mkdir()
        near_public, near_secret = make_keys(folder, "near")
        _, far_secret = make_keys(folder / "clients", "far")
        clients = str(folder / "clients")
        keys["near"] = {"curve": {"secret_key_file": str(near_secret), "clients": clients}}
        keys["far"] = {"curve": {"secret_key_file": str(far_secret), "server_public_key_file": str(near_public)}}
    send = {"send": [{"address": address, **keys["near"]} for address in addresses]}
    receive = {"receive": {"sources": addresses, "name": "far", **keys["far"]}}
    files = []
    for name, replication in (("near", send), ("far", receive)):
        (memory / name).mkdir()
        document = {
            "detector_name": "bench",
            "detector_type": "gigafrost",
            "n_modules": N_MODULES,
            "bit_depth": 12,
            "image_pixel_height": arguments.height,
            "image_pixel_width": arguments.width,
            "start_udp_port": 50000,
            "shared_memory": {"directory": str(memory / name), "image_slots": n_slots},
            "runtime_dir": str(folder / name),
            "replication": replication,
        }
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    return files[0], files[1]


@contextmanager
def running(near: Path, far: Path) -> Iterator[list[psutil.Process]]:
    n_senders = len(json.loads(near.read_text())["replication"]["send"])
    commands = [["std_stream_send", "--config", str(near), "--sender", str(i)] for i in range(n_senders)]
    commands.append(["std_stream_recv", "--config", str(far)])
    started = [
        subprocess.Popen([sys.executable, "-m", *command, "--log-level", "warning"], env=os.environ)
        for command in commands
    ]
    try:
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(10)


def replicate(
    near: DetectorConfig, far: DetectorConfig, seconds: float, n_slots: int, processes: list[psutil.Process]
) -> tuple[float, dict[str, float]]:
    """Return images a second, and CPU seconds of the processes."""
    source, _ = ImageBuffer.create(
        image_buffer_path(near),
        shape=near.image_shape,
        dtype=np.dtype("u2"),
        n_modules=N_MODULES,
        buffer_bytes=0,
        n_slots=n_slots,
    )
    source.images[:] = 7
    metadata = np.zeros(1, IMAGE_METADATA)
    metadata["height"], metadata["width"] = source.shape
    metadata["dtype"] = dtype_code(source.dtype)
    sink = attach(image_buffer_path(far))

    def publish_until(end: float, n_images: int) -> None:
        while time.monotonic() < end and sink.journal.next_sequence < n_images:
            sequence = source.journal.next_sequence
            if sequence - sink.journal.next_sequence >= n_slots // 2:
                time.sleep(0.0002)
                continue
            metadata["id"] = metadata["frame_index"] = metadata["sequence"] = sequence
            slot = source.slot(sequence)
            source.begin(slot)
            source.headers["metadata"][slot] = metadata[0]
            source.end(slot)
            source.journal.append(metadata)

    publish_until(time.monotonic() + 60.0, 2 * n_slots)
    before, cpu_before, began = sink.journal.next_sequence, cpu_of(processes), time.monotonic()
    publish_until(began + seconds, 2**62)
    elapsed, cpu_after, after = time.monotonic() - began, cpu_of(processes), sink.journal.next_sequence
    lost = int(np.count_nonzero(sink.journal.read(before, after - before).entries["status"]))
    if lost:
        print(f"lost             {lost}")
    sink.close()
    source.segment.remove()
    source.close()
    return (after - before) / elapsed, {name: cpu_after[name] - cpu_before[name] for name in cpu_after}


def attach(path: Path) -> ImageBuffer:
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        try:
            return ImageBuffer.attach(path)
        except SharedMemoryError:
            time.sleep(0.1)
    raise TimeoutError(f"there is no {path}")


def cpu_of(processes: list[psutil.Process]) -> dict[str, float]:
    return {f"{process.cmdline()[2]} {process.pid}": sum(process.cpu_times()[:2]) for process in processes}


def plain_tcp(image_bytes: int, n_slots: int, seconds: float) -> tuple[float, float]:
    """Return bytes a second of one socket, from memory into memory, and CPU seconds for a GB."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = multiprocessing.Process(target=send_plain, args=(listener.getsockname()[1], image_bytes, n_slots))
        sender.start()
        connection, _ = listener.accept()
        memory = np.ones((n_slots, image_bytes), np.uint8)
        n = 0
        process = psutil.Process(sender.pid)
        began, cpu_began = time.monotonic(), time.process_time() + sum(process.cpu_times()[:2])
        with connection:
            while time.monotonic() - began < seconds:
                view, place = memory[n % n_slots].data, 0
                while place < image_bytes:
                    place += connection.recv_into(view[place:])
                n += 1
            elapsed, cpu = time.monotonic() - began, time.process_time() - cpu_began
            cpu += sum(process.cpu_times()[:2])
    sender.join()
    return n * image_bytes / elapsed, cpu / (n * image_bytes / 1e9)


def send_plain(port: int, image_bytes: int, n_slots: int) -> None:
    memory = np.ones((n_slots, image_bytes), np.uint8)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        n = 0
        try:
            while True:
                connection.sendall(memory[n % n_slots].data)
                n += 1
        except OSError:
            return


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
