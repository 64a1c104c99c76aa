"""Selection: which frames one client gets, and when. Pure: the clock is passed in.

For each module and product by itself, a selection chooses what a server would send that is never late: the newest frame
at the moment when the client's interval has passed, or else the next one as soon as it comes. Whether a frame is chosen
does not depend on when the client takes it. So neither other modules nor a busy server change what a client gets.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from std_live_view.live_frame import FrameKey, LiveFrame

# What a client may be behind: a newer frame replaces those that have waited for so long, or that are more than these.
MAX_WAITING = 64
MAX_WAIT_S = 0.5
# Of all modules together, and of each; beyond that only the newest frame of each may wait.
MAX_ALL_WAITING = 4096
MAX_WAITING_BYTES = 64 * 2**20
# Frames that come at a high rate come in bursts. For intervals up to the first, frames may be so much early.
_SHORT_INTERVAL_S = 0.01
_EARLY_S = 0.02


@dataclass(slots=True)
class _Track:
    """One module and product of one client."""

    due_s: float | None = None
    held: LiveFrame | None = None
    """The newest frame that has come before it was due."""
    chosen: deque[tuple[float, LiveFrame]] = field(default_factory=deque)


class Selection:
    """Chooses the frames of one client.

    Parameters
    ----------
    interval_s
        Shortest time between two frames of the same module and product.
    module_ids
        Modules that are wanted; none stands for all.
    wants_movie, wants_pulse_height
        Which types are wanted.

    Attributes
    ----------
    n_sent
        Frames taken.
    n_by_interval
        Frames left out because a newer one had come before the interval had passed.
    n_by_slow_client
        Frames left out because the client did not take them in time.
    """

    def __init__(
        self, *, interval_s: float, module_ids: Iterable[int], wants_movie: bool, wants_pulse_height: bool
    ) -> None:
        self.interval_s = interval_s
        self.module_ids = frozenset(module_ids)
        self._missing = set(self.module_ids)
        self._wants = {False: wants_movie, True: wants_pulse_height}
        self._early_s = _EARLY_S if interval_s <= _SHORT_INTERVAL_S else 0.0
        self._tracks: dict[FrameKey, _Track] = {}
        self._ready: deque[FrameKey] = deque()  # keys with chosen frames, each once: they take turns
        self._n_chosen = 0
        self.n_sent = 0
        self.n_by_interval = 0
        self.n_by_slow_client = 0

    @property
    def missing_modules(self) -> list[int]:
        """Modules that are wanted by number, and of which no frame has come."""
        return sorted(self._missing)

    @property
    def n_waiting(self) -> int:
        """Number of frames that are kept for this client."""
        return sum(len(track.chosen) + (track.held is not None) for track in self._tracks.values())

    def offer(self, frame: LiveFrame, now_s: float) -> bool:
        """Consider a frame that has come; returns whether the client has to look when to take one."""
        if not self._wants[frame.is_pulse_height] or (self.module_ids and frame.key.module_id not in self.module_ids):
            return False
        track = self._tracks.get(frame.key)
        if track is None:
            track = self._tracks[frame.key] = _Track()
            self._missing.discard(frame.key.module_id)
        self._release(frame.key, track, now_s)
        if track.due_s is None or now_s >= track.due_s:
            self._choose(frame.key, track, frame, now_s)
            return True
        was_held = track.held is not None
        self.n_by_interval += was_held
        track.held = frame
        return not was_held

    def take(self, now_s: float) -> LiveFrame | None:
        """Return the next frame to send; None if none is due."""
        if not self._ready:
            for key, track in self._tracks.items():
                self._release(key, track, now_s)
        while self._ready:
            key = self._ready.popleft()
            chosen = self._tracks[key].chosen
            while len(chosen) > 1 and chosen[0][0] < now_s - MAX_WAIT_S:
                chosen.popleft()
                self._n_chosen -= 1
                self.n_by_slow_client += 1
            _, frame = chosen.popleft()
            self._n_chosen -= 1
            if chosen:
                self._ready.append(key)
            self.n_sent += 1
            return frame
        return None

    @property
    def due_s(self) -> float | None:
        """When the next frame that is held is due; None if none is held."""
        return min(
            (track.due_s for track in self._tracks.values() if track.held and track.due_s is not None), default=None
        )

    def _release(self, key: FrameKey, track: _Track, now_s: float) -> None:
        """Choose the frame that was held, if it is due: it is chosen for the moment when it was due."""
        if track.held is not None and track.due_s is not None and now_s >= track.due_s:
            frame, track.held = track.held, None
            self._choose(key, track, frame, track.due_s)

    def _choose(self, key: FrameKey, track: _Track, frame: LiveFrame, at_s: float) -> None:
        earliest_s = at_s - self._early_s
        track.due_s = self.interval_s + (earliest_s if track.due_s is None else max(track.due_s, earliest_s))
        if not track.chosen:
            self._ready.append(key)
        track.chosen.append((at_s, frame))
        self._n_chosen += 1
        room = max(1, min(MAX_WAITING, MAX_WAITING_BYTES // max(1, frame.content_bytes)))
        while len(track.chosen) > room or (self._n_chosen > MAX_ALL_WAITING and len(track.chosen) > 1):
            track.chosen.popleft()
            self._n_chosen -= 1
            self.n_by_slow_client += 1
