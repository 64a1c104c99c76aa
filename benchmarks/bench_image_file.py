"""How fast images get into a file: `ImageFile.append` against `write` of the same bytes, turn by turn.

python benchmarks/bench_image_file.py [--folder /data] [--n-images 768] [--rounds 5]
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from std_daq.files import compression
from std_daq.files.description import ImageFileDescription
from std_daq.files.image_file import ImageFile
from std_daq.protocols.requests import RunReport, Verdict

SHAPE = (1024, 1024)
FLUSH_EVERY = 100


def time_write(path: Path, image: np.ndarray, n_images: int) -> float:
    start = time.perf_counter()
    with path.open("xb", buffering=0) as file:
        for _ in range(n_images):
            file.write(image)
    elapsed = time.perf_counter() - start
    path.unlink()
    return elapsed


def time_append(path: Path, image: np.ndarray, n_images: int) -> float:
    description = ImageFileDescription(detector_name="bench", shape=SHAPE, dtype="u2", n_modules=2)
    start = time.perf_counter()
    file = ImageFile.create(path, description)
    for i in range(n_images):
        file.append(
            image,
            image_id=i,
            pulse_id=i,
            frame_index=i,
            timestamp_ns=i,
            status=0,
            calibration=0,
            missing_packets=(0, 0),
        )
        if i % FLUSH_EVERY == FLUSH_EVERY - 1:
            file.flush()
    file.finish(RunReport(request_id="bench", verdict=Verdict.COMPLETE, n_written=n_images))
    elapsed = time.perf_counter() - start
    path.unlink()
    return elapsed


def time_compression(image: np.ndarray, n_images: int) -> float:
    out = np.empty(compression.bound(image.nbytes, image.itemsize), np.uint8)
    start = time.perf_counter()
    for _ in range(n_images):
        compression.compress_into(image, out)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--n-images", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    image = np.random.default_rng(1).poisson(3, SHAPE).astype("u2")
    n_images = arguments.n_images
    gigabytes = n_images * image.nbytes / 1e9
    with TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "file"
        time_write(path, image, n_images)
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append((time_write(path, image, n_images), time_append(path, image, n_images)))
            os.sync()
    ratios = [write / append for write, append in rounds]
    print(
        json.dumps(
            {
                "write_gb_s": round(gigabytes / statistics.median(write for write, _ in rounds), 2),
                "append_gb_s": round(gigabytes / statistics.median(append for _, append in rounds), 2),
                "append_to_write": round(statistics.median(ratios), 2),
                "append_to_write_each": [round(ratio, 2) for ratio in ratios],
                "compress_gb_s_core": round(gigabytes / time_compression(image, n_images), 2),
                "compress_library": str(compression.library_path()),
            },
            indent=2,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
