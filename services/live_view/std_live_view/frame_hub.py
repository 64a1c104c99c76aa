"""FrameHub: takes the frames of all sources, keeps the newest ones, and offers each to every client."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from std_live_view.live_frame import FrameKey, LiveFrame

MAX_HISTORY_BYTES = 64 * 2**20
"""Of one module and product; at least its newest frame is kept."""
MAX_TOTAL_BYTES = 256 * 2**20
"""Of all modules and products together."""
_RATE_WINDOW_S = 5.0


class Listener(Protocol):
    """Whoever is offered frames."""

    def offer(self, frame: LiveFrame, now_s: float) -> None:
        """Consider a frame."""


@dataclass(slots=True)
class ProductCounters:
    """What has come of one product of one module, or of one board of it.

    Attributes
    ----------
    n_frames, n_zero
        Frames, and those of them whose pixels are all 0.
    arrivals_s
        When the last frames came, to tell their rate.
    newest
        The newest frame.
    """

    n_frames: int = 0
    n_zero: int = 0
    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=512))
    newest: LiveFrame | None = None

    def rate_hz(self, now_s: float) -> float:
        """Return the rate of the last seconds; 0 if at most one frame has come in them."""
        recent = [arrival_s for arrival_s in self.arrivals_s if arrival_s >= now_s - _RATE_WINDOW_S]
        return (len(recent) - 1) / max(now_s - recent[0], 1e-9) if len(recent) > 1 else 0.0


class FrameHub:
    """Takes frames, keeps the newest of each module and product, and offers each to all listeners.

    It belongs to the thread of the event loop.

    Parameters
    ----------
    n_history
        Frames of each module and product that are kept.
    max_products
        Products of modules of which there may be frames: numbers of modules may be those of broken or hostile frames.
    clock
        Returns the monotonic time in seconds.
    """

    def __init__(self, n_history: int, max_products: int, clock: Callable[[], float]) -> None:
        self._n_history = n_history
        self._max_products = max_products
        self._clock = clock
        self._wanted: frozenset[int] = frozenset()
        self._history: dict[FrameKey, deque[LiveFrame]] = {}
        self._n_bytes: dict[FrameKey, int] = {}
        self._n_all_bytes = 0
        self._listeners: set[Listener] = set()
        self._n_of_key: dict[FrameKey, int] = {}
        self.counters: dict[tuple[FrameKey, int | None], ProductCounters] = {}
        self.n_frames = 0
        self.n_unwanted = 0
        self.n_without_room = 0

    def begin(self, module_ids: Iterable[int]) -> None:
        """Forget all frames, for sources that begin now; if modules are given, no frames of others are taken."""
        self._wanted = frozenset(module_ids)
        self._history.clear()
        self._n_bytes.clear()
        self._n_all_bytes = 0
        self.counters.clear()

    def publish(self, frame: LiveFrame) -> None:
        """Take a frame."""
        if self._wanted and frame.key.module_id not in self._wanted:
            self.n_unwanted += 1
            return
        if not self.has_room(frame.key):
            self.n_without_room += 1
            return
        now_s = self._clock()
        self.n_frames += 1
        frame.frame_id = self._n_of_key[frame.key] = self._n_of_key.get(frame.key, 0) + 1
        self._count(frame, now_s)
        self._keep(frame)
        for listener in self._listeners:
            listener.offer(frame, now_s)

    def has_room(self, key: FrameKey) -> bool:
        """Return whether frames of this product of this module are taken: it is known, or there are not too many."""
        return key in self._history or len(self._history) < self._max_products

    def join(self, listener: Listener) -> None:
        """Offer the newest frame of each module and product to a listener, and from now on every frame that comes."""
        now_s = self._clock()
        for frames in self._history.values():
            listener.offer(frames[-1], now_s)
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Offer no further frames to a listener."""
        self._listeners.discard(listener)

    def recent(self, key: FrameKey) -> list[LiveFrame]:
        """Return the frames of a module and product that are kept, the oldest first."""
        return list(self._history.get(key, ()))

    def _count(self, frame: LiveFrame, now_s: float) -> None:
        counters = self.counters.setdefault((frame.key, frame.board), ProductCounters())
        counters.n_frames += 1
        counters.n_zero += frame.is_zero
        counters.arrivals_s.append(now_s)
        counters.newest = frame

    def _keep(self, frame: LiveFrame) -> None:
        kept = self._history.setdefault(frame.key, deque())
        kept.append(frame)
        before = self._n_bytes.get(frame.key, 0)
        n_bytes = before + frame.memory
        others = self._n_all_bytes - before
        while len(kept) > 1 and (
            len(kept) > self._n_history or n_bytes > MAX_HISTORY_BYTES or others + n_bytes > MAX_TOTAL_BYTES
        ):
            n_bytes -= kept.popleft().memory
        self._n_bytes[frame.key] = n_bytes
        self._n_all_bytes = others + n_bytes
