"""Recorder: an h5_writer as it runs in operation, with a ring full of photons and the agent's side of its run."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import hdf5plugin  # noqa: F401  (registers the filter that decompresses)
import numpy as np
import psutil
from numpy.typing import NDArray

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.files import layout
from std_daq.recording.store_stream import ReportKind, WriterReport
from std_test_kit.store_driver import RingPublisher, StoreDriver

# Enough that the writer never waits for a name, few enough that the queue takes all.
_MAX_IMAGES_AHEAD = 10_000
_TIMEOUT_S = 120.0
_N_WARM = 4
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Recording:
    """What one run took, in seconds.

    Attributes
    ----------
    begin_s
        From the first message to the first image in the file.
    write_s
        From naming the next image to the report that all images are in the file, that is, in the page cache.
    end_s
        From the verdict to the report that the file has it, is closed, and is on the disk.
    cpu_s
        CPU time of the writer in all of this.
    """

    begin_s: float
    write_s: float
    end_s: float
    cpu_s: float


class Recorder:
    """The service ``std-h5-writer`` as a process of its own.

    Parameters
    ----------
    shm, folder
        Where the ring lies, and configuration and sockets.
    shape
        Height and width of an image of 16 bit.
    ring_bytes
        About how much the ring holds.
    n_threads
        Threads that compress.
    is_direct
        Whether images go past the page cache. Only the newest quarter of the ring is written then, because a writer
        that is behind by half of it would use the page cache.
    module
        Python module that runs as the service.
    """

    def __init__(
        self,
        shm: Path,
        folder: Path,
        shape: tuple[int, int],
        *,
        ring_bytes: int,
        n_threads: int = 1,
        is_direct: bool = False,
        module: str = "std_h5_writer",
    ) -> None:
        self.shape = shape
        self.image_bytes = 2 * shape[0] * shape[1]
        folder.mkdir()
        file = folder / "detector.json"
        config = DetectorConfig.model_validate(
            {
                "detector_name": f"b{shape[0]}x{shape[1]}",
                **_detector(shape),
                "image_pixel_height": shape[0],
                "image_pixel_width": shape[1],
                "start_udp_port": 50000,
                "runtime_dir": str(folder),
                "shared_memory": {"directory": str(shm)},
                "writer": {"n_compression_threads": n_threads, "direct_io": is_direct},
            }
        )
        file.write_text(config.model_dump_json())
        n_slots = max(4, ring_bytes // self.image_bytes)
        publisher = RingPublisher(image_buffer_path(config), shape=shape, n_slots=n_slots, n_modules=config.n_modules)
        self._publisher = publisher
        metadata = [publisher.publish(i) for i in range(n_slots)]
        first = n_slots - n_slots // 4 if is_direct else 0
        self._metadata = metadata[first:]
        publisher.ring.images[:] = np.random.default_rng(1).poisson(1.0, (1, *shape))
        self.images: NDArray[Any] = publisher.ring.images[first:]
        for slot, image in enumerate(self.images):
            image[0, :2] = divmod(slot, 1 << 16)  # each tells which it is
        self._agent = StoreDriver(config)
        self._service = subprocess.Popen([sys.executable, "-m", module, "--config", file, "--log-level", "error"])
        self._process = psutil.Process(self._service.pid)
        self._agent.wait_for(ReportKind.ALIVE, timeout_s=_TIMEOUT_S)

    @property
    def n_slots(self) -> int:
        """Images of the ring that are written."""
        return len(self.images)

    @property
    def cpu_s(self) -> float:
        """CPU time that the writer has taken."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def memory_bytes(self) -> int:
        """Memory of the writer that is its own: not the ring, not files that are mapped."""
        return int(self._process.memory_info().rss - self._process.memory_info().shared)

    def record(
        self, path: Path, n_images: int, *, on_progress: Callable[[int], None] = lambda _: None, **request: Any
    ) -> Recording:
        """Write a run of images that lie in the ring, a few first, then so many.

        Parameters
        ----------
        path
            The file.
        n_images
            How many are timed.
        on_progress
            Told how many images are written, at each report.
        request
            Fields of the request.
        """
        cpu_s = self.cpu_s
        started = time.perf_counter()
        self._begin(path, **request)
        began = time.perf_counter()
        n_named = n_written = 0
        while n_named < n_images:
            is_ahead = n_named - n_written >= _MAX_IMAGES_AHEAD
            if not is_ahead:
                for i in range(n_named, min(n_named + _BATCH, n_images)):
                    self._name(_N_WARM + i)
                n_named = min(n_named + _BATCH, n_images)
            report = self._agent.receive(0.01 if is_ahead else 0.0)
            if report is not None and report.kind is ReportKind.PROGRESS:
                n_written = report.n_written
                on_progress(n_written)
        written = self._drain(_N_WARM + n_images, on_progress)
        finished = self._finish()
        return Recording(began - started, written - began, finished - written, self.cpu_s - cpu_s)

    def _begin(self, path: Path, **request: Any) -> None:
        """Begin a run with a few images, and wait until they are in the file."""
        self._agent.start(path, **request)
        for i in range(_N_WARM):
            self._name(i)
        while not _has_images(path, request.get("images_per_file")):
            time.sleep(0.0005)

    def _name(self, i_image: int) -> None:
        """Name an image of the run to the writer."""
        self._agent.send(self._metadata[i_image % self.n_slots], i_image)

    def _drain(self, n_images: int, on_progress: Callable[[int], None]) -> float:
        """End the run, and return when its images were all in the file."""
        self._agent.end(n_images)
        deadline = time.monotonic() + _TIMEOUT_S
        report = None
        while report is None or report.kind is not ReportKind.DRAINED:
            report = self._agent.receive(0.1)
            if report is not None and report.kind in {ReportKind.PROGRESS, ReportKind.DRAINED}:
                on_progress(report.n_written)
            if time.monotonic() > deadline:
                raise TimeoutError("the writer does not end its run")
        if report.n_written != n_images:
            raise AssertionError(f"{report.n_written} of {n_images} images were written: {report.message}")
        return time.perf_counter()

    def _finish(self) -> float:
        """Tell the verdict, and return when it was in the file, and this on the disk."""
        self._agent.finish()
        report = self._wait_for(ReportKind.FINISHED)
        if report.message:
            raise AssertionError(f"the run failed: {report.message}")
        return time.perf_counter()

    def check(self, path: Path, n_images: int) -> None:
        """Compare some images of a file with the ring; raises AssertionError where they differ."""
        with h5py.File(path) as file:
            pixels = file[layout.PIXELS]
            if pixels.shape != (_N_WARM + n_images, *self.shape):
                raise AssertionError(f"{path} has pixels of {pixels.shape}")
            for row in np.linspace(0, len(pixels) - 1, 7).astype(int):
                if not np.array_equal(pixels[row], self.images[row % self.n_slots]):
                    raise AssertionError(f"image {row} of {path} differs from the ring")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._service.terminate()
        self._service.wait(_TIMEOUT_S)
        self._agent.close()
        del self.images
        self._publisher.close()

    def _wait_for(self, kind: ReportKind) -> WriterReport:
        return self._agent.wait_for(kind, timeout_s=_TIMEOUT_S)


def _detector(shape: tuple[int, int]) -> dict[str, Any]:
    """Return the configuration of a detector with images of a size."""
    if shape[0] < 256:
        return {"detector_type": "gigafrost", "n_modules": 8, "bit_depth": 12}
    return {"detector_type": "eiger", "n_modules": 1, "bit_depth": 16, "module_positions": {"0": [0, 0, 513, 255]}}


def _has_images(path: Path, images_per_file: int | None) -> bool:
    """Tell whether the file of a run's first images is there; the images follow at once."""
    return (path if images_per_file is None else layout.data_file_path(path, 1)).exists()
