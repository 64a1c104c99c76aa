"""FileAnalysis: the pipeline over files, with a result that is written once everything is done.

What is done is kept in a folder beside the result, a file for each unit. If the analysis is interrupted, the same
command goes on from there. The folder belongs to one combination of files, parameters and versions; with any other, the
analysis begins anew.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from std_daq.errors import ResourceError
from std_daq.folders.owners import make_work_folder
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.offline.execution import Execution
from std_daq.tpc.offline.result_file import write_result
from std_daq.tpc.offline.result_part import ResultPart
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
        with self._folder_opened():
            n_kept = 0
            indices: list[int] = []

            def still_to_do() -> Iterator[Unit]:
                nonlocal n_kept
                for unit in self._source.units():
                    indices.append(unit.index)
                    if self._part(unit.index).exists():
                        n_kept += unit.n_events
                        progress(unit.n_events)
                    else:
                        yield unit

            for unit, part in execution.run(still_to_do(), self._config):
                part.save(self._part(unit.index))
                progress(unit.n_events)
            report = self._write(sorted(indices), n_kept)
        shutil.rmtree(self._folder)
        return report

    def _write(self, indices: Sequence[int], n_kept: int) -> AnalysisReport:
        n_events = n_points = n_estimates = 0

        def parts() -> Iterator[ResultPart]:
            nonlocal n_events, n_points, n_estimates
            for index in indices:
                part = ResultPart.load(self._part(index))
                n_events += len(part.numbers)
                n_points += len(part.clouds)
                n_estimates += len(part.estimates)
                yield part

        write_result(self._output, parts(), self._attributes())
        return AnalysisReport(n_events, n_points, n_estimates, n_kept)

    def _attributes(self) -> dict[str, str]:
        return {
            "parameters": self._config.analysis.model_dump_json(),
            "versions": json.dumps({name: version(name) for name in _LIBRARIES}),
            "source": "\n".join(str(file) for file in self._files),
        }

    def _part(self, index: int) -> Path:
        return self._folder / f"{index:08d}.npz"

    def _folder_opened(self) -> TextIO:
        """Make the folder of parts ours, and empty it if it belongs to another analysis; returns its lock."""
        make_work_folder(self._folder)
        lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ResourceError(f"another process makes {self._output}: wait for its end") from None
        about = self._folder / "about.json"
        mine = json.dumps(self._identity(), sort_keys=True)
        if not about.exists() or about.read_text() != mine:
            for old in self._folder.glob("*.npz"):
                old.unlink()
            about.write_text(mine)
        return lock

    def _identity(self) -> dict[str, Any]:
        """Return everything that the result depends on."""
        pads = self._config.pads
        named = [] if isinstance(pads, str) else [value for _, value in pads if isinstance(value, Path)]
        own = [one.file for one in self._config.analysis.phases if isinstance(one, OwnPhaseParameters)]
        digests = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in (*named, *own) if file.exists()}
        files = [[str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns] for file in self._files]
        chamber = self._config.model_dump_json(include={"pads", "boards", "analysis"})
        return {**self._attributes(), "files": files, "chamber": chamber, "digests": digests}
