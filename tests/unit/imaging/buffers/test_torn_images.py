"""A writer that fills a small ring as fast as it can and a reader, two processes, each with the words of Python or of
compiled code.

The writer pauses for a moment after each burst of images. Without pauses a reader with a core of its own would never be
fast enough to copy an image before the writer comes round.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# With the words that the first argument names; then `path` is that of the ring.
BEGIN = """
import inspect, json, sys, time
from std_daq.native import ordered_words
if sys.argv[1] == "atomics":
    from std_daq.native import atomics
    for name, _ in inspect.getmembers(ordered_words, inspect.isfunction):
        setattr(ordered_words, name, getattr(atomics, name))
else:
    sys.modules["numba"] = sys.modules["llvmlite"] = None
import numpy as np
from pathlib import Path
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.buffers.image_reader import ImageReader
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, dtype_code
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.shm import ring
words = ring.load_acquire.__module__.rpartition(".")[2]
path = Path(sys.argv[2])
"""

# Every pixel of an image is its id.
WRITER = (
    BEGIN
    + """
ring, _ = ImageBuffer.create(path, shape=(256, 512), dtype=np.dtype("u4"), n_modules=1, buffer_bytes=0, n_slots=4)
metadata, modules = np.zeros(1, IMAGE_METADATA), np.zeros(1, MODULE_ENTRY)
metadata["height"], metadata["width"], metadata["dtype"] = 256, 512, dtype_code(ring.dtype)
print(words, flush=True)
while True:
    sequence = ring.journal.next_sequence
    slot = ring.slot(sequence)
    metadata["id"] = metadata["sequence"] = sequence
    ring.begin(slot)
    ring.images[slot] = sequence
    modules["missing_packets"] = sequence % 2**32
    ring.write_header(slot, metadata.tobytes(), modules.tobytes())
    ring.end(slot)
    ring.journal.append(metadata)
    if sequence % 256 == 0:
        time.sleep(0.002)
"""
)

# Looks at what is just going to be overwritten, until enough has been torn under it, and reads in order, too.
READER = (
    BEGIN
    + """
def check(image, sequence):
    pixels = image.pixels
    assert image.id == image.sequence == image.missing_packets[0] == sequence
    assert pixels.min() == pixels.max() == sequence, (sequence, pixels.min(), pixels.max())

ring = ImageBuffer.attach(path)
n_intact = n_torn = 0
deadline = time.monotonic() + 60
while (n_intact < 300 or n_torn < 150) and time.monotonic() < deadline:
    sequence = ring.journal.next_sequence - (4 if n_intact > n_torn else 3)
    found = ring.view(sequence) if sequence >= 0 else None
    if found is None:
        continue
    image = found.copy()
    if image is None:
        n_torn += 1
    else:
        check(image, sequence)
        n_intact += 1
with ImageReader(path) as images:
    first = last = images.next(timeout_s=10).sequence
    n_before = images.lost.n
    n_read = 1
    while n_read < 150:
        image = images.next(timeout_s=10)
        check(image, image.sequence)
        assert image.sequence > last
        last = image.sequence
        n_read += 1
    assert n_read + images.lost.n - n_before == last - first + 1
print(json.dumps([words, n_intact, n_torn]))
"""
)


@pytest.mark.long
@pytest.mark.parametrize("writer_words", ["atomics", "ordered_words"])
@pytest.mark.parametrize("reader_words", ["atomics", "ordered_words"])
def test_no_torn_image_passes_for_intact(shm_dir: Path, reader_words: str, writer_words: str) -> None:
    path = str(shm_dir / "ring")
    command = [sys.executable, "-c", WRITER, writer_words, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline().strip() == writer_words
            command = [sys.executable, "-c", READER, reader_words, path]
            done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        finally:
            writer.kill()
    assert done.returncode == 0, done.stderr
    words, n_intact, n_torn = json.loads(done.stdout)
    assert words == reader_words
    assert n_intact >= 300
    assert n_torn >= 150
