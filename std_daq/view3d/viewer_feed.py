"""ViewerFeed: keeps a viewer at the newest state, however slow it is, and whether it is there or not."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from std_daq.errors import ResourceError
from std_daq.telemetry.logs import ConditionLog, get_logger
from std_daq.view3d.drawing import Drawing
from std_daq.view3d.pending_drawings import PendingDrawings
from std_daq.view3d.viewer_address import ViewerAddress
from std_daq.view3d.viewer_link import ViewerLink, WrongDrawingError

SHOW_S = 5.0
"""A viewer that does not take a drawing for so long is given up, and connected to again."""

LINE = "line"
"""The kind of what is added beside those before."""

_RETRY_S = 1.0
_LOOK_S = 0.3
_MAX_LINES = 200
_END_S = 0.2
_CONNECT_S = 0.5


@dataclass(frozen=True, slots=True)
class FeedState:
    """What became of the drawings.

    Parameters
    ----------
    is_connected
        Whether the viewer took the last drawing.
    n_shown, n_replaced
        By kind: drawings that the viewer has, and those that a newer one replaced before it could take them.
    last_shown
        By kind: the drawing that the viewer took last, and when, in ns since 1970.
    n_lost_lines
        Lines that were never shown, because there were too many.
    n_connections
        How often it was connected to.
    problem
        Why there is no connection; None if there is one.
    """

    is_connected: bool
    n_shown: dict[str, int]
    n_replaced: dict[str, int]
    last_shown: dict[str, tuple[Drawing, int]]
    n_lost_lines: int
    n_connections: int
    problem: str | None


class ViewerFeed:
    """Shows drawings in a viewer; whoever hands them over never waits.

    Of each kind, one drawing at most waits: a newer one replaces it. A viewer that was away is shown the newest of each
    kind when it is there again.

    Parameters
    ----------
    application
        What the viewer files the drawings under.
    first
        What a viewer is shown before all else, when it is connected to.
    urgent
        The kind that is shown before the others; None if all are alike.
    """

    def __init__(
        self, address: ViewerAddress, application: str, first: Sequence[Drawing], *, urgent: str | None = None
    ) -> None:
        self.address = address
        self._application = application
        self._recording_id = uuid.uuid4().hex
        self._first = tuple(first)
        self._changed = threading.Condition()
        self._pending = PendingDrawings(urgent)
        self._newest: dict[str, Drawing] = {}
        self._lines: deque[Drawing] = deque()
        self._n_shown: dict[str, int] = {}
        self._n_replaced: dict[str, int] = {}
        self._last_shown: dict[str, tuple[Drawing, int]] = {}
        self._n_lost_lines = 0
        self._n_connections = 0
        self._problem: str | None = "it was not connected to yet"
        self._link: ViewerLink | None = None
        self._conditions = ConditionLog()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="viewer-feed")
        self._thread.start()

    def put(self, kind: str, drawing: Drawing) -> None:
        """Show a drawing in place of the one of this kind before."""
        with self._changed:
            self._newest[kind] = drawing
            if self._pending.put(kind, drawing):
                self._n_replaced[kind] = self._n_replaced.get(kind, 0) + 1
            self._changed.notify()

    def add(self, drawing: Drawing) -> None:
        """Show a drawing beside those before, such as a line of a log."""
        with self._changed:
            if len(self._lines) == _MAX_LINES:
                self._lines.popleft()
                self._n_lost_lines += 1
            self._lines.append(drawing)
            self._changed.notify()

    def state(self) -> FeedState:
        """Return what became of the drawings so far."""
        with self._changed:
            return FeedState(
                is_connected=self._problem is None,
                n_shown=dict(self._n_shown),
                n_replaced=dict(self._n_replaced),
                last_shown=dict(self._last_shown),
                n_lost_lines=self._n_lost_lines,
                n_connections=self._n_connections,
                problem=self._problem,
            )

    def close(self) -> None:
        """End, within a second, whatever the viewer does."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(_END_S)
        link = self._link
        if self._thread.is_alive() and link is not None:
            link.abort()
        self._thread.join()

    # -- the thread

    def _run(self) -> None:
        log = get_logger()
        while not self._is_ending:
            try:
                self._connect()
                log.info("viewer_connected", address=str(self.address))
                self._show_until_it_ends()
            except ResourceError as error:
                if self._problem is None or not self._n_connections:
                    log.warning("viewer_away", address=str(self.address), error=str(error))
                with self._changed:
                    self._problem = str(error)
                    self._pending.put_missing(self._newest)
                    self._changed.wait_for(lambda: self._is_ending, _RETRY_S)
            except Exception:
                log.exception("viewer_feed_failed")
                with self._changed:
                    self._problem = "an error of the program; see the log"
                return
            finally:
                if self._link is not None:
                    self._link.close()
                    self._link = None

    def _connect(self) -> None:
        self._link = ViewerLink(self.address, self._application, self._recording_id, connect_s=_CONNECT_S)
        for drawing in self._first:
            self._link.show(drawing, SHOW_S)
        with self._changed:
            self._n_connections += 1
            self._problem = None

    def _show_until_it_ends(self) -> None:
        link = self._link
        while link is not None and (taken := self._next(link)) is not None:
            kind, drawing = taken
            try:
                link.show(drawing, SHOW_S)
            except WrongDrawingError as error:
                self._conditions.warning("drawing_left_out", kind=kind, error=str(error))
                with self._changed:
                    if self._newest.get(kind) is drawing:  # it would fail again with the next connection
                        del self._newest[kind]
                continue
            with self._changed:
                self._n_shown[kind] = self._n_shown.get(kind, 0) + 1
                self._last_shown[kind] = drawing, time.time_ns()

    def _next(self, link: ViewerLink) -> tuple[str, Drawing] | None:
        """Return what to show next; None if it is time to end. Raises ResourceError if the viewer is lost meanwhile."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._is_ending or self._lines or self._pending, _LOOK_S):
                link.check()
            if self._is_ending:
                return None
            if self._lines:
                return LINE, self._lines.popleft()
            return self._pending.take()
