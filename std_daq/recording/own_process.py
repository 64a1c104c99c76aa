"""Runs what reads a file in a process of its own, because HDF5 may crash or hang if the file is damaged."""

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from std_daq.errors import HDF5_ERRORS, FileFormatError, StdDaqError

PATIENCE_S = 60.0
_BEAT_PERIOD_S = 0.5
_FIRST_LINE_S = 5.0
_LINE_PERIOD_S = 10.0

_TOLD: tuple[type[Exception], ...] = (StdDaqError, *HDF5_ERRORS)

Result = TypeVar("Result")


class CrashError(FileFormatError):
    """The process that read a file has crashed, or has done nothing for a long time."""


def _say_nothing(_: str) -> None:
    """Tell nobody."""


def run_apart(
    work: Callable[[Callable[[], None]], Result],
    path: Path,
    *,
    patience_s: float = PATIENCE_S,
    tell: Callable[[str], None] = _say_nothing,
) -> Result:
    """Call a function in a process of its own, and return what it returns, or raise what it raises.

    Parameters
    ----------
    work
        Called with a function that it calls after each step, such as an image that was read. Its result can be pickled.
    path
        The file that it reads, for messages.
    patience_s
        Time without a step after which the process is ended.
    tell
        Called with a line that tells how far it is, after some seconds and then from time to time.

    Raises
    ------
    CrashError
        The process crashed, or made no step for too long.
    """
    context = multiprocessing.get_context("fork")  # the process needs nothing that this one has not imported
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, theirs), name="reads-file", daemon=True)
    sys.stdout.flush()
    process.start()
    theirs.close()
    try:
        result: Result = _result_of(ours, path, patience_s, tell)
        return result
    except EOFError:
        process.join()
        raise CrashError(
            f"{path}: the process that read the file ended by {_cause(process.exitcode)}: the file is damaged"
        ) from None
    finally:
        process.kill()
        process.join(1.0)  # a process that waits for a dead disk does not end
        ours.close()


def _result_of(connection: Connection, path: Path, patience_s: float, tell: Callable[[str], None]) -> Any:
    next_line = time.monotonic() + _FIRST_LINE_S
    n_steps = 0
    while connection.poll(patience_s):
        kind, content = connection.recv()
        if kind == "result":
            return content
        if isinstance(content, BaseException):
            raise content
        n_steps = content
        if time.monotonic() >= next_line:
            next_line += _LINE_PERIOD_S
            tell(f"{path}: {n_steps} steps done")
    raise CrashError(
        f"{path}: reading did not get on for {patience_s:g} s, after {n_steps} steps: the file is damaged, or its disk "
        "does not answer"
    )


def _run(work: Callable[[Callable[[], None]], Any], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits ends this one
    steps = _Steps(connection)
    answer: tuple[str, Any]
    try:
        answer = ("result", work(steps.count))
    except _TOLD as error:
        answer = ("error", error)
    with suppress(BrokenPipeError):
        connection.send(answer)


class _Steps:
    """Counts steps, and tells their number now and then."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._n = 0
        self._next = 0.0

    def count(self) -> None:
        self._n += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _BEAT_PERIOD_S
            self._connection.send(("steps", self._n))


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
