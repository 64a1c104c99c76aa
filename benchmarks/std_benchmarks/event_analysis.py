"""Events of a chamber that one core analyses in a second, and how the analysis of files grows with cores.

The *reference* is attpc_spyral 0.18.0 on the same events, as a process in an environment of its own; if that is not
there, the details say so (tests/oracle/README.md). It runs once, with the events of all turns, between two halves of
ours. Rates are for processor time. The events are simulated on the plane of the AT-TPC: 1 or 3 protons and deuterons of
3 to 6 MeV.

The growth is measured with a merged file: events a second with all cores, beside as many times that of one process with
the same file. While it runs: from when each process has finished its first events to the end of the last ones. Whole:
from the call to the written result; the details tell when the first events were there.
"""

import itertools
import resource
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from std_benchmarks.figure import Detail, Figure, Target
from std_benchmarks.setting import Setting
from std_daq.tpc.config import TpcConfig
from std_daq.tpc.offline.analysis import FileAnalysis
from std_daq.tpc.offline.execution import InProcesses
from std_daq.tpc.offline.sources import open_source
from std_daq.tpc.pads.plane import PadPlane
from std_daq.tpc.reconstruction.parameters import AnalysisParameters
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_test_kit.chamber_events import BEAM_RADIUS_MM, attpc_with_invented_map, simulated_events
from std_test_kit.field_analysis import PYTHON, run_field_analysis

N_TRACKS = (1, 3)
EVENTS_OF_TURN, N_WARM_UP = 3, 2
FILE_TURNS, UNITS_PER_CORE, EVENTS_OF_UNIT = 2, 5, 16
FASTER, GROWTH = Target.at_least(3.0), Target.at_least(0.9)
_FIELD = "attpc_spyral 0.18.0"
Events = Mapping[int, NDArray[np.int16]]


