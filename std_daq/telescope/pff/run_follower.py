"""RunFollower: delivers the frames of running acquisitions as they are written into run directories."""

import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from std_daq.telescope.pff.header import MAX_HEADER_BYTES, Header, check_header, parse_header
from std_daq.telescope.pff.layout import FrameLayout, learn_layout
from std_daq.telescope.pff.product import PRODUCTS, Product
from std_daq.telescope.pff.run_directory import PffRun, PlacedFile, RunDirectory

# Of frames that appear at once, such as a buffer of a megabyte, only the newest are delivered.
MAX_FRAMES_AT_ONCE = 64
_LOOK_FOR_FILES_S = 0.25
_HAS_DAMAGE = "some of its frames are damaged"
_START_BYTES = 9  # as in b'{ "quabo_' or b'{\n   "qua', which all headers of a file have in common


@dataclass(frozen=True, slots=True, eq=False)
class FollowedFrame:
    """A frame that a run directory has delivered.

    Parameters
    ----------
    module_id
        Number of the module.
    product
        The product.
    header
        The parsed header.
    pixels
        Bytes of the pixels.
    file
        Name of the file without its folder.
    frame_number
        Position in the file, counted from 0.
    """

    module_id: int
    product: Product
    header: Header
    pixels: bytes
    file: str
    frame_number: int


@dataclass(slots=True)
class FollowCounters:
    """What a follower has counted since its start.

    Attributes
    ----------
    n_frames
        Frames delivered.
    n_left_out
        Frames that appeared together with newer ones, and were left out.
    n_damaged
        Places at which a frame is damaged or cut, or at which something else stands between two frames.
    refused
        Files of the runs that are followed which are no PFF files or have damaged frames, each with the reason.
    """

    n_frames: int = 0
    n_left_out: int = 0
    n_damaged: int = 0
    refused: dict[str, str] = field(default_factory=dict)


