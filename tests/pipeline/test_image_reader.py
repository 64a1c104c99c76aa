"""Users' notebooks, which are processes of their own, read a running beamline."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_daq.imaging.detectors.registry import open_detector
from std_test_kit.beamline import Beamline
from std_test_kit.expected_images import expected_image

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "read-images-in-a-notebook.md"
N_IMAGES = 30
# As the bare package leaves Python.
BARE = """
import sys
for name in ("numba", "llvmlite", "h5py", "hdf5plugin", "bitshuffle", "PIL", "psutil"):
    sys.modules[name] = None
"""
KEEP_IMAGES = """
import numpy as np
from std_daq.client import ImageReader
with ImageReader("detector.json") as images:
    print("begun", flush=True)
    kept = [images.next(timeout_s=60) for _ in range(int(sys.argv[1]))]
    assert not images.lost.n, images.lost
np.savez("kept.npz", pixels=[image.pixels for image in kept], ids=[image.id for image in kept])
assert all(image.is_good and image.first_arrival_ns <= image.last_arrival_ns for image in kept)
"""
# Takes its time with each image, while the ring is used several times.
SLOW = """
import time
from std_daq.client import ImageReader
with ImageReader("detector.json", timeout_s=60) as images:
    print("begun", flush=True)
    read = []
    for image in images:
        read.append(image.id)
        if image.id == int(sys.argv[1]):
            break  # nothing comes after it, so it stays in the ring
        time.sleep(0.2)
    print(sorted([*read, *images.lost.ids]) == list(range(read[0], read[-1] + 1)), images.lost.n > 0)
"""

MakeConfig = Callable[..., dict[str, Any]]
OpenBeamline = Callable[[dict[str, Any]], Beamline]


def examples() -> list[str]:
    """Return the programs of the page."""
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@contextmanager
def notebook(folder: Path, code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", BARE + code, *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def wait_begun(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"


@pytest.mark.long
def test_notebook_reads_the_images_of_a_running_beamline(
    beamline_config: MakeConfig, open_beamline: OpenBeamline
) -> None:
    beamline = open_beamline(beamline_config("eiger"))
    simulate = ("simulate", "--n-images", str(N_IMAGES), "--rate-hz", "20", "--pattern", "counter")
    with notebook(beamline.folder, KEEP_IMAGES, str(N_IMAGES)) as process:
        wait_begun(process)
        assert beamline.run(*simulate)[0] == 0
        finish(process)
    kept = np.load(beamline.folder / "kept.npz")
    assert kept["ids"].tolist() == list(range(1, N_IMAGES + 1))
    detector = open_detector(beamline.config)
    converter = detector.converter()
    for number, raw, pixels in zip(kept["ids"], detector.simulated_frames("counter", 0), kept["pixels"], strict=False):
        np.testing.assert_array_equal(pixels, expected_image(detector, converter, raw, int(number), {}))

    first, by_id, in_place = examples()
    assert "timeout_s=10" in first
    with notebook(beamline.folder, by_id) as process:
        newest, largest = finish(process).splitlines()
    assert newest == f"<Image {N_IMAGES}: 514 x 1030 uint16, GOOD>"
    assert int(largest) == kept["pixels"][0].max()
    with notebook(beamline.folder, in_place) as process:
        lines = finish(process).splitlines()
    sums = [int(pixels.sum(dtype="u8")) for pixels in kept["pixels"]]
    assert lines == [f"{number} {total}" for number, total in zip(range(1, N_IMAGES + 1), sums, strict=True)]

    with notebook(beamline.folder, first.replace("timeout_s=10", "timeout_s=2, start='oldest'")) as process:
        lines = finish(process).splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [[str(number), "GOOD"] for number in range(1, N_IMAGES + 1)]
    assert lines[-1] == "no image was lost"


@pytest.mark.long
def test_slow_notebook_is_told_what_it_lost_and_disturbs_no_file(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger", shared_memory={"image_slots": 8}))
    n_images = "48"
    with notebook(beamline.folder, SLOW, n_images) as process:
        wait_begun(process)
        simulate = ["simulate", "--n-images", n_images, "--rate-hz", "25", "--pattern", "counter"]
        exit_code, report = beamline.record(tmp_path / "run.h5", ["--n-images", n_images], simulate)
        assert finish(process) == "True True\n"
    assert (exit_code, report["verdict"], report["n_written"]) == (0, "complete", int(n_images))
