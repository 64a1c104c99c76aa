"""Analyses events one after another, or several at a time in processes; results come in the order of the events."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

from numpy.typing import NDArray

from std_daq.errors import StdDaqError
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.pipeline import PhaseError, Pipeline
from std_daq.tpc.reconstruction.results import EventResult

_AHEAD = 2  # events for each worker that are read before their turn


class EventTask(NamedTuple):
    """An event to analyse."""

    event_id: int
    epoch: int
    traces: NDArray[Any]


Item = tuple[int, EventTask | StdDaqError]
"""Number of an event in its file, and the event, or why it could not be read."""

Outcome = tuple[int, EventResult | StdDaqError]
"""Number of an event in its file, and its result, or why there is none."""


def analyse_in_order(
    items: Iterable[Item], plane: PadPlane, parameters: AnalysisParameters, n_workers: int
) -> Iterator[Outcome]:
    """Analyse events.

    Parameters
    ----------
    n_workers
        Processes; 1: this one alone.
    """
    if n_workers == 1:
        pipeline = Pipeline(plane, parameters)
        for n, item in items:
            yield n, item if isinstance(item, StdDaqError) else _result(pipeline, item)
        return
    Pipeline(plane, parameters)  # what is wrong with the configuration is told here, not by a worker
    with ProcessPoolExecutor(
        n_workers, mp_context=get_context("spawn"), initializer=_open_pipeline, initargs=(plane, parameters)
    ) as pool:
        waiting: deque[tuple[int, Future[EventResult | StdDaqError] | StdDaqError]] = deque()
        for n, item in items:
            waiting.append((n, item if isinstance(item, StdDaqError) else pool.submit(_run, item)))
            if len(waiting) > _AHEAD * n_workers:
                yield _outcome(*waiting.popleft())
        while waiting:
            yield _outcome(*waiting.popleft())


def _outcome(n: int, found: Future[EventResult | StdDaqError] | StdDaqError) -> Outcome:
    return n, found if isinstance(found, StdDaqError) else found.result()


def _result(pipeline: Pipeline, task: EventTask) -> EventResult | StdDaqError:
    try:
        return pipeline.run(task.event_id, task.epoch, task.traces)
    except PhaseError as error:
        return error


# In a worker.

_pipelines: list[Pipeline] = []


def _open_pipeline(plane: PadPlane, parameters: AnalysisParameters) -> None:
    os.dup2(2, 1)  # standard output is the recording
    _pipelines.append(Pipeline(plane, parameters))


def _run(task: EventTask) -> EventResult | StdDaqError:
    return _result(_pipelines[0], task)