class RunFollower:
    """Delivers, per module and product, first the newest whole frame, and then each that is added.

    Of runs that are there when it begins it delivers nothing older than that. It follows into the next file of a run,
    into a new run, and to new modules. It holds no file open, so a run may be deleted meanwhile. Nothing that it finds
    in the folder ends it.

    Parameters
    ----------
    data_dir
        The folder with ``module_<N>/obs_*/*.pff``.
    module_ids
        The modules that are wanted; none stands for all.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(
        self, data_dir: Path, module_ids: Iterable[int] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = RunDirectory(data_dir, module_ids)
        self._clock = clock
        self._look_at_s = float("-inf")
        self._runs: dict[int, PffRun] = {}
        self._cursors: dict[tuple[Path, str], _Cursor] = {}
        self._is_first_look = True
        self._old_runs: set[Path] = set()  # there from the beginning, and not followed yet
        self.counters = FollowCounters()

    @property
    def runs(self) -> list[PffRun]:
        """The runs that are followed now."""
        return list(self._runs.values())

    def step(self) -> list[FollowedFrame]:
        """Return the frames that have come since the last step."""
        now_s = self._clock()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_FOR_FILES_S
            self._look_for_runs()
        frames: list[FollowedFrame] = []
        for module_id, run in self._runs.items():
            by_product = run.by_product()
            for product, files in by_product.items():
                frames += self._cursor(module_id, product, run, files).advance(files)
            for gone in PRODUCTS.keys() - by_product.keys():
                self._cursors.pop((run.path, gone), None)  # a file of the same name may come, and is another one
            self._old_runs.discard(run.path)
        self.counters.n_frames += len(frames)
        return frames

    def _look_for_runs(self) -> None:
        self._runs = self._directory.newest_runs()
        present = self._directory.run_paths()
        self._old_runs = present if self._is_first_look else self._old_runs & present
        self._is_first_look = False
        self._cursors = {key: cursor for key, cursor in self._cursors.items() if key[0] in present}
        followed, counters = {run.path for run in self._runs.values()}, self.counters
        counters.refused = {path: why for path, why in counters.refused.items() if Path(path).parent in followed}

    def _cursor(self, module_id: int, product: str, run: PffRun, files: list[PlacedFile]) -> "_Cursor":
        cursor = self._cursors.get((run.path, product))
        if cursor is None:
            cursor = self._cursors[run.path, product] = _Cursor(module_id, PRODUCTS[product], self.counters)
            if run.path in self._old_runs:
                cursor.begin_at_newest(files)
        return cursor


class _Cursor:
    """How far one product of one run has been delivered."""

    def __init__(self, module_id: int, product: Product, counters: FollowCounters) -> None:
        self._module_id = module_id
        self._product = product
        self._counters = counters
        self._layout: FrameLayout | None = None
        self._n_done = 0
        self._shift = 0  # bytes by which frames stand behind their place, after some were cut or something came between
        self._start = b""
        self._file: PlacedFile | None = None

    def begin_at_newest(self, files: list[PlacedFile]) -> None:
        """Place the cursor before the newest whole frame of the files; before all if there is none."""
        for file in reversed(files):
            size = _size(file.path)
            layout = self._learn(file.path) if size else None
            n_frames = 0 if layout is None else size // layout.frame_bytes
            if n_frames:
                self._file, self._layout, self._n_done = file, layout, n_frames - 1
                return

    def advance(self, files: list[PlacedFile]) -> Iterator[FollowedFrame]:
        """Yield the frames that were added to the file, and those of the files that follow it."""
        if self._file is None:
            self._go_to(files[0])
        while self._file is not None:
            yield from self._new_frames(self._file.path)
            following = files[bisect_right(files, self._file) :]
            # A file is finished when a later one has content: the acquisition makes files before it needs them.
            begun = next((file for file in following if _size(file.path) > 0), None)
            if begun is None:
                return
            yield from self._new_frames(self._file.path)
            self._go_to(begun)

    def _go_to(self, file: PlacedFile) -> None:
        self._file, self._layout, self._n_done, self._shift = file, None, 0, 0

    def _new_frames(self, path: Path) -> Iterator[FollowedFrame]:
        size = _size(path)
        if self._layout is None and size:
            self._layout = self._learn(path)
        if self._layout is None:
            return
        n_frames = (size - self._shift) // self._layout.frame_bytes
        if n_frames < self._n_done:  # the file was made anew
            self._layout, self._n_done, self._shift = self._learn(path), 0, 0
            return
        first = max(self._n_done, n_frames - MAX_FRAMES_AT_ONCE)
        self._counters.n_left_out += first - self._n_done
        self._n_done = first
        if first < n_frames:
            yield from self._read(path, self._layout, size)

    def _read(self, path: Path, layout: FrameLayout, size: int) -> Iterator[FollowedFrame]:
        offset = self._n_done * layout.frame_bytes + self._shift
        data, at = _read(path, offset, size - offset), 0
        while at + layout.frame_bytes <= len(data):
            index, end = self._n_done, at + layout.frame_bytes
            self._n_done += 1
            header = _sound_header(data[at : at + layout.pixel_offset], layout)
            # Where another header begins before a frame ends, the acquisition could not write all of it.
            if header is None or data.find(self._start, at + _START_BYTES, end + _START_BYTES - 1) >= 0:
                self._counters.n_damaged += 1
                self._counters.refused[str(path)] = _HAS_DAMAGE
                found = self._next_frame(data, at + 1, layout)
                self._shift += found - end
                at = found
                continue
            pixels = data[at + layout.pixel_offset : end]
            at = end
            yield FollowedFrame(self._module_id, self._product, header, pixels, path.name, index)

    def _next_frame(self, data: bytes, at: int, layout: FrameLayout) -> int:
        """Return where the next frame begins; where it has its place if none is there."""
        found = at
        while (found := data.find(self._start, found)) >= 0:
            if _sound_header(data[found : found + layout.pixel_offset], layout) is not None:
                return found
            found += 1
        return at - 1 + layout.frame_bytes

    def _learn(self, path: Path) -> FrameLayout | None:
        try:
            beginning = _read(path, 0, MAX_HEADER_BYTES)
            layout = learn_layout(beginning, self._product)
        except ValueError as error:
            self._counters.refused[str(path)] = str(error)
            return None
        self._start = beginning[:_START_BYTES]
        self._counters.refused.pop(str(path), None)
        return layout


def _sound_header(data: bytes, layout: FrameLayout) -> Header | None:
    """Return the header of the frame with which these bytes begin; None if it is damaged."""
    if not layout.has_frame_at(data, 0):
        return None
    try:
        header = parse_header(data[: layout.header_bytes])
        check_header(header, layout.product)
    except ValueError:
        return None
    return header


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, offset: int, n_bytes: int) -> bytes:
    """Return a part of a file; nothing of a file that is gone."""
    try:
        with path.open("rb") as file:
            return os.pread(file.fileno(), n_bytes, offset)
    except OSError:
        return b""
