"""RunDesk: a client of one detector's writer agent, for everybody who looks at the console.

It has one connection to the broker, as a client of least privilege: a queue of its own that hears statuses, and the
right to publish requests and kills. A thread receives; the event loop never waits for the broker. What the console
missed while it, the broker or the agent was away, it asks the agent's journal for.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Protocol, Self

from std_daq.errors import RequestRefusedError
from std_daq.recording.config import RecordingConfig
from std_daq.recording.requests import (
    StatusMessage,
    WriteRequest,
    check_request_id,
    new_request_id,
    parse_experiment,
)
from std_daq.telemetry.logs import get_logger
from std_web.detectors import WatchedDetector
from std_web.runs.agent_documents import AgentAwayError, AgentDocuments
from std_web.runs.broker_link import DeskLink
from std_web.runs.run_book import RunBook, tellable
from std_web.runs.run_view import DeskState, RunDetails, RunPreview
from std_web.step_thread import StepThread

_WAIT_S = 0.2
_ASK_AGENT_S = 5.0
_N_ASKED = 50
_SEND_TIMEOUT_S = 10.0


class RunSubscription:
    """What changes, for one who follows: of each run only the newest, so that a slow follower holds little."""

    def __init__(self) -> None:
        self._changed: dict[str, RunDetails | DeskState] = {}
        self._event = asyncio.Event()

    def put(self, change: RunDetails | DeskState) -> None:
        """Add a change; call it in the event loop."""
        self._changed[change.request_id if isinstance(change, RunDetails) else ""] = change
        self._event.set()

    async def take(self) -> list[RunDetails | DeskState]:
        """Wait for changes, and return them."""
        await self._event.wait()
        self._event.clear()
        changes, self._changed = list(self._changed.values()), {}
        return changes


class RunObserver(Protocol):
    """Is told all that the desk hears of runs; both methods are called in the desk's thread, which waits for them."""

    def take_status(self, status: StatusMessage) -> None:
        """Take a status of this detector's writer agent."""

    def take_history(self, run: RunDetails) -> None:
        """Take what the agent's journal says of a run, and no status has told."""


