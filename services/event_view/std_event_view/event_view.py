"""EventView: takes results, fills histograms, and hands the newest state to viewers."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from std_daq.telemetry.logs import ConditionLog, get_logger
from std_daq.tpc.histograms.histogram_set import Tally
from std_daq.tpc.histograms.message import HistogramMessage
from std_daq.tpc.histograms.recent_histograms import RecentHistograms
from std_daq.tpc.histograms.run_histograms import RunHistograms
from std_daq.tpc.reconstruction.results import EventResult
from std_daq.tpc.view.commands import ViewCommand
from std_daq.tpc.view.event_drawing import EventDrawing
from std_daq.tpc.view.histogram_drawing import HistogramDrawing
from std_daq.tpc.view.reading_drawing import STATE, LogDrawing, TextDrawing
from std_daq.tpc.view.results_source import ResultsSource, TakenResult
from std_daq.view3d.viewer_feed import FeedState, ViewerFeed
from std_event_view.board_source import BoardSource
from std_event_view.command_socket import CommandSocket
from std_event_view.event_recording import EventRecording
from std_event_view.metrics import EventViewMetrics

_WAIT_S = 0.05
_END_S = 0.5
_PERIOD_S = 1.0

EVENT, BOARD_TABLE, WAVEFORM, STATE_KIND = "event", "boards", "waveforms", "state"
"""Kinds of drawings, of which the newest is shown; each of the histograms is one as well."""


class EventView:
    """The service.

    Parameters
    ----------
    results
        Results of the analysis.
    boards
        The ring of events.
    commands
        What users tell the view.
    feeds
        The viewers.
    recording
        Where all results go; None: nowhere.
    magnetic_field
        In T.
    window_s
        Length of the last minutes.
    pads
        Pads whose waveforms are shown; empty: the pad with the largest amplitude.
    resources
        What is released at the end.
    """

    def __init__(
        self,
        *,
        results: ResultsSource,
        boards: BoardSource,
        commands: CommandSocket,
        feeds: Sequence[ViewerFeed],
        recording: EventRecording | None,
        magnetic_field: float,
        window_s: float,
        pads: tuple[int, ...],
        metrics: EventViewMetrics,
        resources: ExitStack,
    ) -> None:
        self._resources = resources
        self._results = results
        self._boards = boards
        self._commands = commands
        self._feeds = feeds
        self._recording = recording
        self._magnetic_field = magnetic_field
        self._pads = pads
        self._metrics = metrics
        self._runs = RunHistograms()
        self._recent = RecentHistograms(window_s)
        self._newest: EventResult | None = None
        self._next_s = 0.0
        self._n_damaged = self._n_unrecorded = 0
        self._log = get_logger()
        self._conditions = ConditionLog()
        self._counted: dict[str, FeedState] = {}
        self._drawn: dict[str, tuple[int | None, Tally]] = {}

    @property
    def is_ready(self) -> bool:
        """Always: it waits for results and for viewers."""
        return True

    def step(self) -> None:
        """Take results, and once a second show all else."""
        has_work = self._recording is not None and len(self._recording) > 0
        self._results.wait(0 if has_work else _WAIT_S)
        taken = list(self._results.take())
        self._show_newest([one.result for one in taken])  # before all that takes time
        for one in taken:
            self._take(one)
        self._metrics.damaged.inc(self._results.n_damaged - self._n_damaged)
        self._n_damaged = self._results.n_damaged
        if self._recording is not None:
            self._recording.write(_WAIT_S)
            self._count_unrecorded(self._recording)
        self._commands.serve(self._carry_out)
        self._boards.follow()
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _PERIOD_S
            self._show_state(now_s)

    def close(self) -> None:
        """End all that is open."""
        if self._recording is not None:
            last = [HistogramDrawing(message) for message in self._histograms(time.monotonic())]
            self._recording.complete(_END_S, last)
            self._count_unrecorded(self._recording)
        self._resources.close()

    def _show_newest(self, results: Sequence[EventResult]) -> None:
        """Show the newest of all events; the analysis does older ones when it has time for them."""
        before = self._newest
        for result in results:
            if self._newest is None or result.built_ns >= self._newest.built_ns:
                self._newest = result
        newest = self._newest
        if newest is None or newest is before:
            return
        self._metrics.age.set(max(0.0, time.time() - newest.built_ns / 1e9))
        for feed in self._feeds:
            feed.put(EVENT, EventDrawing(newest, self._magnetic_field))

    def _count_unrecorded(self, recording: EventRecording) -> None:
        if recording.n_left_out > self._n_unrecorded:
            n_new = recording.n_left_out - self._n_unrecorded
            self._n_unrecorded = recording.n_left_out
            self._metrics.unrecorded.inc(n_new)
            self._conditions.warning("events_unrecorded", n_new=n_new, n_unrecorded=self._n_unrecorded)

    def _take(self, taken: TakenResult) -> None:
        result, now_s = taken.result, time.monotonic()
        n_without = taken.n_missed + taken.n_left_out
        if self._runs.epoch is not None and result.epoch > self._runs.epoch:
            self._note("run_began", f"run {result.epoch} began with event {result.id}")
        if n_without:
            self._runs.leave_out(result.epoch, n_without)
            self._recent.leave_out(now_s, n_without)
        self._runs.add(result.epoch, result.estimates)
        self._recent.add(result.estimates, now_s)
        self._metrics.results.inc()
        self._metrics.missed.inc(taken.n_missed)
        self._metrics.left_out.inc(taken.n_left_out)
        if self._recording is not None:
            self._recording.add(EventDrawing(result, self._magnetic_field))

    def _carry_out(self, command: ViewCommand) -> None:
        if command.reset:
            self._runs.reset()
            self._recent.reset()
            self._drawn.clear()
            self._note("histograms_reset", "the histograms were reset")
        if command.pads is not None:
            self._pads = command.pads
        self._next_s = 0.0

    def _show_state(self, now_s: float) -> None:
        waveforms = self._boards.waveforms(self._pads)
        table = self._boards.table(now_s)
        histograms = [HistogramDrawing(message) for message in self._changed_histograms(now_s)]
        states = {str(feed.address): feed.state() for feed in self._feeds}
        self._count(states)
        state = TextDrawing(STATE, state_text(self._newest, states, self._results.n_damaged))
        for feed in self._feeds:
            for histogram in histograms:
                feed.put(f"histograms {histogram.message.scope}", histogram)
            feed.put(BOARD_TABLE, table)
            if waveforms is not None:
                feed.put(WAVEFORM, waveforms)
            feed.put(STATE_KIND, state)

    def _histograms(self, now_s: float) -> list[HistogramMessage]:
        return [
            HistogramMessage.of_run(self._runs.epoch, self._runs.current),
            HistogramMessage.of_window(self._recent.window_s, self._recent.current(now_s)),
        ]

    def _changed_histograms(self, now_s: float) -> Iterator[HistogramMessage]:
        """Return copies, which other threads draw, of those that are not what was drawn last."""
        for message in self._histograms(now_s):
            drawn = self._drawn.get(message.scope)
            if drawn != (message.epoch, message.tally):
                copied = message.copy()
                self._drawn[message.scope] = (copied.epoch, copied.tally)
                yield copied

    def _note(self, event: str, text: str) -> None:
        self._log.info(event, text=text)
        for feed in self._feeds:
            feed.add(LogDrawing("INFO", text))

    def _count(self, states: dict[str, FeedState]) -> None:
        metrics = self._metrics
        for viewer, state in states.items():
            before = self._counted.get(viewer)
            for counter, now, then in (
                (metrics.shown, state.n_shown, {} if before is None else before.n_shown),
                (metrics.replaced, state.n_replaced, {} if before is None else before.n_replaced),
            ):
                counter.labels(viewer).inc(now.get(EVENT, 0) - then.get(EVENT, 0))
            metrics.connected.labels(viewer).set(state.is_connected)
            drawing, shown_ns = state.last_shown.get(EVENT, (None, 0))
            if isinstance(drawing, EventDrawing):
                metrics.shown_age.labels(viewer).set(max(0, shown_ns - drawing.result.built_ns) / 1e9)
        self._counted = states


def state_text(newest: EventResult | None, states: dict[str, FeedState], n_damaged: int) -> str:
    """Return what the view does, in Markdown."""
    lines = ["**no event yet**" if newest is None else f"**event {newest.id} of run {newest.epoch}**", ""]
    for viewer, state in states.items():
        shown, replaced = state.n_shown.get(EVENT, 0), state.n_replaced.get(EVENT, 0)
        lines.append(
            f"- viewer {viewer}: {shown} events shown, {replaced} passed over because newer ones came, "
            f"{state.n_lost_lines} lines of the log lost, connected {state.n_connections} times"
            + ("" if state.problem is None else f"; {state.problem}")
        )
    if n_damaged:
        lines.append(f"- {n_damaged} messages of the analysis could not be read")
    return "\n".join(lines)
