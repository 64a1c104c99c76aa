"""What the import of the client loads, and that a notebook without numba and h5py reads images."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from std_test_kit.store_driver import RingPublisher

HEAVY = {"numba", "llvmlite", "h5py", "hdf5plugin", "numpy"}
IMPORT = """
import sys
import std_daq.client
print(*(set(sys.modules) & set(sys.argv[1:])))
"""
NOTEBOOK = """
import sys
for name in ("numba", "llvmlite", "h5py", "hdf5plugin", "bitshuffle", "PIL", "psutil"):
    sys.modules[name] = None
from std_daq.client import ImageReader
with ImageReader(sys.argv[1], start="oldest", timeout_s=0.1) as images:
    for image in images:
        print(image.id, image.status.name, int(image.pixels.sum()))
"""


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_import_of_the_client_loads_nothing_that_only_images_need() -> None:
    assert run(IMPORT, *HEAVY).split() == []


def test_client_without_numba_and_hdf5_reads_images(shm_dir: Path) -> None:
    path = shm_dir / "images"
    with closing(RingPublisher(path)) as publisher:
        publisher.publish(5)
        publisher.publish(6)
        sums = [int(publisher.ring.images[slot].sum()) for slot in range(2)]
        assert run(NOTEBOOK, str(path)) == f"5 GOOD {sums[0]}\n6 MISSING_PACKETS {sums[1]}\n"


def test_client_has_what_it_names() -> None:
    import std_daq.client as client

    for name in client.__all__:
        assert getattr(client, name).__name__ == name
    assert not hasattr(client, "Images")
