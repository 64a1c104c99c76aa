"""The runner: each benchmark of the suite in a process of its own, one after the other.

A process of its own, because a benchmark pins itself to CPUs, fills memory and compiles; none of it is to stay for
the next. One that fails says so in the result; the others go on.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from threading import Timer

from std_benchmarks.figure import Figure
from std_benchmarks.machine import describe_machine
from std_benchmarks.result import Result, figure_from_json
from std_daq.service.end_with_supervisor import SUPERVISOR_VARIABLE

# Far beyond what any of them takes: one that hangs is ended, and named as failed.
LIMIT_S = 900.0


class BenchmarkFailedError(Exception):
    """A benchmark ended without all of its figures; the text is the reason."""


def run_suite(names: Iterable[str], *, repeats: int, folder: Path, progress: Callable[[str, str], None]) -> Result:
    """Run benchmarks one after the other.

    Parameters
    ----------
    names
        Of the suite.
    repeats
        Turns of each that count.
    folder
        On the disk that is to be measured.
    progress
        Told the benchmark and what it is doing.
    """
    result = Result(describe_machine(folder), datetime.now(UTC).isoformat(timespec="seconds"))
    for name in names:
        progress(name, "starts")
        started = time.monotonic()
        result.figures[name] = []
        try:
            # One by one: what was measured before it failed stays in the result.
            for figure in _run(name, repeats, folder, progress):
                result.figures[name].append(figure)
        except BenchmarkFailedError as failure:
            result.failures[name] = str(failure)
        result.durations_s[name] = time.monotonic() - started
        progress(name, f"took {result.durations_s[name]:.0f} s")
    return result


def _run(name: str, repeats: int, folder: Path, progress: Callable[[str, str], None]) -> Iterator[Figure]:
    command = [sys.executable, "-m", "std_benchmarks.one", name, "--repeats", str(repeats), "--folder", str(folder)]
    environment = os.environ | {SUPERVISOR_VARIABLE: str(os.getpid())}
    reason = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        limit = Timer(LIMIT_S, process.kill)
        limit.start()
        try:
            for line in process.stdout or ():
                message = json.loads(line)
                if "figure" in message:
                    yield figure_from_json(message["figure"])
                reason = message.get("failure", reason)
                progress(name, message.get("progress", ""))
        except BaseException:
            process.terminate()
            raise
        finally:
            limit.cancel()
    if process.returncode == -SIGKILL:
        raise BenchmarkFailedError(f"was killed, after {LIMIT_S:g} s or for want of memory")
    if process.returncode:
        raise BenchmarkFailedError(reason or f"ended with code {process.returncode}; what it said stands above")