@dataclass(frozen=True, slots=True)
class _FileRun:
    """How an analysis of a file went, in seconds, and in events a second while it ran and as a whole."""

    first_s: float
    processor_s: float
    rate_running: float
    rate_whole: float


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate of one core for each size of events, and the growth with cores."""
    plane = attpc_with_invented_map(setting.folder)
    setting.progress("simulating events")
    # The first turn only warms up: theirs compiles in it.
    turns = {n_tracks: _turns(plane, n_tracks, setting.repeats) for n_tracks in N_TRACKS}
    yield from _one_core(setting, plane, turns)
    yield from _all_cores(setting, [matrix for turn in turns[1] for matrix in turn.values()])


def _turns(plane: PadPlane, n_tracks: int, repeats: int) -> list[Events]:
    """Return the events of each turn, each with an id of its own; those of the first one are for warming up."""
    n_events = N_WARM_UP + repeats * EVENTS_OF_TURN
    matrices = [matrix for matrix, _ in simulated_events(plane, n_events, n_tracks=(n_tracks, n_tracks))]
    events = {1000 * n_tracks + number: matrix for number, matrix in enumerate(matrices)}
    ids = list(events)
    bounds = [0, *range(N_WARM_UP, n_events + 1, EVENTS_OF_TURN)]
    return [{one: events[one] for one in ids[a:b]} for a, b in itertools.pairwise(bounds)]


def _one_core(setting: Setting, plane: PadPlane, turns: Mapping[int, Sequence[Events]]) -> Iterator[Figure]:
    setting.progress("one core")
    pipeline = Pipeline(plane, AnalysisParameters())
    ours: dict[int, list[float]] = {n_tracks: [] for n_tracks in turns}

    def take(first: int, end: int) -> None:
        for turn in range(first, end):
            for n_tracks, events in turns.items():
                ours[n_tracks].append(_rate(pipeline, events[turn]))

    middle = 1 + setting.repeats // 2
    take(0, middle)
    theirs = _rates_of_field(setting, turns) if PYTHON.is_file() else {}
    take(middle, setting.repeats + 1)
    for n_tracks, events in turns.items():
        counted = [matrix for turn in events[1:] for matrix in turn.values()]
        points = [len(pipeline.run(0, 0, matrix).cloud) for matrix in counted]
        details: dict[str, Detail] = {
            "traces": float(np.mean([len(matrix) for matrix in counted])),
            "points": float(np.mean(points)),
        }
        if not theirs:
            details["not compared"] = f"{_FIELD} is not at {PYTHON}: tests/oracle/README.md"
        yield Figure(
            f"events analysed, one core, tracks: {n_tracks}", "1/s", ours[n_tracks][1:],
            reference=_FIELD if theirs else "", references=theirs.get(n_tracks, ()),
            target=FASTER if theirs else None, details=details,
        )  # fmt: skip


def _rate(pipeline: Pipeline, events: Events) -> float:
    begun = time.process_time()
    for event_id, matrix in events.items():
        pipeline.run(event_id, 0, matrix)
    return len(events) / (time.process_time() - begun)


def _rates_of_field(setting: Setting, turns: Mapping[int, Sequence[Events]]) -> dict[int, list[float]]:
    """Return the rates of attpc_spyral for each turn that counts."""
    setting.progress(_FIELD)
    in_turns = [turn for of_all in zip(*turns.values(), strict=True) for turn in of_all]
    events = {event_id: matrix for turn in in_turns for event_id, matrix in turn.items()}
    seconds = run_field_analysis(setting.folder, events, AnalysisParameters())["seconds"].sum(axis=1)
    seconds_of = dict(zip(events, seconds.tolist(), strict=True))
    return {
        n_tracks: [len(turn) / sum(seconds_of[event_id] for event_id in turn) for turn in of_size[1:]]
        for n_tracks, of_size in turns.items()
    }


def _all_cores(setting: Setting, matrices: Sequence[NDArray[np.int16]]) -> Iterator[Figure]:
    n_cores = len(setting.cores)
    setting.progress(f"{n_cores} cores")
    file, config = _merged_file(setting.folder, matrices, UNITS_PER_CORE * EVENTS_OF_UNIT * n_cores)
    runs: dict[int, list[_FileRun]] = {n_cores: [], 1: []}
    for turn in range(FILE_TURNS):
        for n_workers in sorted(runs, reverse=bool(turn % 2)):
            runs[n_workers].append(_run_of_file(config, file, n_workers))
    many, one = runs[n_cores], runs[1]
    details: dict[str, Detail] = {
        "until the first events, s": statistics.median(run.first_s for run in many),
        "with one process, s": statistics.median(run.first_s for run in one),
        "processor time to that of one": statistics.median(
            run.processor_s / other.processor_s for run, other in zip(many, one, strict=True)
        ),
    }
    reference = f"one process, times {n_cores}"
    yield Figure(
        "events of files, all cores, while it runs", "1/s", [run.rate_running for run in many], reference=reference,
        references=[n_cores * run.rate_running for run in one], target=GROWTH, details=details,
    )  # fmt: skip
    yield Figure(
        "events of files, all cores, whole", "1/s", [run.rate_whole for run in many], reference=reference,
        references=[n_cores * run.rate_whole for run in one],
    )  # fmt: skip


def _run_of_file(config: TpcConfig, file: Path, n_workers: int) -> _FileRun:
    output = file.with_name(f"result-{n_workers}.h5")
    done: list[tuple[float, int]] = []
    processor_s, begun = _processor_s(), time.perf_counter()
    report = FileAnalysis(open_source([file], config), [file], config, output).run(
        InProcesses(n_workers), lambda n_events: done.append((time.perf_counter() - begun, n_events))
    )
    whole_s = time.perf_counter() - begun
    output.unlink()
    rest = sum(n_events for _, n_events in done[n_workers:])
    return _FileRun(
        first_s=done[0][0],
        processor_s=_processor_s() - processor_s,
        rate_running=rest / (done[-1][0] - done[n_workers - 1][0]),
        rate_whole=report.n_events / whole_s,
    )


def _processor_s() -> float:
    """Return the processor time of this process and of those that it has ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _merged_file(folder: Path, matrices: Sequence[NDArray[np.int16]], n_events: int) -> tuple[Path, TpcConfig]:
    path = folder / "run_0001.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("events")
        group.attrs["version"] = "libattpc_merger:1.0"
        for n in range(n_events):
            traces = group.create_dataset(f"event_{n}/get_traces", data=matrices[n % len(matrices)])
            traces.attrs.update(id=np.uint32(n), timestamp=np.uint64(n), timestamp_other=np.uint64(n))
    pads = {"electronics": str(folder / "map.csv"), "geometry": "attpc", "scale": "attpc"}
    document = {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:1"],
        "pads": {**pads, "beam_radius_mm": BEAM_RADIUS_MM},
    }
    return path, TpcConfig.model_validate(document)
