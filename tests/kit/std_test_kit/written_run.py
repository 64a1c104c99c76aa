"""Runs that a writer writes step by step, and what has to be in their files."""

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np

from std_daq.imaging.files import layout
from std_daq.recording.store_stream import ReportKind
from std_test_kit.store_driver import missing_packets_of, pixels_of

SHAPE = (64, 128)


def assert_holds(path: Path, image_ids: list[int], dtype: str = "u2", shape: tuple[int, int] = SHAPE) -> None:
    """Check pixels and everything that is known of each image of a file."""
    with h5py.File(path) as file:
        assert file[layout.IMAGE_ID][:].tolist() == image_ids
        assert file[layout.PIXELS].shape == (len(image_ids), *shape)
        assert file[layout.PIXELS].dtype == np.dtype(dtype)
        for row, image_id in enumerate(image_ids):
            assert (file[layout.PIXELS][row] == pixels_of(image_id, shape, dtype)).all(), image_id
        assert file[layout.PULSE_ID][:].tolist() == [i + 1000 for i in image_ids]
        assert file[layout.FRAME_INDEX][:].tolist() == [i + 2000 for i in image_ids]
        assert file[layout.TIMESTAMP_NS][:].tolist() == [i + 3000 for i in image_ids]
        assert file[layout.MISSING_PACKETS][:].tolist() == [missing_packets_of(i) for i in image_ids]
        assert file[layout.STATUS][:].tolist() == [int(any(missing_packets_of(i))) for i in image_ids]


def write_run(bench: Any, path: Path, image_ids: range, **options: Any) -> list[str]:
    """Write a run whose images are sent one step at a time; returns its files."""
    bench.agent.start(path, **options)
    n_before = bench.n_handled
    for i, image_id in enumerate(image_ids):
        bench.agent.send(bench.publisher.publish(image_id), i)
        while bench.n_handled <= n_before + i:
            bench.writer.step()
    bench.agent.end(len(image_ids))
    bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    files: list[str] = bench.step_until(ReportKind.FINISHED).files
    return files
