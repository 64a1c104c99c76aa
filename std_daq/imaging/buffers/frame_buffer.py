"""FrameBuffer: the ring of the raw frames of all modules of a detector, which the receivers write."""

import math
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.errors import ConfigError
from std_daq.imaging.protocols.module_frame import module_frame_dtype
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.shm.ring import RingBuffer, RingGeometry, attach_ring
from std_daq.shm.segment import PAGE, Segment

MIN_SLOTS = 8
ENTRIES_PER_SLOT = 4
MAX_SHIFTS = 4
"""Shifts of a module that a reader remembers: a module may have two ports, and may just have restarted."""
SIZE_KEY = "shared_memory.frame_buffer_gb"


class FrameDescription(NamedTuple):
    """The fields of a ModuleFrame that end up in the ModuleEntry of an image."""

    pulse_id: int
    frame_index: int
    timestamp: int
    exposure_length: int
    daq_rec: int
    n_missing_packets: int
    storage_cell: int
    module_id: int
    first_arrival_ns: int


class FrameBuffer(RingBuffer):
    """A ring of raw frames: each part of a slot is a module, and `headers` are ModuleFrames.

    A module here is a submodule: of a detector whose modules have two UDP interfaces, it is a half of a module.

    The slot of a frame is its frame number plus a shift, modulo ``n_slots``. The shift of a module is 0 at first, and
    changes when the detector restarts. So series that all begin with number 1 use the whole ring. A reader finds the
    shift by looking for the frame, and remembers it. Several receiver processes may write to one FrameBuffer. Each
    writes to its own modules, and has its own journal: the one at the index of its first module.
    """

    def __init__(self, segment: Segment, geometry: RingGeometry, header: np.dtype[Any], entry: np.dtype[Any]) -> None:
        super().__init__(segment, geometry, header, entry)
        # To read an element of these arrays is several times as fast as to read a field of one header.
        self._frame_indices: NDArray[np.uint64] = self.headers["frame_index"]
        self._first_arrivals: NDArray[np.uint64] = self.headers["first_arrival_ns"]
        self._n_received: NDArray[np.uint32] = self.headers["n_received_packets"]
        self._n_refused: NDArray[np.uint32] = self.headers["n_refused_packets"]
        self._descriptions: NDArray[Any] = self.headers[list(FrameDescription._fields)]
        self._shifts = [[0] for _ in range(geometry.n_parts)]  # of each module, the one found last first

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        n_modules: int,
        frame_bytes: int,
        n_units: int,
        buffer_bytes: int,
        n_slots: int | None = None,
        slots_multiple: int = 1,
        frame_step: int = 1,
    ) -> tuple[Self, bool]:
        """Create the ring, or take it over after a restart; returns the ring and whether it is new.

        The parameters and the ConfigError are those of `plan`.

        Raises
        ------
        SharedMemoryError
            The memory cannot be allocated.
        """
        geometry = cls.plan(
            n_modules=n_modules,
            frame_bytes=frame_bytes,
            n_units=n_units,
            buffer_bytes=buffer_bytes,
            n_slots=n_slots,
            slots_multiple=slots_multiple,
            frame_step=frame_step,
        )
        return cls.create_planned(path, geometry)

    @classmethod
    def create_planned(cls, path: Path, geometry: RingGeometry) -> tuple[Self, bool]:
        """Do the same with a geometry of `plan`."""
        header = module_frame_dtype(geometry.attributes["n_units"])
        return cls.create_or_attach(path, geometry, header, RAW_METADATA, size_key=SIZE_KEY)

    @staticmethod
    def plan(
        *,
        n_modules: int,
        frame_bytes: int,
        n_units: int,
        buffer_bytes: int,
        n_slots: int | None = None,
        slots_multiple: int = 1,
        frame_step: int = 1,
    ) -> RingGeometry:
        """Return the geometry of the ring.

        Parameters
        ----------
        n_modules, frame_bytes, n_units
            Number of modules, and the size in bytes and number of units (see PacketLayout) of one frame.
        buffer_bytes
            Memory for the pixels; it gives the number of slots if ``n_slots`` is None.
        slots_multiple
            The number of slots is rounded down to a multiple of this.
        frame_step
            Difference between the numbers of consecutive frames. The number of slots is rounded down such that these
            frames use all slots in turn.

        Raises
        ------
        ConfigError
            The memory is too small for the smallest number of slots.
        """
        header = module_frame_dtype(n_units)
        slot_bytes = n_modules * (-(-frame_bytes // PAGE) * PAGE)
        n_slots = n_slots or buffer_bytes // slot_bytes
        n_slots -= n_slots % slots_multiple
        while n_slots >= MIN_SLOTS and math.gcd(n_slots // slots_multiple, frame_step) > 1:
            n_slots -= slots_multiple
        if n_slots < MIN_SLOTS:
            raise ConfigError(
                f"this holds {n_slots} frames of {n_modules} modules, at least {MIN_SLOTS} are needed",
                key=SIZE_KEY,
                value=buffer_bytes / 1e9,
                remedy=f"set it to {MIN_SLOTS * slot_bytes / 1e9:.3f} or more",
            )
        return RingGeometry(
            kind="frames",
            n_slots=n_slots,
            n_parts=n_modules,
            data_bytes=frame_bytes,
            header_bytes=header.itemsize,
            n_journals=n_modules,
            n_entries=n_slots * ENTRIES_PER_SLOT,
            entry_bytes=RAW_METADATA.itemsize,
            attributes={"n_units": n_units},
        )

    @classmethod
    def attach(cls, path: Path) -> Self:
        """Attach as a reader; raises SharedMemoryError."""
        return attach_ring(
            path,
            "frames",
            lambda segment, geometry: cls(
                segment, geometry, module_frame_dtype(geometry.attributes["n_units"]), RAW_METADATA
            ),
        )

    @property
    def n_modules(self) -> int:
        """Number of modules of the detector."""
        return self.geometry.n_parts

    def index(self, frame_number: int, module: int, shift: int = 0) -> int:
        """Return the index of the frame of a module in `headers` and `data`, if the shift of the module is known."""
        return ((frame_number + shift) % self.geometry.n_slots) * self.geometry.n_parts + module

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return the bytes of a frame without a copy, (frame_bytes,)."""
        frame: NDArray[np.uint8] = self.data[index]
        return frame

    def header(self, index: int) -> Any:
        """Return the ModuleFrame without a copy, a struct of shape (1,)."""
        return self.headers[index : index + 1]

    def n_refused(self, index: int) -> int:
        """Return how many refused packets claim a frame so far; ask it last, because more may come after its end."""
        return int(self._n_refused[index])

    def describe(self, index: int) -> "FrameDescription":
        """Return what the packets of a frame say of it; compare the generation afterwards, as for its pixels."""
        return FrameDescription._make(self._descriptions[index].item())

    def locate(self, exposure: Any, module: int) -> tuple[int, int] | None:
        """Return the index and the generation of the frame of a module in an exposure.

        Compare the generation after use (`is_unchanged`). The frame in the slot belongs to the exposure if its number
        matches and its first packet arrived within the exposure. The number alone is not enough: a module that is
        silent now may have left a frame of the same number from before a restart.

        Parameters
        ----------
        exposure
            RawMetadata of the receiver of this module, a struct of shape (1,).
        module
            Index of the module.

        Returns
        -------
        Index in `headers` and `data`, and generation; None if no packet of the frame arrived, or it was overwritten.
        """
        return self.find(
            int(exposure["frame_index"][0]),
            module,
            int(exposure["first_arrival_ns"][0]),
            int(exposure["last_arrival_ns"][0]),
        )

    def find(
        self, frame_index: int, module: int, first_arrival_ns: int, last_arrival_ns: int
    ) -> tuple[int, int] | None:
        """Return the same as `locate`, given the fields of the RawMetadata."""
        shifts = self._shifts[module]
        for shift in shifts:
            index = self.index(frame_index, module, shift)
            generation = self.generation(index)
            if generation % 2 == 0 and self._is_ours(index, frame_index, first_arrival_ns, last_arrival_ns):
                if shift != shifts[0]:
                    shifts.remove(shift)
                    shifts.insert(0, shift)
                return index, generation
        return self._search(frame_index, module, first_arrival_ns, last_arrival_ns)

    def _search(
        self, frame_index: int, module: int, first_arrival_ns: int, last_arrival_ns: int
    ) -> tuple[int, int] | None:
        """Look for the frame in all slots, after its module has restarted."""
        n_parts, n_slots = self.geometry.n_parts, self.geometry.n_slots
        for slot in np.flatnonzero(self._frame_indices[module::n_parts] == frame_index).tolist():
            index = slot * n_parts + module
            generation = self.generation(index)
            if generation % 2 == 0 and self._is_ours(index, frame_index, first_arrival_ns, last_arrival_ns):
                shifts = self._shifts[module]
                shifts.insert(0, (slot - frame_index) % n_slots)
                del shifts[MAX_SHIFTS:]
                return index, generation
        return None

    def _is_ours(self, index: int, frame_index: int, first_arrival_ns: int, last_arrival_ns: int) -> bool:
        return (
            int(self._frame_indices[index]) == frame_index
            and first_arrival_ns <= int(self._first_arrivals[index]) <= last_arrival_ns
            and int(self._n_received[index]) > 0
        )

    def close(self) -> None:
        """Release the ring; arrays taken from it must not be used afterwards."""
        del self._frame_indices, self._first_arrivals, self._n_received, self._n_refused, self._descriptions
        super().close()
