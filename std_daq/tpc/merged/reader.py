"""MergedFile: reads the events of a merged file, whatever its layout.

::

    from std_daq.tpc.merged.reader import MergedFile

    with MergedFile("run_0001.h5") as file:
        for event in file:
            print(event.n, event.id, event.traces.shape)

The events are those whose groups are there. The attributes min_event and max_event are not used, because programs
disagree about them: in files of the merger max_event is the last event, in those of the harmonizer one more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from std_daq.errors import HDF5_ERRORS, FileFormatError
from std_daq.tpc.merged import layout
from std_daq.tpc.merged.checksums import checksum_of_texts
from std_daq.tpc.merged.event import FribPhysics, MergedEvent
from std_daq.tpc.merged.event_log import log_path
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.merged.legacy import LegacyEvents
from std_daq.tpc.merged.traces import read_modules, read_traces


class MergedFile:
    """A merged file, open for reading; a context manager, and an iterable of its events.

    Parameters
    ----------
    path
        Path of the file.
    locking
        Whether HDF5 locks the file, as far as its file system has locks; a program that has locked it needs False.

    Attributes
    ----------
    path
        As given.
    version
        Version text of the file; empty if it has none, as in the legacy layout.
    layout
        Layout of its groups. In a file without events it follows from the version.
    numbers
        Numbers of the events that are there, ascending.

    Raises
    ------
    FileNotFoundError, PermissionError
        The file is not there, or may not be read.
    FileFormatError
        The file is damaged, or is no merged file.
    """

    def __init__(self, path: Path | str, *, locking: bool = True) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_file():  # to open a pipe would wait for another program
            raise FileFormatError(f"{self.path}: this is no file, but a folder, pipe, device or socket")
        with self.path.open("rb"):
            pass  # h5py tells a missing file and a damaged one by the same exception
        with self._reading(""):
            self._file = h5py.File(self.path, "r", locking="best-effort" if locking else False)
        try:
            with self._reading(""):
                self._legacy = LegacyEvents.of(self._file)
                self.version, self.layout, self.numbers = self._look()
            self._known = frozenset(self.numbers)
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[MergedEvent]:
        return map(self.read, self.numbers)

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the events together, such as ``frib_run``; empty in the legacy layout."""
        with self._reading(layout.EVENTS):
            return {} if self._legacy is not None else dict(self._file[layout.EVENTS].attrs)

    @property
    def run_attributes(self) -> dict[str, Any]:
        """What std-daq writes about the run: its request, its report and so on; empty in other files."""
        with self._reading("/"):
            return dict(self._file.attrs)

    @property
    def is_text_changed(self) -> bool:
        """Whether the texts about the run are not as they were written; False in files without their checksum."""
        with self._reading("/"):
            wanted = self._file.attrs.get(layout.CHECKSUM)
            return wanted is not None and int(wanted) != checksum_of_texts(self._file)

    def read(self, n: int) -> MergedEvent:
        """Return an event.

        Raises
        ------
        KeyError
            There is no event with this number.
        FileFormatError
            The event is damaged; the message names the dataset.
        """
        if n not in self._known:
            raise KeyError(n)
        if self._legacy is not None:
            with self._reading(f"{layout.GET}/evt{n}_data"):
                return self._legacy.read(n)
        name = f"{layout.EVENTS}/{layout.event_name(n)}"
        with self._reading(name):
            group = self._file[name]
            if not isinstance(group, h5py.Group):
                raise FileFormatError("not a group")
            return _read_event(n, group)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look(self) -> tuple[str, Layout, list[int]]:
        """Return the version, the layout, and the numbers of the events."""
        if self._legacy is not None:
            return "", Layout.LEGACY, self._legacy.numbers
        events = self._file.get(layout.EVENTS)
        if not isinstance(events, h5py.Group):
            raise FileFormatError(
                f"no merged file: it has neither a group /{layout.EVENTS} nor the groups /meta and /{layout.GET}"
            )
        version = _text(events.attrs.get("version", ""))
        matches = (layout.EVENT_NAME.fullmatch(name) for name in events)
        numbers = sorted(int(match[1]) for match in matches if match is not None)
        return version, _layout_of(events, numbers, version), numbers

    @contextmanager
    def _reading(self, where: str) -> Iterator[None]:
        """Give errors the path, and the place in the file if the text of the error has none."""
        place = f"{self.path}: {where}: " if where else f"{self.path}: "
        try:
            yield
        except FileFormatError as error:
            raise FileFormatError(f"{place}{error}") from None
        except HDF5_ERRORS as error:
            if log_path(self.path).exists():
                raise FileFormatError(
                    f"{place}the file is being written, or its writer was killed; when no writer is running: std-daq "
                    f"recover {self.path}"
                ) from None
            raise FileFormatError(f"{place}cannot be read: {error}") from None