class RunDesk:
    """The desk of one detector; an asynchronous context manager.

    Methods that are not coroutines may block for some seconds: call them in a thread (`asyncio.to_thread`).

    Parameters
    ----------
    detector
        A detector whose configuration is a `RecordingConfig`.

    Attributes
    ----------
    agent
        Asks the agent for its journal.
    """

    def __init__(self, detector: WatchedDetector) -> None:
        self.detector = detector
        self.agent = AgentDocuments(detector)
        self._link = DeskLink()
        self._book = RunBook(self._config.tag)
        self._lock = threading.Lock()
        self._thread = StepThread(
            f"runs of {detector.name}", self._step, period_s=0.0, failed=self._disturbed, close=self._link.close
        )
        self._asked_at = float("-inf")
        self._observers: list[RunObserver] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: set[RunSubscription] = set()
        self._told: str | None = None

    @property
    def _config(self) -> RecordingConfig:
        config = self.detector.config
        assert isinstance(config, RecordingConfig)  # noqa: S101 - only such detectors get a desk
        return config

    @property
    def state(self) -> DeskState:
        """Whether requests and kills can be sent, and statuses come."""
        problem = self._link.problem
        return DeskState(is_connected=not problem, problem=problem)

    def observe(self, observer: RunObserver) -> None:
        """Tell somebody all that is heard of runs; call it before the desk is entered."""
        self._observers.append(observer)

    def wait_connected(self, timeout_s: float) -> None:
        """Wait for the broker's connection; raises BrokerError if it is not there in time."""
        self._link.wait_connected(timeout_s)

    @property
    def roots(self) -> tuple[str, ...]:
        """The folders of the configuration to which runs are bound; none: they may lie anywhere."""
        return tuple(map(str, self._config.writer.output_roots))

    def start(self, request: WriteRequest, request_id: str | None = None) -> RunDetails:
        """Send a request, and return its run; repeated with the same id, it is carried out once.

        Raises
        ------
        RequestRefusedError
            The request is not one of this system, or the id is not that of a request.
        BrokerError
            It could not be sent.
        """
        request_id = new_request_id() if request_id is None else check_request_id(request_id)
        self.check(request)
        with self._lock:
            known = self._book.find(request_id)
        if known is None or known.state != "ended":
            self._link.publisher.publish(request, request_id=request_id, timeout_s=_SEND_TIMEOUT_S)
            with self._lock:
                known = self._book.add_sent(request_id, request)
            self._tell(known)
        return known

    def check(self, request: WriteRequest) -> None:
        """Raise RequestRefusedError if a request has an experiment that this system does not know."""
        if self.detector.kind.experiment is not None:
            parse_experiment(request.experiment, self.detector.kind.experiment)

    def preview(self, request: WriteRequest) -> RunPreview:
        """Return what the agent would say to a request."""
        try:
            self.check(request)
            return RunPreview.model_validate(self.agent.preview(request.to_wire().decode()))
        except RequestRefusedError as error:
            return RunPreview(output_file=None, refusal=str(error), n_before=0)
        except AgentAwayError as error:
            return RunPreview(output_file=None, refusal=str(error), n_before=0, is_checked=False)

    def kill(self, request_id: str) -> None:
        """Ask the agent to end a run, or not to begin it; the images that came are still written.

        Raises
        ------
        RequestRefusedError
            The id is not that of a request.
        BrokerError
            The kill could not be sent.
        """
        self._link.publisher.kill(check_request_id(request_id), timeout_s=_SEND_TIMEOUT_S)

    def find(self, request_id: str) -> RunDetails | None:
        """Return what statuses have told of a run; None if there was none."""
        with self._lock:
            return self._book.find(request_id)

    def unfinished(self) -> list[RunDetails]:
        """Return the runs that have not ended, oldest first; the first that has started is the one that runs."""
        with self._lock:
            return self._book.unfinished()

    def newest(self) -> list[RunDetails]:
        """Return the runs that were heard of since the start of the console, newest first."""
        with self._lock:
            return self._book.newest()

    def catch_up(self) -> None:
        """Take from the agent's journal what no status has told: runs of before, and ends during an outage."""
        try:
            runs = self.agent.runs(limit=_N_ASKED)["runs"]
            with self._lock:
                waiting = [run.request_id for run in self._book.unfinished()]
            unfinished = {run["request_id"] for run in runs if run["state"] != "ended"}
            details = [self.agent.run(request_id) for request_id in waiting if request_id not in unfinished]
        except AgentAwayError:
            return
        told: list[dict[str, Any]] = [run for run in details if run is not None]
        told += [run for run in reversed(runs) if run["state"] != "ended"]
        with self._lock:
            changed = self._book.take_history(told)
        for run in changed:
            self._tell(run)
        for run in changed:
            for observer in self._observers:
                observer.take_history(run)

    async def wait_for(self, request_id: str, *states: str, timeout_s: float | None = None) -> RunDetails | None:
        """Wait until a run is in one of these states, and return it as it is then; without states, until it ends.

        It waits through restarts of broker and agent. None for the timeout: as long as it takes.

        Returns
        -------
        The run as it is at the end of the wait; None if nothing is known of it.
        """
        wanted = states or ("ended",)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self.following() as subscription:
                while (run := self.find(request_id)) is None or run.state not in wanted:
                    await subscription.take()
        return self.find(request_id)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[RunSubscription]:
        """Follow what changes, for the time of the context."""
        subscription = RunSubscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread.end()

    def _step(self) -> None:
        self._receive()
        if time.monotonic() - self._asked_at >= _ASK_AGENT_S:
            self.catch_up()
            self._asked_at = time.monotonic()

    def _disturbed(self, error: Exception) -> None:
        get_logger().error("desk_disturbed", detector=self.detector.name, error=repr(error), exc_info=error)

    def _receive(self) -> None:
        status = self._link.receive(self._config, _WAIT_S)
        if status is not None:
            status = tellable(status)
            with self._lock:
                self._book.tag = self._config.tag
                run = self._book.feed(status, time.monotonic())
            if run is not None:
                self._tell(run)
            if status.source == self._config.tag:
                for observer in self._observers:
                    observer.take_status(status)
        state = self.state
        if state.problem != self._told:
            self._told = state.problem
            self._tell(state)

    def _tell(self, change: RunDetails | DeskState) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._spread, change)

    def _spread(self, change: RunDetails | DeskState) -> None:
        for subscription in self._subscriptions:
            subscription.put(change)
