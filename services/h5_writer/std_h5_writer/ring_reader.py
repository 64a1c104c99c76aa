"""RingReader: finds images, or events, in their ring that the writer agent has named."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from std_daq.errors import SharedMemoryError
from std_daq.shm.entry_ring import EntryRing


class Recordable(Protocol):
    """What an entry of the ring describes, in place: an image, or an event."""

    @property
    def id(self) -> int:
        """Number that the detector gave it."""
        ...

    @property
    def sequence(self) -> int:
        """Sequence number in the journal of the ring."""
        ...

    def is_intact(self) -> bool:
        """Return whether it has not been overwritten so far."""
        ...


Item = TypeVar("Item", bound=Recordable)
Ring = TypeVar("Ring", bound=EntryRing[Any])


@dataclass(frozen=True, slots=True)
class RunImage(Generic[Item, Ring]):
    """One image, or one event, of the run.

    Attributes
    ----------
    i_image
        Number of the image in the run, counted from 0.
    i_exposure
        Number of its exposure in the run, counted from 0, lost images included.
    image
        The image or event, in place: it may be overwritten at any time.
    ring
        Ring that holds it.
    """

    i_image: int
    i_exposure: int
    image: Item
    ring: Ring


class RingReader(Generic[Item, Ring]):
    """The writer's view of the ring, which may appear after the writer has started, and may be replaced.

    Parameters
    ----------
    attach
        Attaches to the ring; raises SharedMemoryError while there is none.
    pixels_of
        Returns the pixels of an image, or the traces of an event, in place.

    Attributes
    ----------
    pixels_of
        As given.
    """

    def __init__(self, attach: Callable[[], Ring], pixels_of: Callable[[Item], NDArray[Any]]) -> None:
        self.pixels_of = pixels_of
        self._attach = attach
        self._ring: Ring | None = None

    @property
    def is_current(self) -> bool:
        """Whether a ring is attached that was neither replaced nor removed."""
        return self._ring is not None and self._ring.is_live

    def attach(self) -> bool:
        """Attach to the present ring, and return whether there is one; no image of the ring before may be in use."""
        try:
            ring = self._attach()
        except SharedMemoryError:
            return False
        if not ring.is_live:
            ring.close()
            return False
        self.close()
        self._ring = ring
        return True

    def find(self, store_image: NDArray[Any]) -> RunImage[Item, Ring] | None:
        """Return the image that a struct of the StoreStream, (1,), names; None if the ring does not have it."""
        if self._ring is None:
            return None
        wanted = store_image["metadata"][0]
        image = self._ring.view(int(wanted["sequence"]))
        if image is None or image.id != int(wanted["id"]):
            return None
        numbers = int(store_image["i_image"][0]), int(store_image["i_exposure"][0])
        return RunImage(*numbers, image, self._ring)

    def lag(self, sequence: int) -> int:
        """Return how many images were published after the one with this sequence number."""
        return 0 if self._ring is None else max(0, self._ring.journal.next_sequence - sequence - 1)

    @property
    def n_slots(self) -> int:
        """Size of the ring; 0 while there is none."""
        return 0 if self._ring is None else self._ring.n_slots

    def close(self) -> None:
        """Detach from the ring."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None