def _layout_of(events: h5py.Group, numbers: list[int], version: str) -> Layout:
    for n in numbers:
        group = events[layout.event_name(n)]
        if layout.GET in group:
            return Layout.V2_0
        if layout.GET_TRACES in group:
            return Layout.V1_0
    return layout.KNOWN_VERSIONS.get(version, Layout.V1_0)


def _read_event(n: int, group: h5py.Group) -> MergedEvent:
    traces, silicon, item = np.zeros((0, layout.N_COLUMNS), np.int16), {}, None
    if layout.GET in group:
        item = group[layout.GET]
        if not isinstance(item, h5py.Group):
            raise FileFormatError(f"{layout.GET} is not a group")
        if layout.PADS in item:
            traces = read_traces(item[layout.PADS], f"{layout.GET}/{layout.PADS}")
        silicon = {name: read_traces(item[name], f"{layout.GET}/{name}") for name in layout.SILICON if name in item}
    elif layout.GET_TRACES in group:
        item = group[layout.GET_TRACES]
        traces = read_traces(item, layout.GET_TRACES)
    complete = _number(group, layout.COMPLETE)
    return MergedEvent(
        n=n,
        traces=traces,
        silicon=silicon,
        id=None if item is None else _needed_number(item, "id"),
        timestamp=None if item is None else _needed_number(item, "timestamp"),
        timestamp_other=None if item is None else _number(item, "timestamp_other"),
        epoch=_number(group, layout.EPOCH),
        is_complete=None if complete is None else bool(complete),
        missing_boards=_missing_boards(group),
        frib=_read_frib(group[layout.FRIB_PHYSICS]) if layout.FRIB_PHYSICS in group else None,
        checksum=_number(group, layout.CHECKSUM),
        orig_run=_number(group, "orig_run"),
        orig_event=_number(group, "orig_event"),
    )


def _read_frib(group: Any) -> FribPhysics:
    if not isinstance(group, h5py.Group):
        raise FileFormatError(f"{layout.FRIB_PHYSICS} is not a group")
    number = _number(group, "id")
    return FribPhysics(
        id=_number(group, "event") if number is None else number,  # the harmonizer calls it event
        timestamp=_number(group, "timestamp"),
        modules=read_modules(group),
    )


def _missing_boards(group: h5py.Group) -> NDArray[np.uint8] | None:
    if layout.MISSING_BOARDS not in group.attrs:
        return None
    boards = np.asarray(group.attrs[layout.MISSING_BOARDS])
    if boards.ndim != 2 or boards.shape[1] != 2 or boards.dtype.kind not in "ui":
        raise FileFormatError(f"attribute {layout.MISSING_BOARDS} is {boards.dtype} {boards.shape}, not uint8 (k, 2)")
    return boards.astype(np.uint8)


def _needed_number(item: h5py.HLObject, name: str) -> int:
    number = _number(item, name)
    if number is None:
        raise FileFormatError(f"{item.name} has no attribute {name}")
    return number


def _number(item: h5py.HLObject, name: str) -> int | None:
    """Return an attribute that is a whole number; None if there is none."""
    if name not in item.attrs:
        return None
    value = np.asarray(item.attrs[name])
    if value.size != 1 or value.dtype.kind not in "uif":
        raise FileFormatError(f"attribute {name} of {item.name} is no number")
    return int(value.reshape(()))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
