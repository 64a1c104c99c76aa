"""EventAnalysis: gives events to the workers, and publishes their results."""

import time
from contextlib import ExitStack
from typing import Any

from std_daq.telemetry.logs import ConditionLog
from std_daq.tpc.reconstruction.results import EventResult
from std_event_analysis.backlog import Backlog
from std_event_analysis.metrics import AnalysisMetrics
from std_event_analysis.parameter_file import ParameterFile
from std_event_analysis.results_publisher import ResultsPublisher
from std_event_analysis.workers import Workers

_WAIT_S = 0.02


class EventAnalysis:
    """The service.

    Every event is either analysed, or counted as left out; each result says how many were left out until then.

    Parameters
    ----------
    backlog
        The events that wait.
    workers
        The processes.
    publisher
        Takes the results.
    parameters
        Tells when the parameters have changed.
    metrics
        Counts.
    resources
        What is closed at the end.
    """

    def __init__(
        self,
        backlog: Backlog,
        workers: Workers,
        publisher: ResultsPublisher,
        parameters: ParameterFile,
        metrics: AnalysisMetrics,
        resources: ExitStack,
    ) -> None:
        self._backlog = backlog
        self._workers = workers
        self._publisher = publisher
        self._parameters = parameters
        self._metrics = metrics
        self._resources = resources
        self._conditions = ConditionLog()
        self._started_ns = time.time_ns()
        self._n_in_work = 0
        self._n_published = 0
        self._n_left_out = 0
        self._n_overwritten = 0
        self._newest = (-1, -1)

    @property
    def is_ready(self) -> bool:
        """Whether a process takes events; the event builder may come later."""
        return self._workers.n_ready > 0

    @property
    def n_left_out(self) -> int:
        """Events that were not analysed, for whatever reason."""
        return self._n_left_out + self._backlog.n_left_out

    def step(self) -> None:
        """Give out events, and publish the results that come within a short time."""
        parameters = self._parameters.changed(time.monotonic())
        if parameters is not None:
            self._workers.change(parameters)
        self._backlog.look()
        while self._workers.n_free and (sequence := self._backlog.take()) is not None:
            self._workers.give(sequence)
            self._n_in_work += 1
        for answer in self._workers.answers(_WAIT_S):
            self._take(answer)
        self._measure()

    def close(self) -> None:
        """End the processes, and release all resources."""
        self._resources.close()

    def _take(self, answer: tuple[Any, ...]) -> None:
        kind, *values = answer
        self._n_in_work -= 1
        if kind == "result":
            self._publish(*values)
            return
        self._n_left_out += 1
        self._metrics.left_out.labels(kind).inc()
        self._conditions.warning(f"event_{kind}", **({"reason": values[0]} if values else {}))

    def _publish(self, result: EventResult, seconds: float) -> None:
        metrics = self._metrics
        n_left_out = self.n_left_out
        # All events up to the cursor are published, left out, in work or waiting. In a ring that has taken the place of
        # another one, the account goes on as if the earlier events had been before its first one.
        n_known = self._n_published + 1 + n_left_out + self._n_in_work + len(self._backlog)
        numbered = result.numbered(
            number=self._n_published,
            n_left_out=n_left_out,
            analysis=self._started_ns,
            first_sequence=self._backlog.next_sequence - n_known,
        )
        self._publisher.publish(numbered)
        self._n_published += 1
        metrics.events.inc()
        metrics.points.inc(len(result.cloud))
        metrics.estimates.inc(len(result.estimates))
        metrics.seconds.observe(seconds)
        if (result.epoch, result.sequence) > self._newest:
            self._newest = result.epoch, result.sequence
            metrics.age.set(time.time() - result.built_ns / 1e9)

    def _measure(self) -> None:
        metrics, backlog = self._metrics, self._backlog
        if backlog.n_left_out > self._n_overwritten:
            n_new = backlog.n_left_out - self._n_overwritten
            self._n_overwritten = backlog.n_left_out
            metrics.left_out.labels("overwritten").inc(n_new)
            self._conditions.warning("events_left_out", n_new=n_new, n_left_out=self.n_left_out)
        metrics.waiting.set(len(backlog))
        metrics.workers.set(self._workers.n_ready)
        metrics.revision.set(self._workers.revision)
