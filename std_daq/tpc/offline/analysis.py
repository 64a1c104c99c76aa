"""FileAnalysis: the pipeline over files, with a result that appears once everything is done.

What is done is kept in a folder beside the result, a file for each unit. If the analysis is interrupted, the same
command goes on from there. Within it, each combination of files, parameters and versions has a folder of its own; with
any other, the analysis begins anew.

The result is written there while units are being analysed, in the order of the units: each part as soon as all before
it are written.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from importlib.metadata import version
from pathlib import Path
from typing import Any

from std_daq.errors import ResourceError
from std_daq.folders.owners import make_work_folder
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.offline.execution import Execution
from std_daq.tpc.offline.result_file import write_result
from std_daq.tpc.offline.result_part import PartFolder, ResultPart
from std_daq.tpc.offline.sources import Source
from std_daq.tpc.offline.unit import Unit
from std_daq.tpc.reconstruction.parameters import OwnPhaseParameters

_LIBRARIES = ("std-daq", "numpy", "scipy", "scikit-learn")
Progress = Callable[[int], None]
"""Called with the number of events that were done."""


@dataclass(frozen=True, slots=True)
class AnalysisReport:
    """What an analysis did.

    Attributes
    ----------
    n_events, n_points, n_estimates
        In the result.
    n_kept
        Events that an interrupted analysis had done before.
    """

    n_events: int
    n_points: int
    n_estimates: int
    n_kept: int


class FileAnalysis:
    """Analyses files into one result.

    Parameters
    ----------
    source
        The files as units.
    files
        Their paths, for the attribute ``source``.
    config
        The chamber and its parameters.
    output
        The result.
    """

    def __init__(self, source: Source, files: Sequence[Path], config: TpcConfig, output: Path) -> None:
        self._source = source
        self._files = files
        self._config = config
        self._output = output
        self._folder = output.with_name(f".{output.name}.parts")

    def run(self, execution: Execution, progress: Progress) -> AnalysisReport:
        """Analyse what is not done yet, and write the result.

        Raises
        ------
        ResourceError
            Another process makes this result.
        StdDaqError
            A file or a phase cannot be used, or a worker was killed; what is done stays for the next call.
        """
        with self._parts_opened() as parts:
            written = _Written()
            result = parts.path / f"result{self._output.suffix}"
            write_result(result, written.count(self._in_order(execution, parts, progress, written)), self._attributes())
            os.replace(result, self._output)  # noqa: PTH105
        shutil.rmtree(self._folder)
        return AnalysisReport(written.n_events, written.n_points, written.n_estimates, written.n_kept)

    def _in_order(
        self, execution: Execution, parts: PartFolder, progress: Progress, written: "_Written"
    ) -> Iterator[ResultPart]:
        """Yield the parts in the order of their units, which are analysed meanwhile."""
        done: list[int] = []

        def still_to_do() -> Iterator[Unit]:
            for unit in self._source.units():
                if parts.has(unit.index):
                    written.n_kept += unit.n_events
                    heappush(done, unit.index)
                    progress(unit.n_events)
                else:
                    yield unit

        following = 0
        for unit in execution.run(still_to_do(), self._config, parts):
            heappush(done, unit.index)
            progress(unit.n_events)
            while done and done[0] == following:
                yield parts.load(heappop(done))
                following += 1
        while done:
            yield parts.load(heappop(done))

    def _attributes(self) -> dict[str, str]:
        return {
            "parameters": self._config.analysis.model_dump_json(),
            "versions": json.dumps({name: version(name) for name in _LIBRARIES}),
            "source": "\n".join(str(file) for file in self._files),
        }

    @contextmanager
    def _parts_opened(self) -> Iterator[PartFolder]:
        """Make the folder of parts ours, and remove from it what belongs to another analysis.

        A process that outlives its killed analysis may still write a part: the same one as ours, or one into the folder
        of another analysis.
        """
        make_work_folder(self._folder)
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ResourceError(f"another process makes {self._output}: wait for its end") from None
            mine = self._folder / hashlib.sha256(json.dumps(self._identity(), sort_keys=True).encode()).hexdigest()
            for other in self._folder.iterdir():
                if other.is_dir() and other != mine:
                    shutil.rmtree(other)
            make_work_folder(mine)
            for unfinished in mine.glob(".*.partial"):
                unfinished.unlink(missing_ok=True)
            yield PartFolder(mine)

    def _identity(self) -> dict[str, Any]:
        """Return everything that the result depends on."""
        pads = self._config.pads
        named = [] if isinstance(pads, str) else [value for _, value in pads if isinstance(value, Path)]
        own = [one.file for one in self._config.analysis.phases if isinstance(one, OwnPhaseParameters)]
        digests = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in (*named, *own) if file.exists()}
        files = [[str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns] for file in self._files]
        chamber = self._config.model_dump_json(include={"pads", "boards", "analysis"})
        return {**self._attributes(), "files": files, "chamber": chamber, "digests": digests}


@dataclass(slots=True)
class _Written:
    """What the result has until now, and how much of it was done before."""

    n_events: int = 0
    n_points: int = 0
    n_estimates: int = 0
    n_kept: int = 0

    def count(self, parts: Iterator[ResultPart]) -> Iterator[ResultPart]:
        """Yield the parts, and count what is in them."""
        for part in parts:
            self.n_events += len(part.numbers)
            self.n_points += len(part.clouds)
            self.n_estimates += len(part.estimates)
            yield part
