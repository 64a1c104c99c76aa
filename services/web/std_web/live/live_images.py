"""LiveImages: finds the images of one detector in its ring, and knows what the detector's pixels mean."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from std_daq.errors import SharedMemoryError, StdDaqError
from std_daq.imaging.buffers.image import Image
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.display.mask_plane import MaskPlane
from std_daq.imaging.display.saturation import saturation_value
from std_daq.reading.journal_search import Fate, JournalPlace, find_in_journal
from std_web.detectors import WatchedDetector

Word = Literal["connecting", "live", "stale", "ended"]
MAX_KEPT = 8
"""Number of images that somebody looks at, and that stay when the ring has overwritten them."""
_STALE_S = 2.0
_STALE_PERIODS = 3.0
_LOOK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class LiveState:
    """The state of a detector's images in words.

    Attributes
    ----------
    word
        ``connecting``: there is no ring or no image yet. ``live``: images come. ``stale``: none came for a while.
        ``ended``: nothing writes the ring any more.
    since
        When it began, in seconds since 1970.
    message
        What it means, and what to do; empty for ``live``.
    """

    word: Word
    since: float
    message: str

    def document(self) -> dict[str, Any]:
        """Return the state as a message of the WebSocket."""
        return {"type": "state", "word": self.word, "since": self.since, "message": self.message}


class PixelMeaning:
    """What the pixels of one configuration mean: which are masked or missing, and from which value on saturated."""

    def __init__(self, config: DetectorConfig) -> None:
        detector = open_detector(config)
        self.config = config
        self.detector = detector
        self.plane = MaskPlane(config, detector)
        self.saturation = saturation_value(config, detector)


class LiveImages:
    """Finds images of one detector; any thread may use it.

    Parameters
    ----------
    watched
        The detector, which has images.
    clock
        Returns seconds since 1970.
    """

    def __init__(self, watched: WatchedDetector, clock: Callable[[], float] = time.time) -> None:
        self._watched = watched
        self._clock = clock
        self._lock = threading.Lock()
        self._meaning: PixelMeaning | None = None
        self._kept: OrderedDict[tuple[int, int], Image] = OrderedDict()
        self._state = LiveState("connecting", clock(), "")
        self._looked_at = 0.0
        self._has_writer = False

    @property
    def name(self) -> str:
        """Name of the detector."""
        return self._watched.name

    def meaning(self) -> PixelMeaning:
        """Return what the pixels mean; raises StdDaqError if the files that the configuration names are wrong."""
        config = self._watched.config
        assert isinstance(config, DetectorConfig)  # noqa: S101 - only detectors of images have a source
        with self._lock:
            if self._meaning is None or self._meaning.config is not config:
                self._meaning = PixelMeaning(config)
                self._kept.clear()
            return self._meaning

    def ring(self) -> ImageBuffer | None:
        """Return the ring in use; None while there is none. Raises SharedMemoryError for one that cannot be read."""
        return self._watched.ring()

    def place(self, position: int | Literal["newest"]) -> tuple[int, int] | None:
        """Return which image a position means now: a number of the ring, and the sequence number; None without images.

        A position that is not in the ring any more means the oldest image that is.
        """
        try:
            ring = self.ring()
        except SharedMemoryError:
            return None
        if ring is None:
            return None
        end = ring.journal.next_sequence
        if not end:
            return None
        ring_id = ring.segment.created_ns
        if position == "newest":
            return ring_id, end - 1
        if (ring_id, position) in self._kept:
            return ring_id, position
        return ring_id, min(end - 1, max(position, ring.oldest))

    def find(self, image_id: int) -> JournalPlace:
        """Return where the image of an id is since the last restart of the detector; a ring that is not there has none.

        Raises
        ------
        SharedMemoryError
            The ring cannot be read.
        """
        ring = self.ring()
        if ring is None:
            return JournalPlace(Fate.TO_COME)
        found = find_in_journal(ring.journal, image_id, ring.n_slots)
        if found.fate is Fate.FORGOTTEN:
            found = find_in_journal(ring.journal, image_id, ring.geometry.n_entries)
            if found.fate is Fate.PUBLISHED:
                return JournalPlace(Fate.OVERWRITTEN, found.sequence)
        return found

    def image(self, place: tuple[int, int], *, is_kept: bool = False) -> Image | None:
        """Return an image, or None if it is not there any more.

        Parameters
        ----------
        place
            Which one, from `place`.
        is_kept
            Whether to keep a copy, so that the image stays when the ring has overwritten it.
        """
        ring_id, sequence = place
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None:
                self._kept.move_to_end(place)
                return kept
        ring = self.ring()
        if ring is None or ring.segment.created_ns != ring_id:
            return None
        found = ring.view(sequence)
        if found is None or not is_kept:
            return found
        copied = found.copy()
        if copied is not None:
            with self._lock:
                self._kept[place] = copied
                while len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
        return copied

    def forget(self) -> None:
        """Let go of the copies."""
        with self._lock:
            self._kept.clear()

    def span(self) -> dict[str, Any] | None:
        """Return what is in the ring: oldest and newest sequence number, slots, seconds between them; None: nothing."""
        try:
            ring = self.ring()
        except SharedMemoryError:
            return None
        if ring is None or not ring.journal.next_sequence:
            return None
        oldest, newest = ring.oldest, ring.journal.next_sequence - 1
        entries = [ring.journal.read(sequence, 1).entries for sequence in (oldest, newest)]
        times = [_time_s(int(entry[0]["first_arrival_ns"])) if len(entry) else 0.0 for entry in entries]
        return {
            "oldest": oldest,
            "newest": newest,
            "n_slots": ring.n_slots,
            "seconds": max(0.0, times[1] - times[0]),
        }

    def state(self) -> LiveState:
        """Return the state in words."""
        word, since, message = self._look()
        if word != self._state.word or message != self._state.message:
            is_same_word = word == self._state.word
            self._state = LiveState(word, since or (self._state.since if is_same_word else self._clock()), message)
        return self._state

    def _look(self) -> tuple[Word, float | None, str]:
        try:
            ring = self.ring()
        except SharedMemoryError as error:
            return "connecting", None, str(error)
        if ring is None:
            if self._state.word in {"live", "stale", "ended"}:
                return "ended", None, "the ring of the images is gone: the assembler has ended"
            return "connecting", None, "there is no ring of images yet: is the assembler running?"
        end = ring.journal.next_sequence
        if not end:
            return "connecting", None, "no image has come yet: is the detector sending?"
        entries = ring.journal.read(max(0, end - 2), 2).entries
        arrivals = [_time_s(int(ns)) for ns in entries["assembled_ns"]]
        age_s = self._clock() - arrivals[-1]
        period_s = arrivals[-1] - arrivals[0] if len(arrivals) > 1 else 0.0
        if age_s <= max(_STALE_S, _STALE_PERIODS * period_s):
            return "live", None, ""
        if not self._is_written(ring):
            return "ended", arrivals[-1], "no service writes the images any more: is the assembler running?"
        return "stale", arrivals[-1], "no image has come since: is the detector sending?"

    def _is_written(self, ring: ImageBuffer) -> bool:
        """Return whether a process has the ring for writing; asked for every two seconds only."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_AGAIN_S:
            self._looked_at = now
            self._has_writer = ring.segment.has_writer
        return self._has_writer


def explain(error: StdDaqError) -> dict[str, Any]:
    """Return an error as a message of the WebSocket."""
    return {"type": "error", "detail": str(error)}


def _time_s(time_ns: int) -> float:
    return time_ns / 1e9
