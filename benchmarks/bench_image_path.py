"""One JUNGFRAU module received and assembled on this machine: what is lost, and what each service costs.

Sender (``std-daq simulate``), std-udp-recv and std-assembler run as processes of their own and share the machine. The
cost of each is its CPU time for a GB of packets, also as a ratio to the time in which this machine copies a GB in
memory, measured before and after in the same run.

    python benchmarks/bench_image_path.py [--rate-hz 1000] [--seconds 10] [--conversion kev]

Exit code 0 if nothing was lost.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from std_daq.config.load import load_config
from std_daq.service.record import read_records
from std_daq.testing.beamline import free_udp_ports

SHAPE = (512, 1024)
PACKET_BYTES = 48 + 8192
PACKETS_OF_A_FRAME = 128
SERVICES = {"udp-recv": "std_udp_recv", "assembler": "std_assembler"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate-hz", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--conversion", choices=("raw", "kev"), default="kev")
    arguments = parser.parse_args()
    n_images = int(arguments.rate_hz * arguments.seconds)
    with tempfile.TemporaryDirectory(prefix="sdb-") as name:
        folder = Path(name)
        os.environ["STD_DAQ_RUNTIME_DIR"] = name
        config_file = write_config(folder, arguments.conversion)
        reference = seconds_to_copy_a_gb()
        with running_services(config_file):
            before = scrape(config_file)
            sender_s, wall_s, behind_s = send(config_file, n_images, arguments.rate_hz)
            after = settle(config_file)
        reference = (reference + seconds_to_copy_a_gb()) / 2
        for path in Path("/dev/shm").glob(f"{load_config(config_file).detector_name}-*"):
            path.unlink()
    delta = {name: {key: after[name][key] - before[name][key] for key in after[name]} for name in after}
    return report(arguments, n_images, delta, sender_s, wall_s, behind_s, reference)


def write_config(folder: Path, conversion: str) -> Path:
    random = np.random.default_rng(0)
    with h5py.File(folder / "pedestal.h5", "x") as file:
        centre = np.array([2500, 14000, 13500, 2600])[:, None, None]
        file["gains"] = random.normal(centre, 50, (4, *SHAPE)).astype(np.float32)
        file["pixel_mask"] = np.zeros(SHAPE, np.uint32)
    with h5py.File(folder / "gain.h5", "x") as file:
        scale = np.array([40, -1.4, -0.1, 100])[:, None, None]
        file["gains"] = (scale * random.normal(1, 0.03, (4, *SHAPE))).astype(np.float32)
    tables = {"pedestal_file": str(folder / "pedestal.h5"), "gain_file": str(folder / "gain.h5")}
    config = {
        "detector_name": f"bench-{os.getpid()}",
        "detector_type": "jungfrau",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": SHAPE[0],
        "image_pixel_width": SHAPE[1],
        "start_udp_port": free_udp_ports(1),
        "detector": {"conversion": conversion, **(tables if conversion == "kev" else {})},
        "udp": {"address": "127.0.0.1"},
        "ram_buffer_gb": 0.5,
    }
    file = folder / "detector.json"
    file.write_text(json.dumps(config))
    return file


def seconds_to_copy_a_gb() -> float:
    source = np.random.default_rng(0).integers(0, 255, 64 * 2**20, np.uint8)
    target = np.zeros_like(source)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) / source.nbytes * 1e9


@contextmanager
def running_services(config_file: Path) -> Iterator[None]:
    processes = [
        subprocess.Popen([sys.executable, "-m", module, "--config", str(config_file), "--log-level", "error"])
        for module in SERVICES.values()
    ]
    try:
        deadline = time.monotonic() + 180
        while not is_ready(config_file):
            if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
                raise SystemExit("the services did not become ready")
            time.sleep(0.1)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def is_ready(config_file: Path) -> bool:
    urls = {record.instance: record.url for record in read_records(load_config(config_file))}
    if set(urls) != set(SERVICES):
        return False
    try:
        for url in urls.values():
            urllib.request.urlopen(f"{url}/health/ready", timeout=2).close()
    except OSError:
        return False
    return True


def scrape(config_file: Path) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for record in read_records(load_config(config_file)):
        with urllib.request.urlopen(f"{record.url}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        totals: dict[str, float] = {}
        for sample in samples:
            if sample.name.endswith("_total") or sample.name.endswith(("_sum", "_count")):
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        values[record.instance] = totals
    return values


def send(config_file: Path, n_images: int, rate_hz: float) -> tuple[float, float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    command = [sys.executable, "-m", "std_daq.cli", "simulate", "--config", str(config_file), "--n-images"]
    subprocess.run([*command, str(n_images), "--rate-hz", str(rate_hz)], check=True, stdout=subprocess.DEVNULL)
    wall_s = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s, wall_s - n_images / rate_hz


def settle(config_file: Path) -> dict[str, dict[str, float]]:
    last = scrape(config_file)
    for _ in range(50):
        time.sleep(0.3)
        now = scrape(config_file)
        if now["assembler"]["daq_images_total"] == last["assembler"]["daq_images_total"]:
            return now
        last = now
    return last


def report(
    arguments: argparse.Namespace,
    n_images: int,
    delta: dict[str, dict[str, float]],
    sender_s: float,
    wall_s: float,
    behind_s: float,
    reference: float,
) -> int:
    received = delta["udp-recv"]
    assembled = delta["assembler"]
    gb = n_images * PACKETS_OF_A_FRAME * PACKET_BYTES / 1e9
    n_packets = n_images * PACKETS_OF_A_FRAME
    print(f"{n_images} images of one JUNGFRAU module ({arguments.conversion}), {gb:.1f} GB of packets")
    print(f"asked for {arguments.rate_hz:g} Hz; sender ran {wall_s:.1f} s, {behind_s:.1f} s of it start and lag")
    print(f"packets sent {n_packets}, received {received['daq_udp_packets_received_total']:.0f}, "
          f"dropped by the kernel {received['daq_udp_kernel_drops_total']:.0f}")  # fmt: skip
    is_lossless = assembled["daq_images_total"] == n_images and not assembled["daq_image_missing_packets_total"]
    latency_s = assembled["daq_image_latency_seconds_sum"] / max(1, assembled["daq_images_total"])
    published, lost = assembled["daq_images_total"], assembled["daq_images_lost_total"]
    print(f"images published {published:.0f}, lost {lost:.0f}, mean latency {latency_s * 1e3:.2f} ms")
    print(f"reference: copying a GB in memory takes {reference:.3f} s")
    print(f"{'':<12}{'CPU s/GB':>10}{'x copy':>10}")
    costs = {name: values["process_cpu_seconds_total"] / gb for name, values in delta.items()}
    costs["simulate"] = sender_s / gb
    for name, cost in costs.items():
        print(f"{name:<12}{cost:>10.3f}{cost / reference:>10.2f}")
    print("nothing was lost" if is_lossless else "LOST")
    return 0 if is_lossless else 1


if __name__ == "__main__":
    sys.exit(main())
