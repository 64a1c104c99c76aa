"""SourceWatch: notices sources that have gone silent, and tells the clients."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from std_daq.telemetry.logs import get_logger
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_live_view.encoding import length_delimited
from std_live_view.sources.source import Source
from std_live_view.streams import Streams

_SOURCE_PROBLEMS = messages.StreamImagesResponse.SOURCE_PROBLEMS_FIELD_NUMBER


@dataclass(slots=True)
class _Watched:
    """When a source has last delivered something."""

    n_frames: int
    since_s: float


class SourceWatch:
    """Looks at the sources from time to time.

    Parameters
    ----------
    silent_after_s
        A source that has delivered nothing for so long is told of.
    streams
        The clients, who are told.
    clock
        Returns the monotonic time in seconds.

    Attributes
    ----------
    problems
        What is wrong with each source of which something is.
    stopped
        Those of them that deliver nothing.
    """

    def __init__(self, silent_after_s: float, streams: Streams, clock: Callable[[], float]) -> None:
        self._silent_after_s = silent_after_s
        self._streams = streams
        self._clock = clock
        self._log = get_logger()
        self._watched: dict[int, _Watched] = {}
        self.problems: dict[str, str] = {}
        self.stopped: set[str] = set()

    def step(self, sources: Iterable[Source]) -> None:
        """Look at the sources; if what is wrong with them has changed, the clients are told."""
        sources = list(sources)
        self._watched = {id(one): self._watched.get(id(one)) or self._begun(one) for one in sources}
        reasons = {source.name: reason for source in sources if (reason := self._why_stopped(source))}
        self.stopped = set(reasons)
        told = {source.name: filter(None, (reasons.get(source.name), source.state.damage)) for source in sources}
        problems = {name: problem for name, parts in told.items() if (problem := "; ".join(parts))}
        if problems != self.problems:
            for name in problems.keys() | self.problems.keys():
                if problems.get(name) != self.problems.get(name):
                    self._log.info("source_problem", source=name, problem=problems.get(name))
            self.problems = problems
            self._streams.tell(
                b"".join(
                    length_delimited(_SOURCE_PROBLEMS, f"{name}: {problem}".encode())
                    for name, problem in problems.items()
                )
            )

    def silent_s(self, source: Source) -> float:
        """Return for how long a source has delivered nothing."""
        watched = self._watched.get(id(source))
        return 0.0 if watched is None else self._clock() - watched.since_s

    def _begun(self, source: Source) -> _Watched:
        return _Watched(source.state.n_frames, self._clock())

    def _why_stopped(self, source: Source) -> str:
        state, watched = source.state, self._watched[id(source)]
        if state.n_frames != watched.n_frames:
            watched.n_frames, watched.since_s = state.n_frames, self._clock()
        if state.problem:
            return state.problem
        if self.silent_s(source) < self._silent_after_s:
            return ""
        silent = f"no image has come for {self._silent_after_s:g} s"
        return f"{silent}: {state.producer}" if state.producer else silent
