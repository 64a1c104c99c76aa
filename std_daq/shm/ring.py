"""RingBuffer: slots of shared memory with generation numbers, and journals of the published entries.

Layout of a segment; each area is page aligned::

    header page | notes page | control words of the journals | journals | slot headers | slot data

A slot has one or more parts that are written independently. For example, a slot of frames has one part per module; a
slot of images has one part. Each part has a header that begins with its generation: odd while the part is being
written, even when it is complete. A reader notes the even generation, reads the data in place, and then checks that the
generation has not changed. If it has changed, the data were overwritten, and the reader counts them as lost. So no
writer waits for a reader, no reader waits for a writer, and every overwrite is noticed.

Contents of very different sizes waste memory if each slot has room for the largest one. In a `SharedAreaRing`, they lie
one behind the other in an area that all slots share.

Dtypes define the other fields of headers and journal entries. The ring itself uses only ``generation`` of a header,
``n_bytes`` of a header if contents differ in size, and ``sequence`` of an entry.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.native.ordered_words import begin_write, end_write, is_unchanged, load_acquire, store_release
from std_daq.shm.journal import CONTROL_WORDS, Journal
from std_daq.shm.segment import PAGE, Segment

NOTES_BYTES = 4 * PAGE
_MAX_NUMBER = 2**48


@dataclass(frozen=True, slots=True)
class RingGeometry:
    """The geometry of a ring; it is stored in the header, so a reader needs only the path of the ring to attach.

    Parameters
    ----------
    kind
        What the ring contains, for example ``frames`` or ``images``. A reader attaches to one kind only.
    n_slots, n_parts
        Number of slots, and of parts of a slot.
    data_bytes
        Size of the data of a part, in bytes; the data of each part begin at a page boundary.
    header_bytes
        Size of the header of a part, in bytes.
    n_journals, n_entries, entry_bytes
        Number of journals, number of entries of each, and size of an entry in bytes.
    attributes
        Other facts that a reader needs, for example the shape of an image.
    shared_bytes
        Size of the area of data that all slots share, in bytes, if contents differ in size (`SharedAreaRing`); 0 if
        each part has its own ``data_bytes``, which are 0 otherwise.
    """

    kind: str
    n_slots: int
    n_parts: int
    data_bytes: int
    header_bytes: int
    n_journals: int
    n_entries: int
    entry_bytes: int
    attributes: dict[str, Any]
    shared_bytes: int = 0

    @property
    def data_stride(self) -> int:
        """Distance from the data of one part to those of the next, in bytes."""
        return _pages(self.data_bytes)

    def offsets(self) -> dict[str, int]:
        """Return the offset of each area and the total size, in bytes."""
        notes = _pages(PAGE)
        control = notes + NOTES_BYTES
        journals = control + _pages(self.n_journals * CONTROL_WORDS * 8)
        headers = journals + _pages(self.n_journals * self.n_entries * self.entry_bytes)
        data = headers + _pages(self.n_slots * self.n_parts * self.header_bytes)
        total = data + (_pages(self.shared_bytes) or self.n_slots * self.n_parts * self.data_stride)
        return {
            "notes": notes,
            "control": control,
            "journals": journals,
            "headers": headers,
            "data": data,
            "total": total,
        }


class RingBuffer:
    """A ring in a segment, as its owner or a reader sees it.

    Attributes
    ----------
    headers
        Headers of all parts, struct array (n_slots * n_parts,). Part ``p`` of slot ``s`` has the index
        ``s * n_parts + p``.
    data
        Data of all parts, uint8 (n_slots * n_parts, data_bytes).
    generations
        The generation words of `headers`, uint64 (n_slots * n_parts,).
    journals
        The journals, one per writer.
    """

    def __init__(self, segment: Segment, geometry: RingGeometry, header: np.dtype[Any], entry: np.dtype[Any]) -> None:
        self.segment = segment
        self.geometry = geometry
        at = geometry.offsets()
        n = geometry.n_slots * geometry.n_parts
        raw = segment.bytes
        if (geometry.header_bytes, geometry.entry_bytes) != (header.itemsize, entry.itemsize):
            raise ValueError("the geometry is for headers and entries of other sizes")
        self.headers = raw[at["headers"] : at["headers"] + n * header.itemsize].view(header)
        self.generations: NDArray[np.uint64] = self.headers["generation"]
        self._empty_header = np.zeros(1, header)
        self._sizes: NDArray[Any] | None = self.headers["n_bytes"] if "n_bytes" in (header.names or ()) else None
        stride = geometry.data_stride
        self.data = raw[at["data"] : at["data"] + n * stride].reshape(n, stride)[:, : geometry.data_bytes]
        control = raw[at["control"] : at["control"] + geometry.n_journals * CONTROL_WORDS * 8].view(np.uint64)
        length = geometry.n_entries * entry.itemsize
        self.journals = [
            Journal(
                raw[at["journals"] + i * length : at["journals"] + (i + 1) * length].view(entry),
                control[i * CONTROL_WORDS : (i + 1) * CONTROL_WORDS],
            )
            for i in range(geometry.n_journals)
        ]
        self._notes = raw[at["notes"] : at["notes"] + NOTES_BYTES]

    @classmethod
    def create_or_attach(
        cls, path: Path, geometry: RingGeometry, header: np.dtype[Any], entry: np.dtype[Any], *, size_key: str
    ) -> tuple[Self, bool]:
        """Create the ring, or take it over after a restart; returns the ring and whether it is new. For owners.

        ``size_key`` is the configuration key that sets the size of the ring; the error for too little memory names it.
        """
        return create_ring(
            path, geometry, lambda segment, planned: cls(segment, planned, header, entry), size_key=size_key
        )

    def content(self, index: int) -> NDArray[np.uint8]:
        """Return the content of part ``index``, without a copy.

        If contents differ in size, as those of events do, the header has a field ``n_bytes``: the number of bytes that
        are used. Call `is_unchanged` afterwards, as for all data of a part, to learn whether they were complete. A size
        that is read while it is being written cannot reach beyond the part.
        """
        part: NDArray[np.uint8] = self.data[index]
        if self._sizes is None:
            return part
        return part[: int(self._sizes[index])]

    @property
    def n_slots(self) -> int:
        """Number of slots of the ring."""
        return self.geometry.n_slots

    @property
    def is_live(self) -> bool:
        """Whether the ring is in use; False if it was replaced or removed."""
        return self.segment.is_live

    def begin(self, index: int) -> int:
        """Begin to write part ``index`` (see `headers`); returns its odd generation."""
        return int(begin_write(self.generations, index))

    def end(self, index: int) -> int:
        """Finish writing part ``index``; returns its even generation."""
        return int(end_write(self.generations, index))

    def generation(self, index: int) -> int:
        """Return the generation of part ``index``; a reader notes it before it reads the data."""
        return int(load_acquire(self.generations, index))

    def is_unchanged(self, index: int, generation: int) -> bool:
        """Return whether data read since ``generation`` was noted are complete: it was even and has not changed."""
        return generation % 2 == 0 and bool(is_unchanged(self.generations, index, generation))

    def write_notes(self, notes: dict[str, Any]) -> None:
        """Store a small document for readers, e.g. the calibration files that are applied; only one writer may."""
        text = json.dumps(notes, sort_keys=True).encode()
        if len(text) > NOTES_BYTES - 24:
            raise SharedMemoryError(f"{self.segment.path}: notes of {len(text)} bytes do not fit")
        words = self._notes[:24].view(np.uint64)
        begin_write(words, 0)
        words[1] = len(text)
        self._notes[24 : 24 + len(text)] = np.frombuffer(text, np.uint8)
        end_write(words, 0)

    def read_notes(self) -> dict[str, Any]:
        """Read what the owner has left; empty where it has left nothing, is just writing, or the notes are damaged."""
        words = self._notes[:24].view(np.uint64)
        for _ in range(100):
            generation = int(load_acquire(words, 0))
            text = self._notes[24 : 24 + int(words[1])].tobytes()
            if generation % 2 == 0 and is_unchanged(words, 0, generation):
                return _notes_of(text)
        return {}

    def invalidate_unfinished(self, parts: Sequence[int] | None = None) -> int:
        """Mark the parts that a crashed writer left unfinished as complete but empty; returns their number.

        Parameters
        ----------
        parts
            Indices, within a slot, of the parts that this writer writes; by default all.
        """
        unfinished = np.flatnonzero(self.generations % 2)
        if parts is not None:
            unfinished = unfinished[np.isin(unfinished % self.geometry.n_parts, parts)]
        for index in unfinished:
            header = self.headers[index : index + 1]
            generation = int(self.generations[index])
            header[:] = self._empty_header
            header["generation"] = generation
            store_release(self.generations, int(index), generation + 1)
        return len(unfinished)

    def close(self) -> None:
        """Release the ring; arrays taken from it must not be used afterwards."""
        del self.headers, self.generations, self.data, self.journals, self._notes, self._sizes
        self.segment.close()


Ring = TypeVar("Ring")


def create_ring(
    path: Path, geometry: RingGeometry, make: Callable[[Segment, RingGeometry], Ring], *, size_key: str
) -> tuple[Ring, bool]:
    """Create a ring of this geometry, or take it over after a restart; returns the ring and whether it is new.

    Raises
    ------
    SharedMemoryError
        The memory cannot be allocated; the message names ``size_key``, the key of the configuration for its size.
    """
    segment, is_new = Segment.create_or_attach(path, geometry.offsets()["total"], asdict(geometry), size_key=size_key)
    return make(segment, geometry), is_new


def attach_ring(path: Path, kind: str, make: Callable[[Segment, RingGeometry], Ring]) -> Ring:
    """Attach read-only to a ring of the given kind.

    Parameters
    ----------
    make
        Makes the ring from its segment and its geometry.

    Raises
    ------
    SharedMemoryError
        There is no such ring, it contains something else, or its header is damaged.
    """
    segment = Segment.attach(path)
    try:
        geometry = _geometry_of(segment)
        if geometry.kind != kind:
            raise SharedMemoryError(f"{path}: contains {geometry.kind}, not {kind}")
        return make(segment, geometry)
    except SharedMemoryError:
        segment.close()
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError):
        segment.close()
        raise SharedMemoryError(
            f"{path}: the header is damaged: it describes no ring of {kind} of this size; std-daq shm clean removes it "
            "if no process uses it"
        ) from None


def _geometry_of(segment: Segment) -> RingGeometry:
    """Return the geometry in a header; raises ValueError or TypeError if it is not that of this segment."""
    geometry = RingGeometry(**segment.info.geometry)
    numbers = [value for value in asdict(geometry).values() if isinstance(value, int)]
    if not all(0 <= number < _MAX_NUMBER for number in numbers):
        raise ValueError("a number is negative, or too large")
    if geometry.offsets()["total"] != segment.info.total_bytes:
        raise ValueError("the size is another one")
    return geometry


def _notes_of(text: bytes) -> dict[str, Any]:
    """Return the document in a text; empty where there is none, because whoever starts again would read it again."""
    try:
        notes = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _pages(n_bytes: int) -> int:
    return -(-n_bytes // PAGE) * PAGE
