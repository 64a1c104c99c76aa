"""Frames converted per second and core, beside a memcpy of the same bytes in the same run: ratios hold on any machine.

Usage: python benchmarks/bench_conversion.py [seconds for each case]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from std_daq.config import DetectorConfig
from std_daq.detectors.interface import Detector
from std_daq.detectors.registry import open_detector

N_JUNGFRAU = 4  # their tables exceed the caches, as those of real detectors do
EIGER = {0: (0, 258, 513, 513), 1: (516, 258, 1029, 513), 2: (0, 255, 513, 0), 3: (516, 255, 1029, 0)}


def config(detector_type: str, bit_depth: int, n_modules: int, shape: tuple[int, int], **more: Any) -> DetectorConfig:
    return DetectorConfig(
        detector_name="bench",
        detector_type=detector_type,
        n_modules=n_modules,
        bit_depth=bit_depth,
        image_pixel_height=shape[0],
        image_pixel_width=shape[1],
        start_udp_port=50000,
        **more,
    )


def jungfrau(folder: Path, **options: Any) -> Detector:
    positions = {i: (0, 514 * i, 1029, 514 * i + 513) for i in range(N_JUNGFRAU)}
    if options["conversion"] != "raw":
        options |= {"pedestal_file": str(folder / "pedestal.h5"), "gain_file": str(folder / "gain.h5")}
    shape = (514 * N_JUNGFRAU, 1030)
    return open_detector(config("jungfrau", 16, N_JUNGFRAU, shape, module_positions=positions, detector=options))


def write_tables(folder: Path) -> None:
    rows = N_JUNGFRAU * 512
    planes = np.array([4000, 14500, 14800], np.float32)[:, None, None]
    with h5py.File(folder / "pedestal.h5", "w") as file:
        file["gains"] = np.broadcast_to(planes, (3, rows, 1024))
        file["pixel_mask"] = np.zeros((rows, 1024), np.uint8)
    with h5py.File(folder / "gain.h5", "w") as file:
        file["gains"] = np.broadcast_to(np.array([41, -1.4, -0.1, 90])[:, None, None], (4, rows, 1024))


def seconds_per_call(function: Callable[[], None], budget_s: float) -> float:
    function()
    best, end = float("inf"), time.perf_counter() + budget_s
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def bench(name: str, detector: Detector, budget_s: float) -> None:
    raw = next(iter(detector.simulated_frames("counter", 0)))
    layout = detector.packet_layout(0)
    received = np.full((layout.n_units + 63) // 64, 2**64 - 1, np.uint64)
    rng = np.random.default_rng(0)
    frames = [
        raw[i].view(np.uint8).reshape(-1) if raw[i].nbytes == layout.frame_bytes
        else rng.integers(0, 256, layout.frame_bytes).astype(np.uint8)
        for i in range(len(raw))
    ]  # fmt: skip
    copies = [np.empty_like(frame) for frame in frames]
    image = np.zeros(detector.config.image_shape, detector.image_dtype)
    converter = detector.converter()

    def convert() -> None:
        for module, frame in enumerate(frames):
            converter.convert(module, frame, received, 0, image)

    def copy() -> None:
        for target, frame in zip(copies, frames, strict=True):
            target[:] = frame

    n, n_bytes = len(frames), len(frames) * layout.frame_bytes
    spent, copying = seconds_per_call(convert, budget_s), seconds_per_call(copy, budget_s)
    rates = f"{n_bytes / spent / 1e9:10.2f} {n_bytes / copying / 1e9:10.2f}"
    print(f"{name:24} {n / spent:10.0f} {rates} {spent / copying:8.1f}")


def main() -> None:
    budget_s = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print(f"{'one core':24} {'frames/s':>10} {'GB/s':>10} {'memcpy':>10} {'ratio':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder)
        bench("JUNGFRAU raw", jungfrau(folder, conversion="raw"), budget_s)
        bench("JUNGFRAU keV", jungfrau(folder, conversion="kev"), budget_s)
        bench("JUNGFRAU keV, shared", jungfrau(folder, conversion="kev", double_pixels="share"), budget_s)
        bench("JUNGFRAU counts", jungfrau(folder, conversion="counts", factor=12.4), budget_s)
    for bits in (4, 8, 16, 32):
        detector = open_detector(config("eiger", bits, 4, (514, 1030), module_positions=EIGER))
        bench(f"EIGER {bits} bits", detector, budget_s)
    bench("GIGAFROST", open_detector(config("gigafrost", 12, 8, (2016, 2016))), budget_s)


if __name__ == "__main__":
    main()
